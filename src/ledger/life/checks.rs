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

/// What merchants owe a campaign, all together: they were paid for what was refunded or recovered later.
pub(crate) const OWED: &str = "SELECT CAST(coalesce(-sum(amount), 0) AS bigint) FROM account \
     WHERE campaign = $1 AND name LIKE 'payable:%' AND amount < 0";

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

/// Movements of a campaign's money by staff whose reference is not kept, by which the same could be noted or reversed once more; and
/// references that are not those of their step. A transfer that an older version noted has its reference in its detail alone; what such a
/// version noted twice has that of the first. See [`super::references`] for the texts.
pub(crate) const REFERENCES_DIFFER: &str = "WITH noted AS ( \
        SELECT s.number, s.step, s.campaign, s.order_id, s.redemption, f.account AS paid_from, t.account AS paid_to FROM step s \
        JOIN posting_line f ON f.posting = s.posting AND f.amount < 0 \
        JOIN posting_line t ON t.posting = s.posting AND t.amount > 0 \
        WHERE s.claim IS NULL AND s.step IN ('settled', 'repaid', 'moved', 'contra')) \
     SELECT (SELECT count(*) FROM noted n WHERE n.step <> 'contra' AND n.order_id IS NOT NULL AND NOT EXISTS ( \
             SELECT 1 FROM money_reference r WHERE r.campaign = n.campaign AND r.paid_from = n.paid_from \
                AND r.paid_to = n.paid_to AND r.reference = n.order_id AND r.step <= n.number AND NOT EXISTS ( \
                   SELECT 1 FROM money_reference c WHERE c.campaign = r.campaign AND c.paid_from = r.paid_to \
                      AND c.paid_to = r.paid_from AND c.reference = '\n' || CAST(r.step AS text) AND c.step < n.number)) \
             AND NOT EXISTS ( \
             SELECT 1 FROM money_reference r WHERE r.campaign = n.campaign AND r.paid_from = n.paid_from \
                AND r.paid_to = n.paid_to AND r.reference > n.order_id || '\n' AND r.reference < n.order_id || '\x0b' \
                AND r.step = n.number)) \
          + (SELECT count(*) FROM noted n WHERE n.step = 'contra' AND NOT EXISTS ( \
             SELECT 1 FROM money_reference r WHERE r.campaign = n.campaign AND r.paid_from = n.paid_from \
                AND r.paid_to = n.paid_to AND r.reference = '\n' || CAST(n.redemption AS text) AND r.step = n.number)) \
          + (SELECT count(*) FROM money_reference r WHERE NOT EXISTS ( \
             SELECT 1 FROM noted n WHERE n.number = r.step AND n.campaign = r.campaign AND n.paid_from = r.paid_from \
                AND n.paid_to = r.paid_to AND CASE WHEN n.step = 'contra' \
                THEN r.reference = '\n' || CAST(n.redemption AS text) \
                ELSE coalesce(n.order_id, r.reference) = r.reference OR EXISTS ( \
                   SELECT 1 FROM money_reference o JOIN money_reference c ON c.campaign = o.campaign \
                      AND c.paid_from = o.paid_to AND c.paid_to = o.paid_from \
                      AND c.reference = '\n' || CAST(o.step AS text) \
                   WHERE o.campaign = r.campaign AND o.paid_from = r.paid_from AND o.paid_to = r.paid_to \
                      AND o.reference >= n.order_id AND o.reference < n.order_id || '\x0b' AND o.step < c.step \
                      AND c.step < n.number AND r.reference = n.order_id || '\n' || CAST(c.step AS text)) END))";

/// Reversals of money that reverse nothing: no movement by staff that was there before them, of the same campaign, as much, the other way;
/// and those that reverse what another one has reversed.
pub(crate) const REVERSALS_DIFFER: &str = "SELECT (SELECT count(*) FROM step c WHERE c.step = 'contra' AND NOT EXISTS ( \
        SELECT 1 FROM step s JOIN posting_line f ON f.posting = s.posting AND f.amount < 0 \
                             JOIN posting_line t ON t.posting = s.posting AND t.amount > 0 \
                             JOIN posting_line b ON b.posting = c.posting AND b.amount < 0 AND b.account = t.account \
                             JOIN posting_line a ON a.posting = c.posting AND a.amount > 0 AND a.account = f.account \
        WHERE s.number = c.redemption AND s.number < c.number AND s.step IN ('settled', 'repaid', 'moved') \
          AND s.claim IS NULL AND c.claim IS NULL AND s.campaign = c.campaign AND s.moved = c.moved)) \
     + (SELECT count(*) - count(DISTINCT redemption) FROM step WHERE step = 'contra' AND redemption IS NOT NULL)";

/// Counts kept of series that are not those of their rows: by them it is decided how far stock may shrink, and how much money is free.
pub(crate) const SERIES_DIFFER: &str = "SELECT count(*) FROM series s WHERE (s.claims, s.returned) <> ( \
     SELECT count(*), coalesce(sum(CASE c.status WHEN 0 THEN 0 ELSE 1 END), 0) FROM claim c \
     WHERE c.number >= s.number << 32 AND c.number < (s.number + 1) << 32)";

/// Places of the sweep over ended vouchers that are of no series, or beyond its last claim.
pub(crate) const PLACES_DIFFER: &str = "SELECT count(*) FROM expiry e \
     WHERE NOT EXISTS (SELECT 1 FROM series s WHERE s.number = e.series) OR e.claim > ( \
        SELECT coalesce(max(c.number), e.series << 32) FROM claim c \
        WHERE c.number >= e.series << 32 AND c.number < (e.series + 1) << 32)";

/// Vouchers that stand issued before the place from which the sweep over ended ones goes on: it would never come to them, and their
/// money would stay in their holders' hands for ever.
pub(crate) const PASSED_OVER: &str = "SELECT count(*) FROM expiry e JOIN claim c \
          ON c.number > e.series << 32 AND c.number < (e.series + 1) << 32 AND c.number <= e.claim \
     WHERE c.status = 0 AND NOT EXISTS (SELECT 1 FROM step s WHERE s.claim = c.number AND s.state <> 'issued' \
          AND NOT EXISTS (SELECT 1 FROM step n WHERE n.claim = s.claim AND n.number > s.number))";
