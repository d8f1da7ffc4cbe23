-- Rows with the lowest flag are few among many: they are found and counted without reading the log (store::INDEXED_FLAG).
CREATE INDEX log_rows_flag ON log_rows (owner, tbl, id) WHERE (flags & 1) != 0;
