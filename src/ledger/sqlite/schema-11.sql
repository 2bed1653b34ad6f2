-- By which rules the ledger is written, beside the form of these tables: a program that knows earlier ones alone does not open it.
CREATE TABLE rules (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL CHECK (number >= 0),
    written_by TEXT NOT NULL
) STRICT;
INSERT INTO rules (one, number, written_by) VALUES (1, 0, '');
