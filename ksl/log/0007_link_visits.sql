-- Who used the link of a hook, and how often. Of each hook some hundreds of visits are kept, and all are counted.

CREATE TABLE link_visit (
    id       INTEGER PRIMARY KEY,
    run_id   TEXT    NOT NULL,
    step     TEXT    NOT NULL,
    at_ms    INTEGER NOT NULL,
    method   TEXT    NOT NULL,
    status   INTEGER NOT NULL,    -- what it was answered with
    answered INTEGER NOT NULL,    -- 1: by this the hook got its answer
    address  TEXT    NOT NULL,
    agent    TEXT    NOT NULL
) STRICT;

CREATE INDEX link_visit_by_hook ON link_visit (run_id, step, id);

CREATE TABLE link_use (
    run_id   TEXT    NOT NULL,
    step     TEXT    NOT NULL,
    looked   INTEGER NOT NULL,    -- by HEAD and OPTIONS
    opened   INTEGER NOT NULL,    -- by GET
    sent     INTEGER NOT NULL,    -- by POST
    answered INTEGER NOT NULL,
    PRIMARY KEY (run_id, step)
) STRICT, WITHOUT ROWID;
