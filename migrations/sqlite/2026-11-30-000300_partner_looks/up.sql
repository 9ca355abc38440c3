-- Looks for partners' files that have brought none yet: when the last one was, and what it has found that may
-- still be being written, such as a file beside the digest of another.
CREATE TABLE partner_looks (
    partner       TEXT NOT NULL,
    business_date DATE NOT NULL,
    looked_at     BIGINT NOT NULL,
    found         TEXT,
    PRIMARY KEY (partner, business_date)
);
