-- Keys, their secrets, and the nonces of signed requests. The PostgreSQL twin has the same names.

CREATE TABLE keys (
    key_id        TEXT PRIMARY KEY,
    -- None: the center's own.
    merchant      TEXT,
    algorithm     TEXT NOT NULL CHECK (algorithm IN ('ed25519', 'ecdsa-p256-sha256',
                      'rsa-pss-sha512', 'rsa-v1_5-sha256')),
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
-- One key, one owner, for ever: what was revoked does not come back under another name.
CREATE UNIQUE INDEX keys_thumbprint ON keys (thumbprint);
CREATE INDEX keys_merchant ON keys (merchant, key_id);
CREATE UNIQUE INDEX keys_center ON keys (state) WHERE merchant IS NULL AND state = 'ACTIVE';
CREATE INDEX keys_end ON keys (expires_at) WHERE state IN ('PENDING', 'ACTIVE', 'RETIRING');

-- Private parts, sealed: the center's own, and a merchant's until it is handed out.
CREATE TABLE key_secrets (
    key_id        TEXT PRIMARY KEY,
    master        TEXT NOT NULL,
    wrapped_key   BLOB NOT NULL,
    secret        BLOB NOT NULL,
    -- SHA-256 of the ticket that it is handed out for; none where it is handed out to nobody.
    ticket_hash   BLOB
);

-- What signed requests were made unique by, for as long as they could be sent again.
CREATE TABLE nonces (
    key_id    TEXT NOT NULL,
    nonce     TEXT NOT NULL,
    forget_at BIGINT NOT NULL,
    PRIMARY KEY (key_id, nonce)
);
CREATE INDEX nonces_forget ON nonces (forget_at);
