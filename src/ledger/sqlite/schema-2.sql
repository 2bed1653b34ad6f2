-- Epochs: what each carried over from older ones, and the highest number that a front end reported of it.
ALTER TABLE loaded ADD COLUMN carried INTEGER NOT NULL DEFAULT 0 CHECK (carried >= 0);
ALTER TABLE loaded ADD COLUMN seen_seq INTEGER NOT NULL DEFAULT 0 CHECK (seen_seq >= 0);

-- The earliest release instant that was ever applied. Nothing where it is not known any more.
ALTER TABLE campaign_drop ADD COLUMN opens_at_min_ms INTEGER;

-- Shards of which the ledger has everything, as long as nothing is committed beyond the position.
CREATE TABLE seal (
    shard INTEGER PRIMARY KEY,
    ms INTEGER NOT NULL,
    seq INTEGER NOT NULL
) STRICT;
