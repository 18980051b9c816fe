-- Which prompts an agent's sessions consist of. What was said is in the events of the runs.

CREATE TABLE session_prompt (
    id         INTEGER PRIMARY KEY,    -- the order of a session's prompts, and of sessions by their newest prompt
    session_id TEXT    NOT NULL,
    agent      TEXT    NOT NULL,
    run_id     TEXT    NOT NULL,
    step       TEXT    NOT NULL,       -- of the agent
    parent     TEXT,                   -- the session of the agent that this one is a tool of
    at_ms      INTEGER NOT NULL,
    UNIQUE (run_id, step)
) STRICT;

CREATE INDEX session_prompt_by_session ON session_prompt (session_id, id);
