//! What must hold between steps and what is kept beside them, as queries that both stores understand.
//!
//! Each query gives one number: how many rows differ. The audit chain covers the steps; these tie the rest to them.

/// Counts of a day that are not what the steps add up to. Zero is as good as no row: what is redeemed and taken back in one
/// transaction leaves none.
pub(crate) const COUNTS_DIFFER: &str = "WITH stepped AS ( \
        SELECT campaign, day, '' AS person, merchant, \
               sum(CASE step WHEN 'redeemed' THEN 1 ELSE -1 END) AS count FROM step \
        WHERE step IN ('redeemed', 'reversed', 'reversed_late') GROUP BY campaign, day, merchant \
        HAVING sum(CASE step WHEN 'redeemed' THEN 1 ELSE -1 END) <> 0 \
        UNION ALL \
        SELECT campaign, day, person, merchant, \
               sum(CASE step WHEN 'redeemed' THEN 1 ELSE -1 END) AS count FROM step \
        WHERE step IN ('redeemed', 'reversed', 'reversed_late') GROUP BY campaign, day, person, merchant \
        HAVING sum(CASE step WHEN 'redeemed' THEN 1 ELSE -1 END) <> 0), \
     kept AS (SELECT campaign, day, person, merchant, count FROM day_count WHERE count <> 0) \
     SELECT (SELECT count(*) FROM (SELECT * FROM stepped EXCEPT SELECT * FROM kept) a) \
          + (SELECT count(*) FROM (SELECT * FROM kept EXCEPT SELECT * FROM stepped) b)";

/// Postings that are not what their steps moved.
pub(crate) const MONEY_DIFFERS: &str = "SELECT count(*) FROM ( \
        SELECT posting, sum(moved) AS moved FROM step WHERE posting IS NOT NULL GROUP BY posting) s \
     LEFT JOIN (SELECT posting, sum(amount) AS amount FROM posting_line WHERE amount > 0 GROUP BY posting) l \
          ON l.posting = s.posting \
     WHERE l.amount IS NULL OR l.amount <> s.moved";

/// How claims stand with which a step was taken: drop, state and how many.
pub(crate) const STANDS: &str = "SELECT drop_number, state, count(*) FROM step s WHERE claim IS NOT NULL \
     AND NOT EXISTS (SELECT 1 FROM step n WHERE n.claim = s.claim AND n.number > s.number) \
     GROUP BY drop_number, state ORDER BY drop_number, state";

/// Closed periods whose balances are not what the postings add up to.
pub(crate) const PERIODS_DIFFER: &str = "SELECT count(*) FROM period p WHERE EXISTS ( \
     SELECT 1 FROM period_balance b WHERE b.period = p.number AND b.closing <> coalesce(( \
         SELECT sum(l.amount) FROM posting e JOIN posting_line l ON l.posting = e.number \
         WHERE e.campaign = p.campaign AND e.at_ms < p.until_ms AND l.account = b.account), 0))";

/// Sums kept of accounts that are not what the lines of postings add up to: by them it is decided how much may be paid and moved.
pub(crate) const ACCOUNTS_DIFFER: &str = "WITH added AS ( \
        SELECT p.campaign, l.account, sum(l.amount) AS amount FROM posting_line l JOIN posting p ON p.number = l.posting \
        GROUP BY p.campaign, l.account) \
     SELECT (SELECT count(*) FROM added a LEFT JOIN account k ON k.campaign = a.campaign AND k.name = a.account \
             WHERE coalesce(k.amount, 0) <> a.amount) \
          + (SELECT count(*) FROM account k WHERE k.amount <> 0 AND NOT EXISTS \
             (SELECT 1 FROM added a WHERE a.campaign = k.campaign AND a.account = k.name))";

/// Payments to merchants and by them whose reference is not kept, by which the bank's same transfer could be noted once more; and references
/// of no step.
pub(crate) const REFERENCES_DIFFER: &str = "SELECT (SELECT count(*) FROM step s \
             WHERE s.claim IS NULL AND s.step IN ('settled', 'repaid') AND s.merchant IS NOT NULL AND s.order_id IS NOT NULL \
               AND NOT EXISTS (SELECT 1 FROM money_reference r WHERE r.campaign = s.campaign \
                     AND r.paid_from = CASE s.step WHEN 'settled' THEN 'payable:' || s.merchant ELSE 'settled' END \
                     AND r.paid_to = CASE s.step WHEN 'repaid' THEN 'payable:' || s.merchant ELSE 'settled' END \
                     AND r.reference = s.order_id AND r.step <= s.number)) \
          + (SELECT count(*) FROM money_reference r WHERE NOT EXISTS (SELECT 1 FROM step s \
             WHERE s.number = r.step AND s.campaign = r.campaign AND s.claim IS NULL AND s.step IN ('settled', 'repaid', 'moved')))";
