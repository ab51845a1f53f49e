-- Episodes: what agents decided, why, and what came of it. Short-term windows need no table of their own: a run's
-- memories are its window, in the order of their arrival numbers.

-- owner as in memory.memories. id is derived from the idempotency key where one was given, so a repetition meets its
-- own row; digest tells a repetition from another body under the same key.
CREATE TABLE memory.traces (
    id         uuid PRIMARY KEY,
    owner      text NOT NULL,
    user_id    text,
    agent_id   text NOT NULL,
    app_id     text,
    run_id     text,
    kind       text NOT NULL CHECK (kind IN ('replay', 'telemetry')),
    event      text,
    decision   text,
    rationale  text,
    outcome    text,
    reward     double precision,
    memory_ids uuid[] NOT NULL DEFAULT '{}',
    metadata   jsonb NOT NULL DEFAULT '{}',
    digest     bytea NOT NULL,
    appended_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- The deletion of a scope that took it, and when; undone by emptying both.
    deleted_by uuid,
    deleted_at timestamptz
);
CREATE INDEX traces_deleted ON memory.traces (deleted_by) WHERE deleted_by IS NOT NULL;
CREATE INDEX traces_by_agent ON memory.traces (agent_id, kind, created_at DESC, id DESC);
CREATE INDEX traces_by_run ON memory.traces (run_id, kind, created_at DESC, id DESC) WHERE run_id IS NOT NULL;
CREATE INDEX traces_by_user ON memory.traces (user_id, kind, created_at DESC, id DESC) WHERE user_id IS NOT NULL;
CREATE INDEX traces_by_expiry ON memory.traces (expires_at);
