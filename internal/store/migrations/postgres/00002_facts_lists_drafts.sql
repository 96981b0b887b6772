-- What facts, lists and drafts of rule sets need. The other dialect's folder has
-- the same tables and columns; a test compares them.

-- +goose Up

-- Where an action came from; erased with the person.
ALTER TABLE actions ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE actions ADD COLUMN latitude DOUBLE PRECISION;
ALTER TABLE actions ADD COLUMN longitude DOUBLE PRECISION;

-- Where and when the person last passed a challenge from a place that is known.
ALTER TABLE users ADD COLUMN place_latitude DOUBLE PRECISION;
ALTER TABLE users ADD COLUMN place_longitude DOUBLE PRECISION;
ALTER TABLE users ADD COLUMN place_at BIGINT NOT NULL DEFAULT 0;

-- known_at is when the device was last established, to within a day.
ALTER TABLE devices ADD COLUMN remembered_until BIGINT NOT NULL DEFAULT 0;
CREATE INDEX devices_by_id ON devices (id);

-- Addresses that are known, as devices are.
CREATE TABLE addresses (
    user_id  TEXT NOT NULL,
    address  TEXT NOT NULL,
    known_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, address)
);

-- The signature counter has gone back, in any answer so far.
ALTER TABLE authenticators ADD COLUMN regressed BOOLEAN NOT NULL DEFAULT FALSE;

-- One row.
CREATE TABLE list_head (
    one     BIGINT PRIMARY KEY CHECK (one = 1),
    version BIGINT NOT NULL, -- of the last change of any list
    items   BIGINT NOT NULL, -- of all lists
    storage BIGINT NOT NULL  -- the last one given out
);

INSERT INTO list_head (one, version, items, storage) VALUES (1, 0, 0, 0);

-- A list's items are those of its storage. A large change fills a new storage
-- beside the one that is read, and then takes its place.
CREATE TABLE lists (
    name        TEXT COLLATE "C" PRIMARY KEY,
    type        TEXT NOT NULL,
    title       TEXT NOT NULL,
    description TEXT NOT NULL,
    items       BIGINT NOT NULL,
    removed     BIGINT NOT NULL, -- rows of removed items in its storage
    version     BIGINT NOT NULL, -- of its last change
    changed_at  BIGINT NOT NULL,
    storage     BIGINT NOT NULL, -- 0 once the list is dropped
    base        BIGINT NOT NULL, -- the version in which this storage took its place
    dropped     BOOLEAN NOT NULL  -- the row stays, for those who have not heard of it
);

CREATE TABLE list_storages (
    id       BIGINT PRIMARY KEY,
    in_use   BOOLEAN NOT NULL,
    begun_at BIGINT NOT NULL -- 0 once it is of no use any more
);

-- version counts from the storage's base, so that it can be written before the
-- base is known. A removed item stays, for those who have not heard of it, until
-- the list moves to a new storage.
CREATE TABLE list_items (
    storage    BIGINT NOT NULL,
    value      TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    removed    BOOLEAN NOT NULL,
    note       TEXT NOT NULL,
    author     TEXT NOT NULL,
    added_at   BIGINT NOT NULL,
    expires_at BIGINT NOT NULL, -- 0: never
    PRIMARY KEY (storage, value)
);

CREATE INDEX list_items_by_version ON list_items (storage, version);
CREATE INDEX list_items_by_expiry ON list_items (expires_at) WHERE expires_at <> 0 AND NOT removed;

CREATE TABLE drafts (
    id         TEXT PRIMARY KEY,
    title      TEXT NOT NULL,
    base       BIGINT NOT NULL,
    revision   BIGINT NOT NULL,
    definition BYTEA NOT NULL,
    author     TEXT NOT NULL,
    authors    TEXT NOT NULL, -- JSON array
    updated_at BIGINT NOT NULL
);

-- Approvals of the present revision.
CREATE TABLE draft_approvals (
    draft       TEXT NOT NULL,
    author      TEXT NOT NULL,
    approved_at BIGINT NOT NULL,
    PRIMARY KEY (draft, author)
);
