//! What the steps of a voucher ask for: thresholds, places, validity, days, and shares of money.
//!
//! Pure: numbers in, numbers or the rule that says no out.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::UnixMs;
use crate::domain::campaign::VoucherTerms;
use crate::domain::merchant::covers;
use crate::domain::money::Fen;

/// What is known of a merchant's place in the programme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merchant {
    /// Its id.
    pub id: String,
    /// Its category: a code of GB/T 4754, or a word of the programme's own list.
    pub category: String,
    /// Its region: a code of GB/T 2260.
    pub region: String,
    /// The most redemptions a day, of each campaign's vouchers.
    pub per_day: Option<u32>,
    /// The most redemptions of one person a day, of each campaign's vouchers.
    pub person_per_day: Option<u32>,
}

/// Why a till takes no voucher, whichever it is. What it did before it is told again by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barred {
    /// Its merchant is suspended.
    Suspended,
    /// It does not say at which shop it stands, and the merchant's shops lie in several regions.
    ShopUnnamed,
}

/// In which form a voucher was shown at a till.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownAs {
    /// By its code, which stays the same: a photograph of it is as good.
    Code,
    /// By a QR payload that is fresh.
    Qr,
    /// By a QR payload whose time is over: good to ask again for what was done while it was fresh, and for nothing else.
    OldQr,
}

/// Which of a voucher's terms an order or its merchant does not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet {
    /// The order is below the threshold.
    Threshold,
    /// Merchants of this category do not take it.
    Category,
    /// Merchants of this region do not take it.
    Region,
}

/// Whether an order of `amount` at a merchant may use a voucher. A code stands for all that begin with it, as `53` does
/// for all of Yunnan.
///
/// # Errors
/// The first term that is not met.
pub fn may_use(terms: &VoucherTerms, merchant: &Merchant, amount: Fen) -> Result<(), Unmet> {
    let takes =
        |rules: &[String], code: &str| rules.is_empty() || rules.iter().any(|rule| covers(rule, code));
    if !takes(&terms.categories, &merchant.category) {
        Err(Unmet::Category)
    } else if !takes(&terms.regions, &merchant.region) {
        Err(Unmet::Region)
    } else if amount < terms.threshold {
        Err(Unmet::Threshold)
    } else {
        Ok(())
    }
}

/// The first instant at which a voucher is no longer valid.
#[must_use]
pub fn expires_at_ms(terms: &VoucherTerms, claimed_at_ms: UnixMs) -> UnixMs {
    claimed_at_ms.saturating_add(terms.valid_ms)
}

/// The day of an instant on the clocks of a time zone, counted from 1970-01-01.
#[must_use]
pub fn day_of(at_ms: UnixMs, zone: &TimeZone) -> i32 {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let local_ms = at_ms.saturating_add(i64::from(zone.to_offset(at).seconds()) * 1_000);
    i32::try_from(local_ms.div_euclid(86_400_000)).unwrap_or(i32::MAX)
}

/// What of a discount goes back once `refunded` of an order's `amount` was refunded: the same share, rounded down to
/// the fen, and all of it with the last fen.
#[must_use]
pub fn discount_back(discount: Fen, amount: Fen, refunded: Fen) -> Fen {
    if refunded >= amount || amount.0 <= 0 {
        return discount;
    }
    let share = i128::from(discount.0) * i128::from(refunded.0.max(0)) / i128::from(amount.0);
    Fen(i64::try_from(share).unwrap_or(discount.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn terms() -> VoucherTerms {
        let text = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
        VoucherTerms {
            face: Fen(2_500),
            threshold: Fen(10_000),
            valid_ms: 604_800_000,
            categories: text(&["52", "catering"]),
            regions: text(&["53"]),
        }
    }

    fn merchant(category: &str, region: &str) -> Merchant {
        let (category, region) = (category.into(), region.into());
        Merchant { id: "m".into(), category, region, per_day: None, person_per_day: None }
    }

    #[test]
    fn orders_meet_every_term_or_none() {
        for (category, region, amount, outcome) in [
            ("5211", "530102", 10_000, Ok(())),
            ("catering", "53", 99_999, Ok(())),
            ("catering-2", "530102", 10_000, Err(Unmet::Category)),
            ("6210", "530102", 10_000, Err(Unmet::Category)),
            ("5211", "510102", 10_000, Err(Unmet::Region)),
            ("5211", "5", 10_000, Err(Unmet::Region)),
            ("5211", "530102", 9_999, Err(Unmet::Threshold)),
        ] {
            assert_eq!(may_use(&terms(), &merchant(category, region), Fen(amount)), outcome, "{category}");
        }
        let everywhere = VoucherTerms { categories: Vec::new(), regions: Vec::new(), ..terms() };
        assert_eq!(may_use(&everywhere, &merchant("", ""), Fen(10_000)), Ok(()));
    }

    #[test]
    fn days_end_at_midnight_of_the_campaign() {
        let shanghai = TimeZone::get("Asia/Shanghai").unwrap();
        // 2023-11-20T15:59:59.999Z is the last millisecond of the 20th in Shanghai.
        let last_ms = 1_700_495_999_999;
        assert_eq!(day_of(last_ms, &shanghai) + 1, day_of(last_ms + 1, &shanghai));
        assert_eq!(day_of(last_ms, &TimeZone::UTC), day_of(last_ms + 1, &TimeZone::UTC));
        assert_eq!(day_of(-1, &TimeZone::UTC), -1);
    }

    proptest! {
        #[test]
        fn parts_of_a_refund_give_the_discount_back_once(
            discount in 0..1_000_000_000_i64, amount in 1..100_000_000_000_i64, parts in prop::collection::vec(0..1_000_000_000_i64, 0..9),
        ) {
            let (discount, amount) = (Fen(discount.min(amount)), Fen(amount));
            let (mut refunded, mut back) = (Fen(0), Fen(0));
            for part in parts {
                refunded = Fen((refunded.0 + part).min(amount.0));
                let now = discount_back(discount, amount, refunded);
                prop_assert!(now >= back && now <= discount);
                back = now;
            }
            prop_assert_eq!(discount_back(discount, amount, amount), discount);
        }
    }
}
