-- By what staff moved a campaign's money, once between two accounts: a bank's reference booked twice would be two payments. What
-- was booked twice before stands; its reference stands for the first of them.
CREATE TABLE money_reference (
    campaign INTEGER NOT NULL REFERENCES campaign (number),
    paid_from TEXT NOT NULL,
    paid_to TEXT NOT NULL,
    reference TEXT NOT NULL,
    step INTEGER NOT NULL REFERENCES step (number),
    PRIMARY KEY (campaign, paid_from, paid_to, reference)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO money_reference
SELECT campaign, 'payable:' || merchant, 'settled', order_id, number
FROM step WHERE claim IS NULL AND step = 'settled' AND merchant IS NOT NULL AND order_id IS NOT NULL ORDER BY number;
INSERT OR IGNORE INTO money_reference
SELECT s.campaign, f.account, t.account, s.detail ->> '$.reference', s.number
FROM step s JOIN posting_line f ON f.posting = s.posting AND f.amount < 0
            JOIN posting_line t ON t.posting = s.posting AND t.amount > 0
WHERE s.claim IS NULL AND s.step = 'moved'
  AND CASE WHEN json_valid(s.detail) THEN s.detail ->> '$.reference' END IS NOT NULL ORDER BY s.number;
CREATE TRIGGER reference_stays BEFORE UPDATE ON money_reference BEGIN SELECT RAISE(ABORT, 'references stay'); END;
CREATE TRIGGER reference_is_kept BEFORE DELETE ON money_reference BEGIN SELECT RAISE(ABORT, 'references stay'); END;
