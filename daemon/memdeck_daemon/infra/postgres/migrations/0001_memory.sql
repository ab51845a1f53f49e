-- Memories and everything that a write must put down in one transaction.
-- Owner: 'user:alice', the first of user, agent, app, run that was given. It is never NULL, so it can lead every key.

CREATE EXTENSION IF NOT EXISTS vector;
CREATE SCHEMA IF NOT EXISTS memory;

-- One row. A restore begins a new lineage; whatever was derived from the old one is rebuilt.
CREATE TABLE memory.lineage (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id         uuid NOT NULL DEFAULT gen_random_uuid(),
    since      timestamptz NOT NULL DEFAULT now()
);
INSERT INTO memory.lineage DEFAULT VALUES;

-- One row per name of a scope. generation changes with every write that touches it (the validity of cached answers);
-- memories counts those that carry the name, owned those whose owner it is. Always locked last and in (kind, value)
-- order: unsorted updates of several rows deadlock.
CREATE TABLE memory.identifiers (
    kind       text NOT NULL CHECK (kind IN ('user', 'agent', 'app', 'run')),
    value      text NOT NULL,
    generation bigint NOT NULL DEFAULT 0,
    memories   bigint NOT NULL DEFAULT 0,
    owned      bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, value)
) WITH (fillfactor = 70);

-- The arrival counter of each run: neighbours are defined by arrival numbers and by nothing else.
CREATE TABLE memory.runs (
    owner        text NOT NULL,
    run_id       text NOT NULL,
    last_arrival bigint NOT NULL,
    PRIMARY KEY (owner, run_id)
) WITH (fillfactor = 70);

CREATE TABLE memory.memories (
    owner           text NOT NULL,
    id              uuid NOT NULL,
    user_id         text,
    agent_id        text,
    app_id          text,
    run_id          text,
    arrival         bigint,
    actor_id        text,
    role            text,
    text            text NOT NULL,
    hash            uuid NOT NULL,
    metadata        jsonb NOT NULL DEFAULT '{}',
    categories      text[] NOT NULL DEFAULT '{}',
    memory_type     text,
    expiration_date date,
    immutable       boolean NOT NULL DEFAULT false,
    archived        boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    CHECK ((run_id IS NULL) = (arrival IS NULL)),
    PRIMARY KEY (owner, id)
) PARTITION BY HASH (owner);

CREATE INDEX memories_by_age ON memory.memories (owner, created_at DESC, id DESC);
CREATE INDEX memories_by_hash ON memory.memories (owner, hash);
CREATE INDEX memories_by_agent ON memory.memories (agent_id, created_at DESC, id DESC) WHERE agent_id IS NOT NULL;
CREATE INDEX memories_by_app ON memory.memories (app_id, created_at DESC, id DESC) WHERE app_id IS NOT NULL;
CREATE INDEX memories_by_run ON memory.memories (run_id, arrival) WHERE run_id IS NOT NULL;

-- Which owner a memory belongs to: ids alone do not say in which partition to look.
CREATE TABLE memory.locator (
    id    uuid PRIMARY KEY,
    owner text NOT NULL
);

-- A vector belongs to a space (provider, model, dimensions); its table is memory.vectors_<id>.
CREATE TABLE memory.spaces (
    id         smallint PRIMARY KEY,
    provider   text NOT NULL,
    model      text NOT NULL,
    dimensions integer NOT NULL CHECK (dimensions BETWEEN 1 AND 3900),
    role       text NOT NULL CHECK (role IN ('local', 'primary', 'candidate', 'retired')),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, model, dimensions)
);
INSERT INTO memory.spaces (id, provider, model, dimensions, role) VALUES (1, 'wordllama', 'l2_supercat', 256, 'local');

CREATE TABLE memory.vectors_1 (
    owner     text NOT NULL,
    id        uuid NOT NULL,
    embedding halfvec(256) NOT NULL,
    PRIMARY KEY (owner, id)
) PARTITION BY HASH (owner);
-- TOASTed vectors make an exact scan six times slower.
ALTER TABLE memory.vectors_1 ALTER COLUMN embedding SET STORAGE PLAIN;

DO $$
BEGIN
    FOR part IN 0..15 LOOP
        EXECUTE format('CREATE TABLE memory.memories_%s PARTITION OF memory.memories '
                       'FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
        EXECUTE format('CREATE TABLE memory.vectors_1_%s PARTITION OF memory.vectors_1 '
                       'FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
    END LOOP;
END $$;

-- Every change of a memory. before holds the whole row as it was: it is what an undo puts back, and after a deletion
-- the only place where the memory still is. Entries of deleted memories go when they can no longer be undone.
CREATE TABLE memory.history (
    id         uuid PRIMARY KEY,
    memory_id  uuid NOT NULL,
    receipt_id uuid NOT NULL,
    owner      text NOT NULL,
    user_id    text,
    agent_id   text,
    app_id     text,
    run_id     text,
    event      text NOT NULL CHECK (event IN ('ADD', 'UPDATE', 'DELETE')),
    old_text   text,
    new_text   text,
    before     jsonb,
    metadata   jsonb NOT NULL DEFAULT '{}',
    actor_id   text,
    role       text,
    changed_by text NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX history_by_memory ON memory.history (memory_id, changed_at, id);
CREATE INDEX history_by_receipt ON memory.history (receipt_id) WHERE event = 'DELETE';
CREATE INDEX history_deletions ON memory.history (changed_at) WHERE event = 'DELETE';

-- What became of each write. Its key is the write's id, so a write whose answer was lost is not done twice.
-- outcomes hold ids, not texts: what is forgotten must not live on here.
CREATE TABLE memory.receipts (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('add', 'update', 'delete', 'delete_scope', 'undo')),
    key_id       text NOT NULL,
    changed_by   text NOT NULL,
    outcomes     jsonb NOT NULL DEFAULT '[]',
    note         text NOT NULL DEFAULT '',
    count        bigint NOT NULL DEFAULT 0,
    milliseconds real NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    undone_at    timestamptz
);
CREATE INDEX receipts_by_age ON memory.receipts (created_at DESC, id DESC);

CREATE TABLE memory.idempotency_keys (
    key_id     text NOT NULL,
    key        text NOT NULL,
    digest     bytea NOT NULL,
    receipt_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key_id, key)
);
CREATE INDEX idempotency_keys_by_age ON memory.idempotency_keys (created_at);

-- What projections (lexical index, graph, mirror) have to follow. A consumer reads in (xid, id) order and only below
-- pg_snapshot_xmin: ids alone are handed out before the commit, so a late commit would be skipped.
CREATE TABLE memory.outbox (
    xid       xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id        bigint GENERATED ALWAYS AS IDENTITY,
    owner     text NOT NULL,
    memory_id uuid NOT NULL,
    change    text NOT NULL CHECK (change IN ('put', 'drop')),
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (xid, id)
);
CREATE INDEX outbox_by_owner ON memory.outbox (owner, xid, id);

-- How far each consumer has read; what all have read can go.
CREATE TABLE memory.projections (
    name    text PRIMARY KEY,
    xid     xid8 NOT NULL,
    id      bigint NOT NULL,
    lineage uuid NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE memory.feedback (
    id         uuid PRIMARY KEY,
    memory_id  uuid NOT NULL,
    verdict    text CHECK (verdict IN ('POSITIVE', 'NEGATIVE', 'VERY_NEGATIVE')),
    reason     text,
    changed_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX feedback_by_memory ON memory.feedback (memory_id);

CREATE TABLE memory.exports (
    id         uuid PRIMARY KEY,
    schema     jsonb NOT NULL,
    filters    jsonb NOT NULL,
    key_id     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
