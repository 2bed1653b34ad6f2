-- By what staff moved a campaign's money, once between two accounts: a bank's reference booked twice would be two payments. What
-- was booked twice before stands; its reference stands for the first of them.
CREATE TABLE money_reference (
    campaign bigint NOT NULL REFERENCES campaign (number),
    paid_from text COLLATE "C" NOT NULL,
    paid_to text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL,
    step bigint NOT NULL REFERENCES step (number),
    PRIMARY KEY (campaign, paid_from, paid_to, reference)
);
INSERT INTO money_reference
SELECT campaign, 'payable:' || merchant, 'settled', order_id, min(number)
FROM step WHERE claim IS NULL AND step = 'settled' AND merchant IS NOT NULL AND order_id IS NOT NULL GROUP BY 1, 2, 3, 4;
-- A detail that is no JSON names no reference.
DO $$
DECLARE
    moved record;
BEGIN
    FOR moved IN
        SELECT s.number, s.campaign, s.detail, f.account AS paid_from, t.account AS paid_to
        FROM step s JOIN posting_line f ON f.posting = s.posting AND f.amount < 0
                    JOIN posting_line t ON t.posting = s.posting AND t.amount > 0
        WHERE s.claim IS NULL AND s.step = 'moved' ORDER BY s.number
    LOOP
        BEGIN
            IF moved.detail::jsonb ->> 'reference' IS NOT NULL THEN
                INSERT INTO money_reference VALUES (moved.campaign, moved.paid_from, moved.paid_to,
                    moved.detail::jsonb ->> 'reference', moved.number) ON CONFLICT DO NOTHING;
            END IF;
        EXCEPTION WHEN data_exception THEN
            NULL;
        END;
    END LOOP;
END $$;
CREATE TRIGGER reference_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON money_reference
    FOR EACH STATEMENT EXECUTE FUNCTION it_stays();
