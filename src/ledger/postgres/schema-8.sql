-- What each line did for itself is done once for all lines of a statement: an account that a hundred postings move is changed
-- once, where it was changed a hundred times, and each change had to find its way past those before. The plans of these
-- functions are made once a session, perhaps while the tables are empty: they may not read a whole table.
DROP TRIGGER posting_line_adds ON posting_line;
CREATE OR REPLACE FUNCTION posting_line_adds() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO account (campaign, name, amount)
    SELECT p.campaign, l.account, sum(l.amount)
    FROM added l CROSS JOIN LATERAL (SELECT campaign FROM posting WHERE number = l.posting OFFSET 0) p
    GROUP BY p.campaign, l.account
    ON CONFLICT (campaign, name) DO UPDATE SET amount = account.amount + excluded.amount;
    RETURN NULL;
END $$;
CREATE TRIGGER posting_line_adds AFTER INSERT ON posting_line
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION posting_line_adds();

-- A posting's lines come in one statement, and add up to zero in it.
DROP TRIGGER posting_is_balanced ON posting_line;
CREATE OR REPLACE FUNCTION posting_is_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong bigint;
BEGIN
    SELECT posting INTO wrong FROM added GROUP BY posting HAVING sum(amount) <> 0 LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the lines of posting % do not add up to zero', wrong USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER posting_is_balanced AFTER INSERT ON posting_line
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION posting_is_balanced();
