-- What lists ask of every page: who waits for a next attempt, and what the last day brought.

CREATE INDEX timer_retrying ON timer (run_id) WHERE kind IN ('run_retry', 'step_retry');
CREATE INDEX run_by_creation ON run (created_at_ms);
