//! The campaign file: from TOML text to a checked [`Campaign`], or the line that is wrong and why.
//!
//! Owns the keys of the file and the rules that hold inside one file. What a file may change of a campaign that
//! already runs is decided in [`super::changes()`].

use std::collections::HashSet;

use jiff::tz::TimeZone;
use toml::de::DeTable;

use super::table::{Field, Source, Table};
use super::{Campaign, DropSpec, VoucherTerms, item, redemption, value, wave};
use crate::domain::eligibility::Eligibility;
use crate::domain::ids::{CampaignId, DropId};
use crate::domain::money::Fen;
use crate::domain::region;
use crate::limits;

/// Why a campaign file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct FileError {
    /// The offending line, from 1.
    pub line: usize,
    /// What is wrong, one line that names the key.
    pub what: String,
}

const CAMPAIGN_KEYS: [&str; 10] = [
    "id",
    "name",
    "sponsor",
    "budget",
    "daily_budget",
    "time_zone",
    "drop",
    "wave",
    "eligibility",
    "redemption",
];
const DROP_KEYS: [&str; 10] = [
    "id",
    "name",
    "opens_at",
    "closes_at",
    "stock",
    "limit_per_person",
    "voucher",
    "item",
    "funded_by",
    "eligibility",
];
const WAVE_KEYS: [&str; 11] = [
    "id",
    "name",
    "opens_at",
    "open_for",
    "every",
    "count",
    "stock",
    "limit_per_person",
    "voucher",
    "item",
    "eligibility",
];
const ELIGIBILITY_KEYS: [&str; 6] =
    ["regions", "address_regions", "min_account_age", "allow_list", "one_per_campaign", "cool_down"];
const VOUCHER_KEYS: [&str; 4] = ["face", "threshold", "valid_for", "merchants"];
const MERCHANT_KEYS: [&str; 2] = ["category", "region"];

/// See [`Campaign::parse`].
pub(super) fn parse(text: &str) -> Result<Campaign, FileError> {
    let source = Source(text);
    if text.len() > limits::CAMPAIGN_FILE_BYTES_MAX {
        let what = format!("the file is larger than {} bytes", limits::CAMPAIGN_FILE_BYTES_MAX);
        return Err(FileError { line: 1, what });
    }
    let parsed = DeTable::parse(text).map_err(|error| syntax(source, &error))?;
    let file = Table::open(source, 0..0, String::new(), parsed.get_ref(), &CAMPAIGN_KEYS)?;

    let id: CampaignId = id(&file)?;
    let budget = file.need("budget")?;
    let (budget, currency) =
        value::budget(file.text(&budget)?).map_err(|what| file.refuse(&budget, &what))?;
    let zone_field = file.need("time_zone")?;
    let time_zone = file.text(&zone_field)?;
    let zone = value::time_zone(time_zone).map_err(|what| file.refuse(&zone_field, &what))?;

    let daily_field = file.get("daily_budget");
    let daily_budget = daily_field
        .as_ref()
        .map(|field| value::amount(file.text(field)?, &currency).map_err(|what| file.refuse(field, &what)));
    let daily_budget = daily_budget.transpose()?;
    let drops = Drops { currency: &currency, zone: &zone, budget, ids: HashSet::new(), spoken_for: Fen(0) };
    let drops = drops.read_all(&file)?;
    let name = optional_text(&file, "name")?.unwrap_or_else(|| id.to_string());
    let sponsor = optional_text(&file, "sponsor")?;
    let time_zone = time_zone.to_owned();
    let eligibility = eligibility(&file)?;
    let redemption = redemption::read(&file)?;
    let campaign = Campaign {
        id,
        name,
        sponsor,
        budget,
        daily_budget,
        currency,
        time_zone,
        drops,
        eligibility,
        redemption,
    };
    match (campaign.day_over(), &daily_field) {
        (Some(over), Some(field)) => Err(file.refuse(field, &over.to_string())),
        _ => Ok(campaign),
    }
}

fn syntax(source: Source<'_>, error: &toml::de::Error) -> FileError {
    let line = source.line(error.span().map_or(0, |span| span.start));
    FileError { line, what: error.message().replace(['\n', '\r'], " ") }
}

fn id<T: std::str::FromStr<Err: std::fmt::Display>>(table: &Table<'_, '_>) -> Result<T, FileError> {
    let field = table.need("id")?;
    table.text(&field)?.parse().map_err(|error: T::Err| table.refuse_rule(&field, &error.to_string()))
}

fn optional_text(table: &Table<'_, '_>, key: &'static str) -> Result<Option<String>, FileError> {
    table.get(key).map(|field| table.text(&field).map(str::to_owned)).transpose()
}

/// Reads who may take part.
fn eligibility(table: &Table<'_, '_>) -> Result<Option<Eligibility>, FileError> {
    let Some(field) = table.get("eligibility") else { return Ok(None) };
    let rules = table.table(&field, &ELIGIBILITY_KEYS)?;
    let span = |key| -> Result<Option<i64>, FileError> {
        let Some(field) = rules.get(key) else { return Ok(None) };
        value::duration_ms(rules.text(&field)?).map(Some).map_err(|what| rules.refuse(&field, &what))
    };
    let mut read = Eligibility {
        min_account_age_ms: span("min_account_age")?,
        cool_down_ms: span("cool_down")?,
        regions: region_codes(&rules, "regions")?,
        address_regions: region_codes(&rules, "address_regions")?,
        ..Eligibility::default()
    };
    if let Some(field) = rules.get("allow_list") {
        let name = rules.text(&field)?;
        // A list is found by its name: it must stay one of a file, not become a path.
        DropId::new(name).map_err(|error| rules.refuse_rule(&field, &error.to_string()))?;
        read.allow_list = Some(name.to_owned());
    }
    if let Some(field) = rules.get("one_per_campaign") {
        read.one_per_campaign = rules.truth(&field)?;
    }
    Ok((read != Eligibility::default()).then_some(read))
}

/// Reads codes of regions; none where the key is not there.
fn region_codes(rules: &Table<'_, '_>, key: &'static str) -> Result<Vec<String>, FileError> {
    let Some(field) = rules.get(key) else { return Ok(Vec::new()) };
    let codes = rules.texts(&field)?;
    if codes.is_empty() || !codes.iter().all(|code| region::is_code(code)) {
        let what = "must be codes of GB/T 2260, or how they begin, as in [\"53\", \"5101\"]";
        return Err(rules.refuse(&field, what));
    }
    Ok(codes)
}

/// Reads one drop after the other, and keeps what must hold over all of them.
struct Drops<'c> {
    currency: &'c str,
    zone: &'c TimeZone,
    budget: Fen,
    ids: HashSet<DropId>,
    /// Σ stock × face of the drops so far.
    spoken_for: Fen,
}

impl Drops<'_> {
    /// Every drop of the file, those of waves after the others.
    fn read_all(mut self, file: &Table<'_, '_>) -> Result<Vec<DropSpec>, FileError> {
        let (drop_field, wave_field) = (file.get("drop"), file.get("wave"));
        let first = match drop_field.as_ref().or(wave_field.as_ref()) {
            Some(first) => first,
            None => &file.need("drop")?,
        };
        let max = limits::DROPS_PER_CAMPAIGN_MAX;
        let mut drops = Vec::new();
        if let Some(field) = &drop_field {
            for table in file.tables(field, max, &DROP_KEYS)? {
                drops.push(self.read(&table)?);
            }
        }
        if let Some(field) = &wave_field {
            for table in file.tables(field, max, &WAVE_KEYS)? {
                let left = max.saturating_sub(drops.len());
                drops.extend(self.wave(&table, left)?);
            }
        }
        if drops.is_empty() {
            return Err(file.refuse(first, "there must be at least one [[drop]] or [[wave]]"));
        }
        Ok(drops)
    }

    /// The drops that one rule stands for.
    fn wave(&mut self, table: &Table<'_, '_>, drops_max: usize) -> Result<Vec<DropSpec>, FileError> {
        let wave_id: DropId = id(table)?;
        let count_field = table.need("count")?;
        let count = table.count(&count_field, u64::try_from(drops_max).unwrap_or(u64::MAX))?;
        let duration = |key| -> Result<(Field<'_, '_>, String), FileError> {
            let field = table.need(key)?;
            let text = table.text(&field)?.to_owned();
            Ok((field, text))
        };
        let (every_field, every) = duration("every")?;
        let every = wave::Every::read(&every).map_err(|what| table.refuse(&every_field, &what))?;
        let (open_field, open_for) = duration("open_for")?;
        let open_ms = value::duration_ms(&open_for).map_err(|what| table.refuse(&open_field, &what))?;
        let first_ms = self.instant(table, "opens_at")?;
        let instants = wave::instants(first_ms, every, count, self.zone)
            .ok_or_else(|| table.refuse_rule(&every_field, "leads beyond the calendar"))?;
        let mut drops = Vec::with_capacity(instants.len());
        for (opens_at_ms, number) in instants.into_iter().zip(1..) {
            let drop_id = DropId::new(&wave::drop_name(wave_id.as_str(), number))
                .map_err(|error| table.refuse_rule(&count_field, &format!("makes an id that {error}")))?;
            let closes_at_ms = opens_at_ms.saturating_add(open_ms);
            drops.push(self.terms(table, drop_id, (opens_at_ms, closes_at_ms))?);
        }
        Ok(drops)
    }

    fn read(&mut self, table: &Table<'_, '_>) -> Result<DropSpec, FileError> {
        let id: DropId = id(table)?;
        let opens_at_ms = self.instant(table, "opens_at")?;
        let closes_at_ms = self.instant(table, "closes_at")?;
        if closes_at_ms <= opens_at_ms {
            return Err(table.refuse_rule(&table.need("closes_at")?, "is not after opens_at"));
        }
        self.terms(table, id, (opens_at_ms, closes_at_ms))
    }

    /// A drop whose id and window are known.
    fn terms(
        &mut self,
        table: &Table<'_, '_>,
        id: DropId,
        (opens_at_ms, closes_at_ms): (i64, i64),
    ) -> Result<DropSpec, FileError> {
        if !self.ids.insert(id.clone()) {
            let what = format!("makes {:?} the id of two drops", id.as_str());
            let same = table.text(&table.need("id")?)? == id.as_str();
            let what = if same { "is already the id of another drop" } else { &what };
            return Err(table.refuse_rule(&table.need("id")?, what));
        }
        let stock_field = table.need("stock")?;
        let stock = table.count(&stock_field, limits::STOCK_MAX)?;
        let limit_field = table.need("limit_per_person")?;
        let limit = table.count(&limit_field, u64::from(limits::LIMIT_PER_PERSON_MAX))?;
        let limit_per_person = u32::try_from(limit).unwrap_or(limits::LIMIT_PER_PERSON_MAX);
        let voucher = table.get("voucher").map(|field| self.voucher(table, &field)).transpose()?;
        let item_field = table.get("item");
        if let (Some(_), Some(field)) = (&voucher, &item_field) {
            return Err(
                table.refuse_rule(field, "cannot stand beside voucher: a claim gives one or the other")
            );
        }
        let item = item_field.map(|field| item::read(table, &field)).transpose()?;
        let recycled = redemption::funded_by_recycled(table)?;
        if let Some(terms) = voucher.as_ref().filter(|_| !recycled) {
            self.spend(table, &stock_field, stock, terms.face)?;
        }
        let name = optional_text(table, "name")?;
        let eligibility = eligibility(table)?;
        if eligibility.as_ref().is_some_and(|rules| rules.one_per_campaign) {
            let what = "one_per_campaign is a rule of the campaign, not of one drop";
            return Err(table.refuse_rule(&table.need("eligibility")?, what));
        }
        Ok(DropSpec {
            id,
            name,
            opens_at_ms,
            closes_at_ms,
            stock,
            limit_per_person,
            voucher,
            item,
            recycled,
            eligibility,
        })
    }

    fn instant(&self, table: &Table<'_, '_>, key: &'static str) -> Result<i64, FileError> {
        let field = table.need(key)?;
        value::instant(&table.text_or_datetime(&field)?, self.zone)
            .map_err(|what| table.refuse(&field, &what))
    }

    fn voucher(&self, drop: &Table<'_, '_>, field: &Field<'_, '_>) -> Result<VoucherTerms, FileError> {
        let table = drop.table(field, &VOUCHER_KEYS)?;
        let amount = |key| {
            let field = table.need(key)?;
            value::amount(table.text(&field)?, self.currency).map_err(|what| table.refuse(&field, &what))
        };
        let face = amount("face")?;
        let threshold = amount("threshold")?;
        if threshold < face {
            return Err(table.refuse_rule(&table.need("threshold")?, &format!("is below the face of {face}")));
        }
        let valid_for = table.need("valid_for")?;
        let valid_ms =
            value::duration_ms(table.text(&valid_for)?).map_err(|what| table.refuse(&valid_for, &what))?;
        let (mut categories, mut regions) = (Vec::new(), Vec::new());
        if let Some(field) = table.get("merchants") {
            let merchants = table.table(&field, &MERCHANT_KEYS)?;
            let texts = |key| merchants.get(key).map_or(Ok(Vec::new()), |field| merchants.texts(&field));
            (categories, regions) = (texts("category")?, texts("region")?);
        }
        Ok(VoucherTerms { face, threshold, valid_ms, categories, regions })
    }

    /// Sets the drop's vouchers off against the budget.
    fn spend(
        &mut self,
        table: &Table<'_, '_>,
        field: &Field<'_, '_>,
        stock: u64,
        face: Fen,
    ) -> Result<(), FileError> {
        let spoken_for = face.times(stock).and_then(|worth| self.spoken_for.plus(worth));
        match spoken_for {
            Some(spoken_for) if spoken_for <= self.budget => {
                self.spoken_for = spoken_for;
                Ok(())
            }
            spoken_for => {
                let worth = spoken_for.map_or_else(|| "more than fits".to_owned(), |worth| worth.to_string());
                let what = format!(
                    "× face makes the vouchers so far worth {worth}, above the budget of {} {}",
                    self.budget, self.currency
                );
                Err(table.refuse_rule(field, &what))
            }
        }
    }
}
