-- Orphan receipts: signed codes of claims that no store has, and who showed them.
CREATE TABLE receipt (
    number bigint PRIMARY KEY,
    -- The claim's id, of which the code is the signed form.
    claim text COLLATE "C" NOT NULL,
    person text COLLATE "C" NOT NULL,
    shown_at_ms bigint NOT NULL,
    -- Nothing while it is open; then either of the two that follow says what was decided.
    settled_at_ms bigint,
    replacement text COLLATE "C",
    reason text,
    UNIQUE (claim, person),
    CHECK ((settled_at_ms IS NULL) = (replacement IS NULL AND reason IS NULL)),
    CHECK (replacement IS NULL OR reason IS NULL)
);
-- What persons are known by in a campaign, as keyed hashes, and which drop they chose; the last row of a field counts.
CREATE TABLE bond (
    number bigint PRIMARY KEY,
    at_ms bigint NOT NULL,
    campaign bigint NOT NULL REFERENCES campaign (number),
    field text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL
);
CREATE INDEX bond_field ON bond (campaign, field, number);

-- A claim is owed once, whoever shows its code.
CREATE UNIQUE INDEX receipt_honoured ON receipt (claim) WHERE replacement IS NOT NULL;
