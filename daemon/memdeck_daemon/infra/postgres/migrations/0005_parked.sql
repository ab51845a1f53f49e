-- Memories that a projection could not take, and why, so that one of them does not hold up all that come after it. An entry
-- goes when its memory changes and is taken then, and all of a projection's go when it is built anew.
CREATE TABLE memory.projection_parked (
    name      text NOT NULL,
    memory_id uuid NOT NULL,
    owner     text NOT NULL,
    reason    text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, memory_id)
);
