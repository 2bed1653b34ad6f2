-- Money that vouchers move: what merchants are owed, what they were paid, and where the rest went.
CREATE TABLE posting_line_5 (
    posting INTEGER NOT NULL REFERENCES posting (number),
    account TEXT NOT NULL CHECK (
        account IN ('budget', 'unissued', 'live', 'settled', 'recycled', 'treasury', 'recovered')
        OR account GLOB 'payable:?*'
    ),
    amount INTEGER NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (posting, account)
) STRICT, WITHOUT ROWID;
INSERT INTO posting_line_5 SELECT posting, account, amount FROM posting_line;
DROP TABLE posting_line;
ALTER TABLE posting_line_5 RENAME TO posting_line;
CREATE TRIGGER posting_line_adds AFTER INSERT ON posting_line BEGIN
    UPDATE posting SET total = total + NEW.amount WHERE number = NEW.posting;
    INSERT INTO account (campaign, name, amount)
    SELECT campaign, NEW.account, NEW.amount FROM posting WHERE number = NEW.posting
    ON CONFLICT DO UPDATE SET amount = amount + excluded.amount;
END;
CREATE TRIGGER line_stays BEFORE UPDATE ON posting_line BEGIN SELECT RAISE(ABORT, 'postings stay'); END;
CREATE TRIGGER line_is_kept BEFORE DELETE ON posting_line BEGIN SELECT RAISE(ABORT, 'postings stay'); END;

-- What happened to vouchers, holds and campaign money, and how each stood after it. Only ever grows.
CREATE TABLE step (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    step TEXT NOT NULL,
    campaign INTEGER NOT NULL,
    drop_number INTEGER,
    -- The claim's row key.
    claim INTEGER,
    person TEXT,
    state TEXT,
    -- The step that redeemed the voucher.
    redemption INTEGER,
    redeemed_at_ms INTEGER,
    merchant TEXT,
    shop TEXT,
    order_id TEXT,
    amount INTEGER,
    discount INTEGER,
    refunded INTEGER NOT NULL,
    back INTEGER NOT NULL,
    moved INTEGER NOT NULL,
    posting INTEGER REFERENCES posting (number),
    day INTEGER,
    -- Whose idempotency key it was, and digests of the key and of what it was used for.
    actor TEXT,
    key TEXT,
    content TEXT,
    detail TEXT,
    CHECK ((claim IS NULL) = (state IS NULL))
) STRICT;
CREATE INDEX step_claim ON step (claim, number) WHERE claim IS NOT NULL;
CREATE UNIQUE INDEX step_key ON step (actor, key) WHERE key IS NOT NULL;
CREATE INDEX step_order ON step (merchant, order_id) WHERE step = 'redeemed';
CREATE TRIGGER step_stays BEFORE UPDATE ON step BEGIN SELECT RAISE(ABORT, 'steps stay'); END;
CREATE TRIGGER step_is_kept BEFORE DELETE ON step BEGIN SELECT RAISE(ABORT, 'steps stay'); END;

-- Redemptions of a day: of a person at a merchant, and of a merchant where the person is empty.
CREATE TABLE day_count (
    campaign INTEGER NOT NULL,
    day INTEGER NOT NULL,
    person TEXT NOT NULL,
    merchant TEXT NOT NULL,
    count INTEGER NOT NULL CHECK (count >= 0),
    PRIMARY KEY (campaign, day, person, merchant)
) STRICT, WITHOUT ROWID;

-- Up to which claim of a series vouchers were looked at whose time is over.
CREATE TABLE expiry (
    series INTEGER PRIMARY KEY,
    claim INTEGER NOT NULL
) STRICT;

-- Closed stretches of a campaign's books, each from the end of the one before.
CREATE TABLE period (
    number INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL REFERENCES campaign (number),
    from_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL CHECK (until_ms > from_ms),
    closed_at_ms INTEGER NOT NULL CHECK (closed_at_ms >= until_ms)
) STRICT;
CREATE TABLE period_balance (
    period INTEGER NOT NULL REFERENCES period (number),
    account TEXT NOT NULL,
    opening INTEGER NOT NULL,
    closing INTEGER NOT NULL,
    PRIMARY KEY (period, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX period_campaign ON period (campaign, until_ms);
CREATE TRIGGER posting_is_in_time BEFORE INSERT ON posting
WHEN NEW.at_ms < (SELECT max(until_ms) FROM period WHERE campaign = NEW.campaign)
BEGIN SELECT RAISE(ABORT, 'the period is closed'); END;
