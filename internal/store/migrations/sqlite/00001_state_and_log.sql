-- The state and the log. Times are microseconds since 1970 (UTC). A place is
-- where an event stands in the log: the number of its life times 2^48, plus its
-- seq. The other dialect's folder has the same tables and columns; a test
-- compares them.

-- +goose Up

CREATE TABLE log_lives (
    life     INTEGER PRIMARY KEY, -- 1, 2, ... in the order they began
    epoch    INTEGER NOT NULL UNIQUE,
    begun_at INTEGER NOT NULL
) STRICT;

-- One row, which every writer takes first.
CREATE TABLE log_head (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    life  INTEGER NOT NULL REFERENCES log_lives,
    epoch INTEGER NOT NULL,
    seq   INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
    place       INTEGER PRIMARY KEY,
    time        INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    version     INTEGER NOT NULL,
    user_id     TEXT NOT NULL,
    action      TEXT NOT NULL,
    action_key  TEXT NOT NULL,
    state       TEXT NOT NULL,
    body        BLOB NOT NULL,
    personal    BLOB, -- NULL when there is none and once it is erased; so is salt
    salt        BLOB
) STRICT;

-- The event that tracked an action is found through actions, so that the hot
-- path writes one index less.
CREATE INDEX events_of_action ON events (user_id, action, action_key, place) WHERE kind <> 'action.tracked';

CREATE TABLE users (
    id               TEXT PRIMARY KEY,
    handle           BLOB NOT NULL,
    generation       INTEGER NOT NULL, -- random at first, so that a new life of a user never meets an old one's
    email            TEXT NOT NULL,
    email_verified   INTEGER NOT NULL,
    phone            TEXT NOT NULL,
    phone_verified   INTEGER NOT NULL,
    username         TEXT NOT NULL,
    display_name     TEXT NOT NULL,
    locale           TEXT NOT NULL,
    custom           BLOB,
    methods          TEXT NOT NULL, -- of authenticators, kept beside for the hot path
    passkeys         INTEGER NOT NULL,
    last_verified_at INTEGER NOT NULL, -- 0: never
    created_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX users_by_email ON users (email) WHERE email <> '';
CREATE INDEX users_by_phone ON users (phone) WHERE phone <> '';
CREATE INDEX users_by_username ON users (username) WHERE username <> '';

-- Devices that are known: an action from them was allowed by the rules or proven.
CREATE TABLE devices (
    user_id  TEXT NOT NULL,
    id       TEXT NOT NULL,
    known_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE authenticators (
    id               TEXT PRIMARY KEY,
    user_id          TEXT NOT NULL,
    method           TEXT NOT NULL,
    name             TEXT NOT NULL,
    credential_id    BLOB,
    credential       BLOB,
    aaguid           TEXT NOT NULL,
    synced           INTEGER NOT NULL,
    backed_up        INTEGER NOT NULL,
    attachment       TEXT NOT NULL,
    sign_count       INTEGER NOT NULL,
    user_agent       TEXT NOT NULL,
    device_id        TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    last_verified_at INTEGER NOT NULL
) STRICT;

CREATE INDEX authenticators_of_user ON authenticators (user_id, created_at, id);
CREATE UNIQUE INDEX authenticators_by_credential ON authenticators (credential_id) WHERE credential_id IS NOT NULL;

-- SHA-256 of every credential id that was ever registered, to anyone.
CREATE TABLE credentials_seen (
    hash BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- What became of a decision, and what a ceremony needs of it. The decision
-- itself is the event at the same place.
CREATE TABLE actions (
    place            INTEGER PRIMARY KEY,
    user_id          TEXT NOT NULL,
    action           TEXT NOT NULL,
    action_key       TEXT NOT NULL,
    state            TEXT NOT NULL,
    outcome          TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    state_changed_at INTEGER NOT NULL,
    methods          TEXT NOT NULL, -- the person's when it was decided
    scope            TEXT NOT NULL,
    tries            INTEGER NOT NULL,
    method           TEXT NOT NULL, -- that proved it; so are the next two
    proven_by        TEXT NOT NULL,
    proven_at        INTEGER NOT NULL,
    prompt_id        TEXT NOT NULL,
    prompt           TEXT NOT NULL, -- erased with the person; so are the next four
    redirect_url     TEXT NOT NULL,
    device_id        TEXT NOT NULL,
    locale           TEXT NOT NULL,
    custom           BLOB
) STRICT;

CREATE UNIQUE INDEX actions_by_name ON actions (user_id, action, action_key);
CREATE INDEX actions_by_time ON actions (created_at, place);

CREATE TABLE challenges (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    action     TEXT NOT NULL,
    action_key TEXT NOT NULL,
    session    BLOB NOT NULL,
    nonce      BLOB NOT NULL,
    digest     BLOB NOT NULL,
    shown      INTEGER NOT NULL,
    begun_at   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    taken_at   INTEGER NOT NULL, -- 0: not yet
    closed     INTEGER NOT NULL
) STRICT;

CREATE INDEX challenges_of_user ON challenges (user_id, action, action_key);
CREATE INDEX challenges_open ON challenges (expires_at) WHERE NOT closed;
CREATE INDEX challenges_closed ON challenges (expires_at) WHERE closed;

CREATE TABLE links_redeemed (
    id         TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX links_by_expiry ON links_redeemed (expires_at);

CREATE TABLE rule_sets (
    number       INTEGER PRIMARY KEY,
    definition   BLOB NOT NULL,
    author       TEXT NOT NULL,
    note         TEXT NOT NULL,
    published_at INTEGER NOT NULL
) STRICT;

CREATE TABLE operators (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    handle     BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE operator_credentials (
    id           BLOB PRIMARY KEY,
    operator     TEXT NOT NULL,
    credential   BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL
) STRICT;

CREATE INDEX operator_credentials_of ON operator_credentials (operator);

CREATE TABLE operator_invites (
    hash       BLOB PRIMARY KEY,
    role       TEXT NOT NULL,
    author     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE operator_ceremonies (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    session    BLOB NOT NULL,
    invite     BLOB,
    name       TEXT NOT NULL,
    handle     BLOB,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE operator_sessions (
    hash       BLOB PRIMARY KEY,
    operator   TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE relay_cursors (
    stream TEXT PRIMARY KEY,
    epoch  INTEGER NOT NULL,
    seq    INTEGER NOT NULL
) STRICT;

CREATE TABLE sink_ranges (
    number    INTEGER PRIMARY KEY, -- 1, 2, ... in the order they were begun
    epoch     INTEGER NOT NULL,
    from_seq  INTEGER NOT NULL,
    to_seq    INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    confirmed INTEGER NOT NULL,
    UNIQUE (epoch, from_seq)
) STRICT;

CREATE INDEX sink_ranges_open ON sink_ranges (number) WHERE NOT confirmed;

CREATE TABLE dead_letters (
    epoch  INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    reason TEXT NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (epoch, seq)
) STRICT, WITHOUT ROWID;
