-- The people of the center and their sessions. The PostgreSQL twin has the same names; a test compares them.
--
-- No secret stands here in clear: a password is an argon2id hash, a secret of one-time codes is sealed
-- by the master key, of a session's secret there is only the SHA-256.

CREATE TABLE operators (
    name                  TEXT PRIMARY KEY,
    display_name          TEXT NOT NULL,
    role                  TEXT NOT NULL CHECK (role IN ('VIEWER', 'OPERATOR', 'REVIEWER', 'AUDITOR',
                              'ADMIN')),
    disabled_at           BIGINT,
    password_hash         TEXT NOT NULL,
    password_is_temporary BOOLEAN NOT NULL,
    totp                  BLOB,
    totp_pending          BLOB,
    totp_step             BIGINT,
    failures              INTEGER NOT NULL CHECK (failures >= 0),
    locked_until          BIGINT,
    created_at            BIGINT NOT NULL,
    last_login_at         BIGINT,
    version               INTEGER NOT NULL
);

CREATE TABLE sessions (
    secret_hash TEXT PRIMARY KEY,
    operator    TEXT NOT NULL REFERENCES operators (name),
    created_at  BIGINT NOT NULL,
    seen_at     BIGINT NOT NULL,
    fresh_until BIGINT NOT NULL,
    ended_at    BIGINT
);
CREATE INDEX sessions_operator ON sessions (operator, created_at);
