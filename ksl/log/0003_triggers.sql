-- What fired, what must not fire twice, and what sources go on from. Written together with the runs.

CREATE TABLE firing (
    id          INTEGER PRIMARY KEY,          -- the order, and the cursor of lists
    firing_id   TEXT    NOT NULL UNIQUE,
    source      TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    at_ms       INTEGER NOT NULL,
    nominal_ms  INTEGER NOT NULL,
    verdict     TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    payload     TEXT,
    many        INTEGER NOT NULL,             -- the payload is a list of payloads
    runs        TEXT    NOT NULL,             -- JSON list of {"run_id", "workflow", "subscriber"?, "item"?}
    errors      TEXT    NOT NULL,             -- JSON list of {"workflow", "type", "message", "subscriber"?, "item"?}
    skipped     INTEGER NOT NULL,
    delivery_id TEXT,
    by          TEXT    NOT NULL
) STRICT;

CREATE INDEX firing_by_source ON firing (source, id);
CREATE INDEX firing_rejected ON firing (source, id) WHERE verdict = 'rejected';

CREATE TABLE fired_key (
    source     TEXT NOT NULL,
    key        TEXT NOT NULL,
    expires_ms INTEGER,                       -- null: never
    digest     BLOB,                          -- SHA-256 of a delivery's body
    answer     TEXT,                          -- JSON: what whoever repeats the delivery is answered
    PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX fired_key_expiry ON fired_key (expires_ms) WHERE expires_ms IS NOT NULL;

CREATE TABLE source_state (
    source  TEXT PRIMARY KEY,
    last_ms INTEGER,
    cursor  TEXT,
    note    TEXT
) STRICT, WITHOUT ROWID;

-- Deliveries that were refused, of which only the newest are kept as firings.
CREATE TABLE refusal (
    source TEXT PRIMARY KEY,
    count  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A row stands for something disabled: a source, or one of its attachments.
CREATE TABLE trigger_switch (
    source   TEXT    NOT NULL,
    workflow TEXT    NOT NULL,                -- '' for the source itself
    at_ms    INTEGER NOT NULL,
    by       TEXT    NOT NULL,
    PRIMARY KEY (source, workflow)
) STRICT, WITHOUT ROWID;

CREATE TABLE subscription (
    id              INTEGER PRIMARY KEY,
    subscription_id TEXT    NOT NULL UNIQUE,
    workflow        TEXT    NOT NULL,
    subscriber      TEXT    NOT NULL,
    enabled         INTEGER NOT NULL,
    created_at_ms   INTEGER NOT NULL,
    by              TEXT    NOT NULL,
    UNIQUE (workflow, subscriber)
) STRICT;
