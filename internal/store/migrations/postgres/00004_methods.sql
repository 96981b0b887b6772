-- What further methods, sign-ins and changes to authenticators need. The other
-- dialect's folder has the same tables and columns; a test compares them.

-- +goose Up

-- A ceremony names its method. One by a code that was sent may be answered most
-- times; each answer counts before it is checked.
ALTER TABLE challenges ADD COLUMN method TEXT NOT NULL DEFAULT 'PASSKEY';
ALTER TABLE challenges ADD COLUMN subject TEXT NOT NULL DEFAULT ''; -- what the proof is to change
ALTER TABLE challenges ADD COLUMN value BYTEA; -- the challenge that the browser signs
ALTER TABLE challenges ADD COLUMN answers BIGINT NOT NULL DEFAULT 0;
ALTER TABLE challenges ADD COLUMN most BIGINT NOT NULL DEFAULT 1;
ALTER TABLE challenges ADD COLUMN verified_at BIGINT NOT NULL DEFAULT 0; -- 0: not yet; only of those that a backend claims later

CREATE INDEX challenges_by_value ON challenges (value) WHERE value IS NOT NULL;

ALTER TABLE authenticators ADD COLUMN email TEXT NOT NULL DEFAULT ''; -- that codes go to
ALTER TABLE authenticators ADD COLUMN secret BYTEA; -- of an authenticator app, encrypted
ALTER TABLE authenticators ADD COLUMN last_step BIGINT NOT NULL DEFAULT 0; -- of an authenticator app: the newest time step that was used
ALTER TABLE authenticators ADD COLUMN attested BOOLEAN NOT NULL DEFAULT FALSE; -- its make is proven, by the metadata of its maker
ALTER TABLE authenticators ADD COLUMN action TEXT NOT NULL DEFAULT ''; -- under which it was enrolled; so is the key
ALTER TABLE authenticators ADD COLUMN action_key TEXT NOT NULL DEFAULT '';

ALTER TABLE users ADD COLUMN default_authenticator TEXT NOT NULL DEFAULT ''; -- '': the oldest one
ALTER TABLE users ADD COLUMN prompted_at BIGINT NOT NULL DEFAULT 0; -- when a passkey was last offered and put off

-- SHA-256 of the statement that proved it; erased with the person.
ALTER TABLE actions ADD COLUMN digest TEXT NOT NULL DEFAULT '';

-- Keyed hashes. A row goes with its use.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL,
    hash    BYTEA NOT NULL,
    PRIMARY KEY (user_id, hash)
);

-- How many codes somebody got wrong, or had sent, lately.
CREATE TABLE meters (
    name         TEXT PRIMARY KEY, -- of a user, or of an address as a keyed hash
    used         BIGINT NOT NULL,
    ends_at      BIGINT NOT NULL, -- of the window in which they count
    locked_until BIGINT NOT NULL, -- 0: it is open
    locks        BIGINT NOT NULL  -- one after another, each longer than the one before
);

CREATE INDEX meters_by_end ON meters (ends_at, locked_until);
