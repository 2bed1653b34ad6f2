-- The one row that says how often campaigns, states or loading changed.
CREATE TABLE catalogue (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO catalogue (one, revision) VALUES (1, 0);

CREATE TABLE campaign (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    -- Canonical JSON, as digested in the audit records.
    body TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'paused'))
) STRICT;

CREATE TABLE campaign_drop (
    -- Claim numbers carry it in 24 bits.
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 16777215),
    id TEXT NOT NULL UNIQUE,
    campaign INTEGER NOT NULL REFERENCES campaign (number),
    -- Worth of one claim in fen; nothing where it is not money. Never changes.
    face INTEGER CHECK (face > 0)
) STRICT;

CREATE TABLE loaded (
    drop_number INTEGER NOT NULL REFERENCES campaign_drop (number),
    shard INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (drop_number, shard, epoch)
) STRICT, WITHOUT ROWID;

-- Up to where each shard's journal is committed. Both halves are 64 bits without a sign.
CREATE TABLE position (
    shard INTEGER PRIMARY KEY,
    ms INTEGER NOT NULL,
    seq INTEGER NOT NULL
) STRICT;

-- Claims that are numbered together. The counts are for quick answers; the audit counts rows.
CREATE TABLE series (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 2147483647),
    drop_number INTEGER NOT NULL REFERENCES campaign_drop (number),
    shard INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    claims INTEGER NOT NULL DEFAULT 0,
    returned INTEGER NOT NULL DEFAULT 0,
    UNIQUE (drop_number, shard, epoch)
) STRICT;

-- The widest table and the hot one: no index but its key, no trigger, no foreign key.
CREATE TABLE claim (
    -- series << 32 | seq
    number INTEGER PRIMARY KEY,
    person TEXT NOT NULL,
    mark TEXT,
    claimed_at_ms INTEGER NOT NULL,
    -- 0 issued, 1 returned
    status INTEGER NOT NULL
) STRICT;

CREATE TABLE claim_return (
    number INTEGER PRIMARY KEY,
    claim INTEGER NOT NULL UNIQUE,
    returned_at_ms INTEGER NOT NULL,
    may_claim_again INTEGER NOT NULL CHECK (may_claim_again IN (0, 1))
) STRICT;

CREATE TABLE quarantine (
    number INTEGER PRIMARY KEY,
    shard INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    raw TEXT NOT NULL,
    reason TEXT NOT NULL,
    UNIQUE (shard, ms, seq)
) STRICT;

-- The only value that a posting's total may have when a transaction commits.
CREATE TABLE balanced (total INTEGER PRIMARY KEY CHECK (total = 0)) STRICT;
INSERT INTO balanced (total) VALUES (0);

CREATE TABLE posting (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    campaign INTEGER NOT NULL REFERENCES campaign (number),
    drop_number INTEGER REFERENCES campaign_drop (number),
    kind TEXT NOT NULL,
    -- Kept by a trigger. SQLite checks a deferred reference at the commit, which makes it a check of the sum.
    total INTEGER NOT NULL DEFAULT 0 REFERENCES balanced (total) DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE TABLE posting_line (
    posting INTEGER NOT NULL REFERENCES posting (number),
    account TEXT NOT NULL CHECK (account IN ('budget', 'unissued', 'live', 'redeemed', 'recycled')),
    amount INTEGER NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (posting, account)
) STRICT, WITHOUT ROWID;

-- Sums of the lines so far, so that a posting can see what an account holds without adding up its history.
CREATE TABLE account (
    campaign INTEGER NOT NULL REFERENCES campaign (number),
    name TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (campaign, name)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER posting_line_adds AFTER INSERT ON posting_line BEGIN
    UPDATE posting SET total = total + NEW.amount WHERE number = NEW.posting;
    INSERT INTO account (campaign, name, amount)
    SELECT campaign, NEW.account, NEW.amount FROM posting WHERE number = NEW.posting
    ON CONFLICT DO UPDATE SET amount = amount + excluded.amount;
END;

-- The chain, and what was posted, only ever grow.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit records stay'); END;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit records stay'); END;
CREATE TRIGGER line_stays BEFORE UPDATE ON posting_line BEGIN SELECT RAISE(ABORT, 'postings stay'); END;
CREATE TRIGGER line_is_kept BEFORE DELETE ON posting_line BEGIN SELECT RAISE(ABORT, 'postings stay'); END;
CREATE TRIGGER posting_is_kept BEFORE DELETE ON posting BEGIN SELECT RAISE(ABORT, 'postings stay'); END;
