-- What readers look rows up by besides their ids is filled behind the commits, in large batches (store::Write::LogIndex):
-- in every transaction it would cost as much as the rows themselves.

-- Whose rows a body has, as numbers: table, then owner and id of each row. Written once with the body; from a body the
-- indexes find its rows, some of which may be gone.
ALTER TABLE log_bodies ADD COLUMN places TEXT NOT NULL DEFAULT '';
UPDATE log_bodies SET places = found.places FROM (
    SELECT body, min(tbl) || ' ' || group_concat(owner || ' ' || id, ' ') AS places FROM log_rows GROUP BY body
) AS found WHERE found.body = log_bodies.id;

DROP INDEX log_rows_peer;
CREATE TABLE log_peers (
    owner INTEGER NOT NULL,
    tbl INTEGER NOT NULL,
    peer TEXT NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (owner, tbl, peer, id)
) STRICT, WITHOUT ROWID;

-- Folded words, one row for each body that has a text; `owners` has a word for each owner and table, so that a search
-- steps through what one owner has. Neither text is kept.
CREATE VIRTUAL TABLE log_text USING fts5 (owners, text, content = '', contentless_delete = 1, tokenize = 'ascii');

-- How far the indexes have come in each table.
CREATE TABLE log_indexed (tbl INTEGER PRIMARY KEY, body INTEGER NOT NULL) STRICT;

CREATE TRIGGER log_row_left_index AFTER DELETE ON log_rows
WHEN old.body <= (SELECT body FROM log_indexed WHERE tbl = old.tbl) BEGIN
    DELETE FROM log_peers WHERE owner = old.owner AND tbl = old.tbl AND peer = old.peer AND id = old.id;
END;
CREATE TRIGGER log_body_left_index AFTER DELETE ON log_bodies
WHEN old.id <= (SELECT max(body) FROM log_indexed) BEGIN
    DELETE FROM log_text WHERE rowid = old.id;
END;
