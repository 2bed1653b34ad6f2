-- Orphan receipts: signed codes of claims that no store has, and who showed them.
CREATE TABLE receipt (
    number INTEGER PRIMARY KEY,
    -- The claim's id, of which the code is the signed form.
    claim TEXT NOT NULL,
    person TEXT NOT NULL,
    shown_at_ms INTEGER NOT NULL,
    -- Nothing while it is open; then either of the two that follow says what was decided.
    settled_at_ms INTEGER,
    replacement TEXT,
    reason TEXT,
    UNIQUE (claim, person),
    CHECK ((settled_at_ms IS NULL) = (replacement IS NULL AND reason IS NULL)),
    CHECK (replacement IS NULL OR reason IS NULL)
) STRICT;
-- A claim is owed once, whoever shows its code.
CREATE UNIQUE INDEX receipt_honoured ON receipt (claim) WHERE replacement IS NOT NULL;
