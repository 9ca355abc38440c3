-- Notifications of merchants: the outbox, written with the move that it tells of, and the tries. The
-- SQLite twin has the same names.

CREATE TABLE notifications (
    notification_id TEXT PRIMARY KEY,
    order_no        TEXT NOT NULL,
    -- The order's version: the notification's place in the order's sequence.
    order_version   INTEGER NOT NULL,
    merchant        TEXT NOT NULL,
    order_state     TEXT NOT NULL CHECK (order_state IN ('SUCCEEDED', 'FAILED', 'REVERSED', 'CLOSED')),
    order_reason    TEXT,
    state           TEXT NOT NULL CHECK (state IN ('PENDING', 'DELIVERED', 'GIVEN_UP')),
    reason          TEXT CHECK (reason IN ('TRIES_USED_UP', 'NO_URL')),
    series          INTEGER NOT NULL,
    tries           INTEGER NOT NULL,
    -- While somebody sends it: the end of the lease.
    next_at         BIGINT NOT NULL,
    lease_owner     TEXT,
    fence           BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    concluded_at    BIGINT,
    CHECK (series >= 1 AND tries >= 0),
    CHECK ((state = 'PENDING') = (concluded_at IS NULL)),
    CHECK ((state = 'GIVEN_UP') = (reason IS NOT NULL))
);
-- One notification of one version of an order, whatever is run twice.
CREATE UNIQUE INDEX notifications_order ON notifications (order_no, order_version);
CREATE INDEX notifications_due ON notifications (merchant, next_at) WHERE state = 'PENDING';
CREATE INDEX notifications_given_up ON notifications (notification_id) WHERE state = 'GIVEN_UP';
CREATE INDEX notifications_merchant ON notifications (merchant, notification_id);

-- One row a try, written before its first byte leaves.
CREATE TABLE notification_tries (
    try_id          TEXT PRIMARY KEY,
    notification_id TEXT NOT NULL,
    series          INTEGER NOT NULL,
    number          INTEGER NOT NULL,
    started_at      BIGINT NOT NULL,
    ended_at        BIGINT,
    outcome         TEXT NOT NULL CHECK (outcome IN ('STARTED', 'DELIVERED', 'REJECTED', 'TIMED_OUT',
                        'UNREACHABLE', 'BROKEN', 'ADDRESS_REFUSED', 'URL_REFUSED', 'NOT_SENT',
                        'INTERRUPTED')),
    http_status     INTEGER,
    host            TEXT,
    cause           TEXT,
    CHECK (series >= 1 AND number >= 1),
    CHECK ((outcome = 'STARTED') = (ended_at IS NULL))
);
CREATE INDEX notification_tries_of ON notification_tries (notification_id, try_id);
