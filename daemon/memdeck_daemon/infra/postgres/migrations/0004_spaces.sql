-- Embedding spaces beside the local one. Their tables (memory.vectors_<id>) are made when a space is added.

ALTER TABLE memory.spaces
    ADD COLUMN url text NOT NULL DEFAULT '',
    -- Mean cosine of memories that have nothing to do with each other; it makes cosines of two spaces compare.
    ADD COLUMN background real,
    -- How far existing memories were put into the queue: up to this owner and id; NULL before the first.
    ADD COLUMN cursor_owner text,
    ADD COLUMN cursor_id uuid,
    -- The queue's last number when all of them were in it, and when the last of those was done.
    ADD COLUMN queued_upto bigint,
    ADD COLUMN filled_at timestamptz;
-- Ids are never used again: a table of the same name would not be the same space.
CREATE SEQUENCE memory.space_ids AS smallint START 2;
CREATE UNIQUE INDEX spaces_one_of_a_kind ON memory.spaces (role) WHERE role <> 'retired';

-- Memories that wait for their vector in a space. A worker removes an entry only while its number is the one that it
-- read: whoever changes a text gives the entry a new number. parked: why a text has no vector, so that it is not tried again.
CREATE SEQUENCE memory.embedding_queue_numbers;
CREATE TABLE memory.embedding_queue (
    space    smallint NOT NULL,
    owner    text NOT NULL,
    id       uuid NOT NULL,
    number   bigint NOT NULL DEFAULT nextval('memory.embedding_queue_numbers'),
    attempts smallint NOT NULL DEFAULT 0,
    parked   text,
    PRIMARY KEY (space, owner, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE UNIQUE INDEX embedding_queue_next ON memory.embedding_queue (space, number) WHERE parked IS NULL;

-- Which daemon works the queue; another one may take over when the time is up.
CREATE TABLE memory.embedding_worker (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    holder   text NOT NULL,
    until    timestamptz NOT NULL
);

-- Follows the local vectors, which every way of writing keeps in step with the texts, in the same transaction. Its triggers
-- exist only while there is another space. Vectors of a text that is gone or changed go first; of the queue's entries
-- before the vectors: a worker that holds an entry is waited for, and what it stored meanwhile is seen by the next statement.
CREATE FUNCTION memory.follow_local_vectors() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    other smallint;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        FOR other IN SELECT s.id FROM memory.spaces s WHERE s.role <> 'local' ORDER BY s.id LOOP
            DELETE FROM memory.embedding_queue q USING gone g WHERE q.space = other AND q.owner = g.owner AND q.id = g.id;
            EXECUTE format('DELETE FROM memory.vectors_%s v USING gone g WHERE v.owner = g.owner AND v.id = g.id', other);
        END LOOP;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO memory.embedding_queue (space, owner, id)
            SELECT s.id, c.owner, c.id FROM memory.spaces s, come c WHERE s.role IN ('primary', 'candidate')
            ON CONFLICT (space, owner, id) DO UPDATE SET number = excluded.number, attempts = 0, parked = NULL;
    END IF;
    RETURN NULL;
END $$;
