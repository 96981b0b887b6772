-- The state and the log. Times are microseconds since 1970 (UTC). A place is
-- where an event stands in the log: the number of its life times 2^48, plus its
-- seq. The other dialect's folder has the same tables and columns; a test
-- compares them.

-- +goose Up

CREATE TABLE log_lives (
    life     BIGINT PRIMARY KEY, -- 1, 2, ... in the order they began
    epoch    BIGINT NOT NULL UNIQUE,
    begun_at BIGINT NOT NULL
);

-- One row, which every writer takes first.
CREATE TABLE log_head (
    one   BIGINT PRIMARY KEY CHECK (one = 1),
    life  BIGINT NOT NULL REFERENCES log_lives,
    epoch BIGINT NOT NULL,
    seq   BIGINT NOT NULL
);

CREATE TABLE events (
    place       BIGINT PRIMARY KEY,
    time        BIGINT NOT NULL,
    kind        TEXT NOT NULL,
    version     BIGINT NOT NULL,
    user_id     TEXT NOT NULL,
    action      TEXT NOT NULL,
    action_key  TEXT NOT NULL,
    state       TEXT NOT NULL,
    body        BYTEA NOT NULL,
    personal    BYTEA, -- NULL when there is none and once it is erased; so is salt
    salt        BYTEA
);

-- The event that tracked an action is found through actions, so that the hot
-- path writes one index less.
CREATE INDEX events_of_action ON events (user_id, action, action_key, place) WHERE kind <> 'action.tracked';

CREATE TABLE users (
    id               TEXT COLLATE "C" PRIMARY KEY,
    handle           BYTEA NOT NULL,
    generation       BIGINT NOT NULL, -- random at first, so that a new life of a user never meets an old one's
    email            TEXT NOT NULL,
    email_verified   BOOLEAN NOT NULL,
    phone            TEXT NOT NULL,
    phone_verified   BOOLEAN NOT NULL,
    username         TEXT NOT NULL,
    display_name     TEXT NOT NULL,
    locale           TEXT NOT NULL,
    custom           BYTEA,
    methods          TEXT NOT NULL, -- of authenticators, kept beside for the hot path
    passkeys         BIGINT NOT NULL,
    last_verified_at BIGINT NOT NULL, -- 0: never
    created_at       BIGINT NOT NULL
);

CREATE INDEX users_by_email ON users (email) WHERE email <> '';
CREATE INDEX users_by_phone ON users (phone) WHERE phone <> '';
CREATE INDEX users_by_username ON users (username) WHERE username <> '';

-- Devices that are known: an action from them was allowed by the rules or proven.
CREATE TABLE devices (
    user_id  TEXT NOT NULL,
    id       TEXT NOT NULL,
    known_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, id)
);

CREATE TABLE authenticators (
    id               TEXT PRIMARY KEY,
    user_id          TEXT NOT NULL,
    method           TEXT NOT NULL,
    name             TEXT NOT NULL,
    credential_id    BYTEA,
    credential       BYTEA,
    aaguid           TEXT NOT NULL,
    synced           BOOLEAN NOT NULL,
    backed_up        BOOLEAN NOT NULL,
    attachment       TEXT NOT NULL,
    sign_count       BIGINT NOT NULL,
    user_agent       TEXT NOT NULL,
    device_id        TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    last_verified_at BIGINT NOT NULL
);

CREATE INDEX authenticators_of_user ON authenticators (user_id, created_at, id);
CREATE UNIQUE INDEX authenticators_by_credential ON authenticators (credential_id) WHERE credential_id IS NOT NULL;

-- SHA-256 of every credential id that was ever registered, to anyone.
CREATE TABLE credentials_seen (
    hash BYTEA PRIMARY KEY
);

-- What became of a decision, and what a ceremony needs of it. The decision
-- itself is the event at the same place.
CREATE TABLE actions (
    place            BIGINT PRIMARY KEY,
    user_id          TEXT NOT NULL,
    action           TEXT NOT NULL,
    action_key       TEXT NOT NULL,
    state            TEXT NOT NULL,
    outcome          TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    state_changed_at BIGINT NOT NULL,
    methods          TEXT NOT NULL, -- the person's when it was decided
    scope            TEXT NOT NULL,
    tries            BIGINT NOT NULL,
    method           TEXT NOT NULL, -- that proved it; so are the next two
    proven_by        TEXT NOT NULL,
    proven_at        BIGINT NOT NULL,
    prompt_id        TEXT NOT NULL,
    prompt           TEXT NOT NULL, -- erased with the person; so are the next four
    redirect_url     TEXT NOT NULL,
    device_id        TEXT NOT NULL,
    locale           TEXT NOT NULL,
    custom           BYTEA
);

CREATE UNIQUE INDEX actions_by_name ON actions (user_id, action, action_key);
CREATE INDEX actions_by_time ON actions (created_at, place);

CREATE TABLE challenges (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    action     TEXT NOT NULL,
    action_key TEXT NOT NULL,
    session    BYTEA NOT NULL,
    nonce      BYTEA NOT NULL,
    digest     BYTEA NOT NULL,
    shown      BOOLEAN NOT NULL,
    begun_at   BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    taken_at   BIGINT NOT NULL, -- 0: not yet
    closed     BOOLEAN NOT NULL
);

CREATE INDEX challenges_of_user ON challenges (user_id, action, action_key);
CREATE INDEX challenges_open ON challenges (expires_at) WHERE NOT closed;
CREATE INDEX challenges_closed ON challenges (expires_at) WHERE closed;

CREATE TABLE links_redeemed (
    id         TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

CREATE INDEX links_by_expiry ON links_redeemed (expires_at);

CREATE TABLE rule_sets (
    number       BIGINT PRIMARY KEY,
    definition   BYTEA NOT NULL,
    author       TEXT NOT NULL,
    note         TEXT NOT NULL,
    published_at BIGINT NOT NULL
);

CREATE TABLE operators (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    handle     BYTEA NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE operator_credentials (
    id           BYTEA PRIMARY KEY,
    operator     TEXT NOT NULL,
    credential   BYTEA NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL
);

CREATE INDEX operator_credentials_of ON operator_credentials (operator);

CREATE TABLE operator_invites (
    hash       BYTEA PRIMARY KEY,
    role       TEXT NOT NULL,
    author     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE operator_ceremonies (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    session    BYTEA NOT NULL,
    invite     BYTEA,
    name       TEXT NOT NULL,
    handle     BYTEA,
    expires_at BIGINT NOT NULL
);

CREATE TABLE operator_sessions (
    hash       BYTEA PRIMARY KEY,
    operator   TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE relay_cursors (
    stream TEXT PRIMARY KEY,
    epoch  BIGINT NOT NULL,
    seq    BIGINT NOT NULL
);

CREATE TABLE sink_ranges (
    number    BIGINT PRIMARY KEY, -- 1, 2, ... in the order they were begun
    epoch     BIGINT NOT NULL,
    from_seq  BIGINT NOT NULL,
    to_seq    BIGINT NOT NULL,
    hash      BYTEA NOT NULL,
    confirmed BOOLEAN NOT NULL,
    UNIQUE (epoch, from_seq)
);

CREATE INDEX sink_ranges_open ON sink_ranges (number) WHERE NOT confirmed;

CREATE TABLE dead_letters (
    epoch  BIGINT NOT NULL,
    seq    BIGINT NOT NULL,
    reason TEXT NOT NULL,
    at     BIGINT NOT NULL,
    PRIMARY KEY (epoch, seq)
);
