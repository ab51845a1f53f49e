-- What runs the house: keys and settings. A restore of memories never rewinds this schema.

CREATE SCHEMA IF NOT EXISTS control;

-- digest: HMAC-SHA-256 of the key under DIR/keys/hmac.key. users and agents: patterns, * for any text.
CREATE TABLE control.keys (
    id           uuid PRIMARY KEY,
    label        text NOT NULL,
    key_prefix   text NOT NULL,
    digest       bytea NOT NULL UNIQUE,
    role         text NOT NULL CHECK (role IN ('admin', 'operator', 'agent', 'standard', 'read')),
    users        text[] NOT NULL DEFAULT '{}',
    agents       text[] NOT NULL DEFAULT '{}',
    rate_limit   integer CHECK (rate_limit >= 0),
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at   timestamptz
);

-- Project settings of the platform dialect, by name.
CREATE TABLE control.settings (
    name       text PRIMARY KEY,
    value      jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
