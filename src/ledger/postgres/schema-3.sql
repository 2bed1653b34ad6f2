-- Documents: every revision of what staff keep beside claims and money. Rows only ever come.
CREATE TABLE document (
    number bigint PRIMARY KEY CHECK (number >= 1),
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL CHECK (revision >= 1),
    -- JSON.
    body text NOT NULL,
    actor text NOT NULL,
    changed_at_ms bigint NOT NULL,
    UNIQUE (kind, id, revision)
);
CREATE TRIGGER document_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON document
    FOR EACH STATEMENT EXECUTE FUNCTION it_stays();
