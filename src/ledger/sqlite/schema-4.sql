-- Documents: every revision of what staff keep beside claims and money. Rows only ever come.
CREATE TABLE document (
    number INTEGER PRIMARY KEY CHECK (number >= 1),
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL CHECK (revision >= 1),
    -- JSON.
    body TEXT NOT NULL,
    actor TEXT NOT NULL,
    changed_at_ms INTEGER NOT NULL,
    UNIQUE (kind, id, revision)
) STRICT;
CREATE TRIGGER document_stays BEFORE UPDATE ON document BEGIN SELECT RAISE(ABORT, 'documents stay'); END;
CREATE TRIGGER document_is_kept BEFORE DELETE ON document BEGIN SELECT RAISE(ABORT, 'documents stay'); END;
