-- Who used a nonce up: a request that meets its own nonce again, because a commit lost its answer, was let in.
ALTER TABLE nonces ADD COLUMN tag BIGINT NOT NULL DEFAULT 0;
