-- The five shapes. Owners and table names are numbers in the rows, so that rows and indexes stay small.

-- One row: what `apply` must remember, changed in every transaction.
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    entry_high INTEGER NOT NULL,  -- the largest entry id applied
    last_batch BLOB NOT NULL,     -- the outcomes of the last batch (store::Recent)
    log_high INTEGER NOT NULL,    -- the largest log id ever appended
    sequence INTEGER NOT NULL,    -- the last sequence number given to a map row
    accounts INTEGER NOT NULL     -- how many accounts there are
) STRICT;
INSERT INTO state VALUES (1, 0, x'', 0, 0, 0);

CREATE TABLE owners (id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE tables (id INTEGER PRIMARY KEY, shape TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (shape, name)) STRICT;

-- By address, because accounts are listed in that order.
CREATE TABLE accounts (address TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT;

CREATE TABLE docs (owner INTEGER NOT NULL, tbl INTEGER NOT NULL, value BLOB NOT NULL, UNIQUE (owner, tbl)) STRICT;

-- The sequence is the row id: each put appends, and every index is in order of the sequence for free.
CREATE TABLE maps (
    sequence INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    tbl INTEGER NOT NULL,
    key TEXT NOT NULL,
    second TEXT,
    value BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX maps_key ON maps (owner, tbl, key);
CREATE INDEX maps_sequence ON maps (owner, tbl);
CREATE INDEX maps_second ON maps (tbl, second) WHERE second IS NOT NULL;

-- Bodies are appended and never rewritten. An index row is some fifty bytes, so it is clustered by its owner without a
-- row id of its own: with the body apart, the row is no larger than an index entry that would point to it.
CREATE TABLE log_bodies (id INTEGER PRIMARY KEY, rows INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE log_rows (
    owner INTEGER NOT NULL,
    tbl INTEGER NOT NULL,
    id INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    body INTEGER NOT NULL,
    peer TEXT NOT NULL,
    PRIMARY KEY (owner, tbl, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX log_rows_peer ON log_rows (owner, tbl, peer, id);

-- A body goes with its last row, whichever statement removes that.
CREATE TRIGGER log_row_removed AFTER DELETE ON log_rows BEGIN
    UPDATE log_bodies SET rows = rows - 1 WHERE id = old.body;
    DELETE FROM log_bodies WHERE id = old.body AND rows = 0;
END;
