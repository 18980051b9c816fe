-- Credentials, sealed with a key that is not in here. The organization's file has the same two tables.

CREATE TABLE credential (
    name      TEXT    NOT NULL,
    scope     TEXT    NOT NULL,
    "user"    TEXT    NOT NULL,    -- '' but in the scope "user"
    field     TEXT    NOT NULL,
    key_id    TEXT    NOT NULL,
    sealed    BLOB    NOT NULL,    -- nonce, ciphertext, tag: see ksl/vault/seal.py
    secret    INTEGER NOT NULL,
    set_at_ms INTEGER NOT NULL,
    PRIMARY KEY (name, scope, "user", field)
) STRICT, WITHOUT ROWID;

-- What only the right key opens, so that a wrong one is told before anything is done with it.
CREATE TABLE credential_key (
    key_id TEXT PRIMARY KEY,
    proof  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
