-- The first schema. Migrations are applied in order of their number, each once, never edited after a release.
-- Moments are Unix milliseconds, UTC. JSON is kept as text so that the sqlite3 shell can read it.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

-- Append only. `id` is the cursor of the change feed; being a declared key it survives VACUUM.
-- Rows are not clustered by run: that would touch a page per run and commit.
CREATE TABLE event (
    id         INTEGER PRIMARY KEY,
    run_id     TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    type       TEXT    NOT NULL,
    step       TEXT,
    at_ms      INTEGER NOT NULL,
    data       TEXT,
    input      TEXT,
    meta       TEXT,
    data_blob  BLOB,               -- SHA-256 of a value kept in `blob`; the column beside it is then null
    input_blob BLOB,
    crc        INTEGER NOT NULL    -- see ksl/log/checksum.py
) STRICT;

CREATE UNIQUE INDEX event_by_run ON event (run_id, seq);

-- Whether a deleted event's value is still somebody else's.
CREATE INDEX event_by_data_blob ON event (data_blob) WHERE data_blob IS NOT NULL;
CREATE INDEX event_by_input_blob ON event (input_blob) WHERE input_blob IS NOT NULL;

CREATE TABLE blob (
    hash    BLOB PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;

-- A cache of what the events say. `id` is the order of creation and the cursor of lists.
CREATE TABLE run (
    id              INTEGER PRIMARY KEY,
    run_id          TEXT    NOT NULL UNIQUE,
    workflow        TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    "trigger"       TEXT    NOT NULL,
    triggered_at_ms INTEGER NOT NULL,
    created_at_ms   INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    started_at_ms   INTEGER,
    finished_at_ms  INTEGER,
    attempt         INTEGER NOT NULL,
    due_ms          INTEGER,
    subscriber      TEXT,
    code_version    TEXT,
    waiting_on      TEXT,
    idempotency_key TEXT,
    origin          TEXT,                          -- the run that this one was forked from
    deaths          INTEGER NOT NULL DEFAULT 0,    -- processes that died while this run was advanced, in a row
    death_seq       INTEGER NOT NULL DEFAULT -1    -- its newest event at the last of them: more events are progress
) STRICT;

CREATE INDEX run_by_status ON run (status);
CREATE INDEX run_by_workflow ON run (workflow);
CREATE INDEX run_by_origin ON run (origin) WHERE origin IS NOT NULL;
CREATE INDEX run_finished ON run (finished_at_ms) WHERE finished_at_ms IS NOT NULL;
CREATE INDEX run_by_key ON run (workflow, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE timer (
    due_ms INTEGER NOT NULL,
    run_id TEXT    NOT NULL,
    step   TEXT    NOT NULL,
    kind   TEXT    NOT NULL,
    boot   TEXT    NOT NULL,
    PRIMARY KEY (due_ms, run_id, step, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE hook (
    id             INTEGER PRIMARY KEY,
    token_hash     BLOB    NOT NULL UNIQUE,
    run_id         TEXT    NOT NULL,
    step           TEXT    NOT NULL,
    workflow       TEXT    NOT NULL,
    status         TEXT    NOT NULL,
    key_id         TEXT    NOT NULL,
    created_at_ms  INTEGER NOT NULL,
    name           TEXT,
    title          TEXT,
    details        TEXT,
    schema         TEXT,
    get            TEXT    NOT NULL,
    expires_at_ms  INTEGER,
    answered_at_ms INTEGER,
    answered_by    TEXT
) STRICT;

CREATE INDEX hook_by_run ON hook (run_id);
CREATE INDEX hook_open ON hook (status) WHERE status = 'open';

-- For people with the sqlite3 shell: SELECT * FROM history WHERE run_id = '...';
CREATE VIEW history AS
SELECT run_id,
       seq,
       type,
       step,
       strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch')                              AS at,
       coalesce(data, (SELECT CAST(content AS TEXT) FROM blob WHERE hash = event.data_blob))    AS data,
       coalesce(input, (SELECT CAST(content AS TEXT) FROM blob WHERE hash = event.input_blob))  AS input,
       meta
FROM event
WHERE run_id <> ''    -- see ksl/log/pruning.py
ORDER BY run_id, seq;
