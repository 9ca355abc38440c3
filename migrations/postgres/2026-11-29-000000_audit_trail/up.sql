-- What the audit trail has to remember beside its rows: the settings as they were last written down, and
-- how many refused tries to log in were counted instead. The SQLite twin has the same names.

CREATE TABLE settings_in_force (
    path   TEXT PRIMARY KEY,
    -- What may be shown of the value.
    shown  TEXT NOT NULL,
    -- Of a secret: a mark by a master key, and which. Without a master key there is none.
    master TEXT,
    mark   BYTEA,
    CHECK ((master IS NULL) = (mark IS NULL))
);

-- One row: whoever writes settings down takes it first.
CREATE TABLE settings_version (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL
);
INSERT INTO settings_version (id, version) VALUES (1, 0);

-- One row: the stretch of time that runs, the refused tries in it that have audit rows of their own, and
-- those that were only counted.
CREATE TABLE refused_tries (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    begun_at   BIGINT NOT NULL,
    told       INTEGER NOT NULL CHECK (told >= 0),
    only_count BIGINT NOT NULL CHECK (only_count >= 0)
);
INSERT INTO refused_tries (id, begun_at, told, only_count) VALUES (1, 0, 0, 0);
