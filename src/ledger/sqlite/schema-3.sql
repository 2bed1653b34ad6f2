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
-- What persons are known by in a campaign, as keyed hashes, and which drop they chose; the last row of a field counts.
CREATE TABLE bond (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    campaign INTEGER NOT NULL REFERENCES campaign (number),
    field TEXT NOT NULL,
    value TEXT NOT NULL
) STRICT;
CREATE INDEX bond_field ON bond (campaign, field, number);

-- A claim is owed once, whoever shows its code.
CREATE UNIQUE INDEX receipt_honoured ON receipt (claim) WHERE replacement IS NOT NULL;
