-- Keys may be for SM2 with SM3 as well. SQLite cannot change a CHECK, so the table is made anew.

DROP INDEX keys_thumbprint;
DROP INDEX keys_merchant;
DROP INDEX keys_center;
DROP INDEX keys_end;
ALTER TABLE keys RENAME TO keys_before;

CREATE TABLE keys (
    key_id        TEXT PRIMARY KEY,
    -- None: the center's own.
    merchant      TEXT,
    algorithm     TEXT NOT NULL CHECK (algorithm IN ('ed25519', 'ecdsa-p256-sha256',
                      'rsa-pss-sha512', 'rsa-v1_5-sha256', 'sm2-sm3')),
    public_key    BLOB NOT NULL,
    thumbprint    TEXT NOT NULL,
    origin        TEXT NOT NULL CHECK (origin IN ('UPLOADED', 'GENERATED', 'CENTER')),
    state         TEXT NOT NULL CHECK (state IN ('PENDING', 'ACTIVE', 'RETIRING', 'REVOKED',
                      'EXPIRED')),
    replaces      TEXT,
    overlap_s     BIGINT NOT NULL,
    maker         TEXT NOT NULL,
    checker       TEXT,
    created_at    BIGINT NOT NULL,
    active_at     BIGINT,
    retires_at    BIGINT,
    expires_at    BIGINT NOT NULL,
    ended_at      BIGINT,
    handed_out_at BIGINT,
    reason        TEXT,
    noticed_days  INTEGER,
    version       INTEGER NOT NULL,
    -- Law 8: maker is not checker, whatever the program believes.
    CHECK (checker IS NULL OR checker <> maker)
);
INSERT INTO keys (key_id, merchant, algorithm, public_key, thumbprint, origin, state, replaces, overlap_s, maker,
    checker, created_at, active_at, retires_at, expires_at, ended_at, handed_out_at, reason,
    noticed_days, version)
    SELECT key_id, merchant, algorithm, public_key, thumbprint, origin, state, replaces, overlap_s, maker,
    checker, created_at, active_at, retires_at, expires_at, ended_at, handed_out_at, reason,
    noticed_days, version FROM keys_before;
DROP TABLE keys_before;

-- One key, one owner, for ever: what was revoked does not come back under another name.
CREATE UNIQUE INDEX keys_thumbprint ON keys (thumbprint);
CREATE INDEX keys_merchant ON keys (merchant, key_id);
CREATE UNIQUE INDEX keys_center ON keys (state) WHERE merchant IS NULL AND state = 'ACTIVE';
CREATE INDEX keys_end ON keys (expires_at) WHERE state IN ('PENDING', 'ACTIVE', 'RETIRING');
