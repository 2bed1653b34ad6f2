//! Campaign files for tests.

use claimrush::clock::{Clock, rfc3339};

/// A window that is open and stays so for the length of any test.
const HOUR_MS: i64 = 3_600_000;

/// One drop of a campaign file; open, with a limit of one, unless it is told otherwise.
#[derive(Debug, Clone)]
pub(crate) struct DropFile {
    id: String,
    stock: u32,
    limit: u32,
    opens_at_ms: i64,
    closes_at_ms: i64,
    item: Option<String>,
}

impl DropFile {
    /// An open drop.
    pub(crate) fn open(id: &str, stock: u32) -> Self {
        let now_ms = Clock::System.now_ms();
        Self {
            id: id.to_owned(),
            stock,
            limit: 1,
            opens_at_ms: now_ms - HOUR_MS,
            closes_at_ms: now_ms + 24 * HOUR_MS,
            item: None,
        }
    }

    /// The same with an item in the place of a voucher, as in `hold_for = "15m"`.
    pub(crate) fn item(self, terms: &str) -> Self {
        Self { item: Some(terms.to_owned()), ..self }
    }

    /// The same with another stock.
    pub(crate) fn stock(self, stock: u32) -> Self {
        Self { stock, ..self }
    }

    /// The same with another limit per person.
    pub(crate) fn limit(self, limit: u32) -> Self {
        Self { limit, ..self }
    }

    /// The same, opening an hour from now.
    pub(crate) fn not_open(self) -> Self {
        Self { opens_at_ms: Clock::System.now_ms() + HOUR_MS, ..self }
    }

    /// The same, with its window moved on by so many hours.
    pub(crate) fn later(self, hours: i64) -> Self {
        let [opens_at_ms, closes_at_ms] =
            [self.opens_at_ms, self.closes_at_ms].map(|at| at + hours * HOUR_MS);
        Self { opens_at_ms, closes_at_ms, ..self }
    }

    /// The same, closed a minute ago.
    pub(crate) fn closed(self) -> Self {
        Self { closes_at_ms: Clock::System.now_ms() - 60_000, ..self }
    }
}

/// The text of a campaign file with vouchers of one yuan.
pub(crate) fn campaign(id: &str, drops: &[DropFile]) -> String {
    let mut text = format!(
        "id = \"{id}\"\nname = \"彩云\"\nbudget = \"1000000.00 CNY\"\ntime_zone = \"Asia/Shanghai\"\n"
    );
    for DropFile { id, stock, limit, opens_at_ms, closes_at_ms, item } in drops {
        let (opens_at, closes_at) = (rfc3339(*opens_at_ms), rfc3339(*closes_at_ms));
        let gives = match item {
            Some(terms) => format!("item = {{ {terms} }}"),
            None => "voucher = { face = \"1.00\", threshold = \"5.00\", valid_for = \"7d\" }".to_owned(),
        };
        let drop = format!(
            "[[drop]]\nid = \"{id}\"\nopens_at = \"{opens_at}\"\ncloses_at = \"{closes_at}\"\n\
             stock = {stock}\nlimit_per_person = {limit}\n\
             {gives}\n"
        );
        text.push_str(&drop);
    }
    text
}
