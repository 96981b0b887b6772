-- What facts, lists and drafts of rule sets need. The other dialect's folder has
-- the same tables and columns; a test compares them.

-- +goose Up

-- Where an action came from; erased with the person.
ALTER TABLE actions ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE actions ADD COLUMN latitude REAL;
ALTER TABLE actions ADD COLUMN longitude REAL;

-- Where and when the person last passed a challenge from a place that is known.
ALTER TABLE users ADD COLUMN place_latitude REAL;
ALTER TABLE users ADD COLUMN place_longitude REAL;
ALTER TABLE users ADD COLUMN place_at INTEGER NOT NULL DEFAULT 0;

-- known_at is when the device was last established, to within a day.
ALTER TABLE devices ADD COLUMN remembered_until INTEGER NOT NULL DEFAULT 0;
CREATE INDEX devices_by_id ON devices (id);

-- Addresses that are known, as devices are.
CREATE TABLE addresses (
    user_id  TEXT NOT NULL,
    address  TEXT NOT NULL,
    known_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, address)
) STRICT, WITHOUT ROWID;

-- The signature counter has gone back, in any answer so far.
ALTER TABLE authenticators ADD COLUMN regressed INTEGER NOT NULL DEFAULT 0;

-- One row.
CREATE TABLE list_head (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL, -- of the last change of any list
    items   INTEGER NOT NULL, -- of all lists
    storage INTEGER NOT NULL  -- the last one given out
) STRICT;

INSERT INTO list_head (one, version, items, storage) VALUES (1, 0, 0, 0);

-- A list's items are those of its storage. A large change fills a new storage
-- beside the one that is read, and then takes its place.
CREATE TABLE lists (
    name        TEXT PRIMARY KEY,
    type        TEXT NOT NULL,
    title       TEXT NOT NULL,
    description TEXT NOT NULL,
    items       INTEGER NOT NULL,
    removed     INTEGER NOT NULL, -- rows of removed items in its storage
    version     INTEGER NOT NULL, -- of its last change
    changed_at  INTEGER NOT NULL,
    storage     INTEGER NOT NULL, -- 0 once the list is dropped
    base        INTEGER NOT NULL, -- the version in which this storage took its place
    dropped     INTEGER NOT NULL  -- the row stays, for those who have not heard of it
) STRICT, WITHOUT ROWID;

CREATE TABLE list_storages (
    id       INTEGER PRIMARY KEY,
    in_use   INTEGER NOT NULL,
    begun_at INTEGER NOT NULL -- 0 once it is of no use any more
) STRICT;

-- version counts from the storage's base, so that it can be written before the
-- base is known. A removed item stays, for those who have not heard of it, until
-- the list moves to a new storage.
CREATE TABLE list_items (
    storage    INTEGER NOT NULL,
    value      TEXT NOT NULL,
    version    INTEGER NOT NULL,
    removed    INTEGER NOT NULL,
    note       TEXT NOT NULL,
    author     TEXT NOT NULL,
    added_at   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, -- 0: never
    PRIMARY KEY (storage, value)
) STRICT, WITHOUT ROWID;

CREATE INDEX list_items_by_version ON list_items (storage, version);
CREATE INDEX list_items_by_expiry ON list_items (expires_at) WHERE expires_at <> 0 AND NOT removed;

CREATE TABLE drafts (
    id         TEXT PRIMARY KEY,
    title      TEXT NOT NULL,
    base       INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    definition BLOB NOT NULL,
    author     TEXT NOT NULL,
    authors    TEXT NOT NULL, -- JSON array
    updated_at INTEGER NOT NULL
) STRICT;

-- Approvals of the present revision.
CREATE TABLE draft_approvals (
    draft       TEXT NOT NULL,
    author      TEXT NOT NULL,
    approved_at INTEGER NOT NULL,
    PRIMARY KEY (draft, author)
) STRICT, WITHOUT ROWID;
