-- Numbers by number, changed often and all in place: clustered by their owner, without a row id and without an index.
CREATE TABLE numbers (
    owner INTEGER NOT NULL,
    tbl INTEGER NOT NULL,
    key INTEGER NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (owner, tbl, key)
) STRICT, WITHOUT ROWID;
