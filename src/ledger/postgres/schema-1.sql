-- The one row that says how often campaigns, states or loading changed. Everything that writes locks it first, so
-- that writers follow each other and the audit chain cannot fork.
CREATE TABLE catalogue (
    one smallint PRIMARY KEY CHECK (one = 1),
    revision bigint NOT NULL
);
INSERT INTO catalogue (one, revision) VALUES (1, 0);

CREATE TABLE campaign (
    number bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    -- Canonical JSON, as digested in the audit records.
    body text NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'paused'))
);

CREATE TABLE campaign_drop (
    -- Claim numbers carry it in 24 bits.
    number integer PRIMARY KEY CHECK (number BETWEEN 1 AND 16777215),
    id text COLLATE "C" NOT NULL UNIQUE,
    campaign bigint NOT NULL REFERENCES campaign (number),
    -- Worth of one claim in fen; nothing where it is not money. Never changes.
    face bigint CHECK (face > 0),
    -- The earliest release instant that was ever applied.
    opens_at_min_ms bigint
);

-- Epochs: what each carried over from older ones, and the highest number that a front end reported of it.
CREATE TABLE loaded (
    drop_number integer NOT NULL REFERENCES campaign_drop (number),
    shard smallint NOT NULL,
    epoch integer NOT NULL,
    carried bigint NOT NULL DEFAULT 0 CHECK (carried >= 0),
    seen_seq bigint NOT NULL DEFAULT 0 CHECK (seen_seq >= 0),
    PRIMARY KEY (drop_number, shard, epoch)
);

-- Up to where each shard's journal is committed. Both halves are 64 bits without a sign.
CREATE TABLE position (
    shard smallint PRIMARY KEY,
    ms bigint NOT NULL,
    seq bigint NOT NULL
);

-- Shards of which the ledger has everything, as long as nothing is committed beyond the position.
CREATE TABLE seal (
    shard smallint PRIMARY KEY,
    ms bigint NOT NULL,
    seq bigint NOT NULL
);

-- Claims that are numbered together. The counts are for quick answers; the audit counts rows.
CREATE TABLE series (
    number bigint PRIMARY KEY CHECK (number BETWEEN 1 AND 2147483647),
    drop_number integer NOT NULL REFERENCES campaign_drop (number),
    shard smallint NOT NULL,
    epoch integer NOT NULL,
    claims bigint NOT NULL DEFAULT 0,
    returned bigint NOT NULL DEFAULT 0,
    UNIQUE (drop_number, shard, epoch)
);

-- The widest table and the hot one: no index but its key, no trigger, no foreign key. Columns of fixed width come
-- first, as they are then packed without gaps.
CREATE TABLE claim (
    -- series << 32 | seq
    number bigint PRIMARY KEY,
    claimed_at_ms bigint NOT NULL,
    -- 0 issued, 1 returned
    status smallint NOT NULL,
    person text COLLATE "C" NOT NULL,
    mark text COLLATE "C"
);

CREATE TABLE claim_return (
    number bigint PRIMARY KEY,
    claim bigint NOT NULL UNIQUE,
    returned_at_ms bigint NOT NULL,
    may_claim_again boolean NOT NULL
);

-- The texts are bytes, as they may hold any character, also the one that PostgreSQL's texts may not.
CREATE TABLE quarantine (
    number bigint PRIMARY KEY,
    shard smallint NOT NULL,
    ms bigint NOT NULL,
    seq bigint NOT NULL,
    raw bytea NOT NULL,
    reason bytea NOT NULL,
    UNIQUE (shard, ms, seq)
);

CREATE TABLE posting (
    number bigint PRIMARY KEY,
    at_ms bigint NOT NULL,
    campaign bigint NOT NULL REFERENCES campaign (number),
    drop_number integer REFERENCES campaign_drop (number),
    kind text NOT NULL
);

CREATE TABLE posting_line (
    posting bigint NOT NULL REFERENCES posting (number),
    account text COLLATE "C" NOT NULL
        CHECK (account IN ('budget', 'unissued', 'live', 'redeemed', 'recycled')),
    amount bigint NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (posting, account)
);

-- Sums of the lines so far, so that a posting can see what an account holds without adding up its history.
CREATE TABLE account (
    campaign bigint NOT NULL REFERENCES campaign (number),
    name text COLLATE "C" NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (campaign, name)
);

CREATE FUNCTION posting_line_adds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO account (campaign, name, amount)
    SELECT p.campaign, NEW.account, NEW.amount FROM posting p WHERE p.number = NEW.posting
    ON CONFLICT (campaign, name) DO UPDATE SET amount = account.amount + excluded.amount;
    RETURN NULL;
END $$;
CREATE TRIGGER posting_line_adds AFTER INSERT ON posting_line
    FOR EACH ROW EXECUTE FUNCTION posting_line_adds();

-- Looked at when the transaction commits: the lines of a posting add up to zero.
CREATE FUNCTION posting_is_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(amount) FROM posting_line WHERE posting = NEW.posting) <> 0 THEN
        RAISE EXCEPTION 'the lines of posting % do not add up to zero', NEW.posting
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER posting_is_balanced AFTER INSERT ON posting_line
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION posting_is_balanced();

-- The chain, and what was posted, only ever grow.
CREATE TABLE audit (
    number bigint PRIMARY KEY,
    body text NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32)
);
CREATE FUNCTION it_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % stay as they are', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION it_stays();
CREATE TRIGGER line_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON posting_line
    FOR EACH STATEMENT EXECUTE FUNCTION it_stays();
CREATE TRIGGER posting_is_kept BEFORE DELETE OR TRUNCATE ON posting
    FOR EACH STATEMENT EXECUTE FUNCTION it_stays();
