-- Money that vouchers move: what merchants are owed, what they were paid, and where the rest went.
ALTER TABLE posting_line DROP CONSTRAINT posting_line_account_check;
ALTER TABLE posting_line ADD CONSTRAINT posting_line_account_check CHECK (
    account IN ('budget', 'unissued', 'live', 'settled', 'recycled', 'treasury', 'recovered')
    OR account LIKE 'payable:_%'
);

-- What happened to vouchers, holds and campaign money, and how each stood after it. Only ever grows.
CREATE TABLE step (
    number bigint PRIMARY KEY,
    at_ms bigint NOT NULL,
    -- The claim's row key.
    claim bigint,
    campaign bigint NOT NULL,
    -- The step that redeemed the voucher.
    redemption bigint,
    redeemed_at_ms bigint,
    amount bigint,
    discount bigint,
    refunded bigint NOT NULL,
    back bigint NOT NULL,
    moved bigint NOT NULL,
    posting bigint REFERENCES posting (number),
    drop_number integer,
    day integer,
    step text COLLATE "C" NOT NULL,
    state text COLLATE "C",
    person text COLLATE "C",
    merchant text COLLATE "C",
    shop text COLLATE "C",
    order_id text COLLATE "C",
    -- Whose idempotency key it was, and digests of the key and of what it was used for.
    actor text COLLATE "C",
    key text COLLATE "C",
    content text COLLATE "C",
    detail text COLLATE "C",
    CHECK ((claim IS NULL) = (state IS NULL))
);
CREATE INDEX step_claim ON step (claim, number) WHERE claim IS NOT NULL;
CREATE UNIQUE INDEX step_key ON step (actor, key) WHERE key IS NOT NULL;
CREATE INDEX step_order ON step (merchant, order_id) WHERE step = 'redeemed';
CREATE TRIGGER step_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON step
    FOR EACH STATEMENT EXECUTE FUNCTION it_stays();

-- Redemptions of a day: of a person at a merchant, and of a merchant where the person is empty.
CREATE TABLE day_count (
    campaign bigint NOT NULL,
    day integer NOT NULL,
    person text COLLATE "C" NOT NULL,
    merchant text COLLATE "C" NOT NULL,
    count bigint NOT NULL CHECK (count >= 0),
    PRIMARY KEY (campaign, day, person, merchant)
);

-- Up to which claim of a series vouchers were looked at whose time is over.
CREATE TABLE expiry (
    series bigint PRIMARY KEY,
    claim bigint NOT NULL
);

-- Closed stretches of a campaign's books, each from the end of the one before.
CREATE TABLE period (
    number bigint PRIMARY KEY,
    campaign bigint NOT NULL REFERENCES campaign (number),
    from_ms bigint NOT NULL,
    until_ms bigint NOT NULL CHECK (until_ms > from_ms),
    closed_at_ms bigint NOT NULL CHECK (closed_at_ms >= until_ms)
);
CREATE TABLE period_balance (
    period bigint NOT NULL REFERENCES period (number),
    account text COLLATE "C" NOT NULL,
    opening bigint NOT NULL,
    closing bigint NOT NULL,
    PRIMARY KEY (period, account)
);
CREATE INDEX period_campaign ON period (campaign, until_ms);
CREATE FUNCTION posting_is_in_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.at_ms < (SELECT max(until_ms) FROM period WHERE campaign = NEW.campaign) THEN
        RAISE EXCEPTION 'the period is closed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER posting_is_in_time BEFORE INSERT ON posting
    FOR EACH ROW EXECUTE FUNCTION posting_is_in_time();
