-- What each version of a workflow's code looked like, so that no run is drawn on another version's source.
-- Written with the runs of the version, deleted with the last of them.

CREATE TABLE code_version (
    workflow     TEXT NOT NULL,
    code_version TEXT NOT NULL,
    canvases     TEXT NOT NULL,    -- JSON: slug -> canvas, of the workflow and of those that run inside it
    sites        TEXT NOT NULL,    -- JSON: slug -> list of its step calls
    files        TEXT NOT NULL,    -- JSON: path below the project folder -> text
    PRIMARY KEY (workflow, code_version)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_by_version ON run (workflow, code_version);
