//! The campaign file: from TOML text to a checked [`Campaign`], or the line that is wrong and why.
//!
//! Owns the keys of the file and the rules that hold inside one file. What a file may change of a campaign that
//! already runs is decided in [`super::changes()`].

use std::collections::HashSet;

use jiff::tz::TimeZone;
use toml::de::DeTable;

use super::table::{Field, Source, Table};
use super::{Campaign, DropSpec, VoucherTerms, item, redemption, value};
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

const DROP_KEYS: [&str; 9] =
    ["id", "name", "opens_at", "closes_at", "stock", "limit_per_person", "voucher", "item", "eligibility"];
const CAMPAIGN_KEYS: [&str; 8] =
    ["id", "name", "sponsor", "budget", "time_zone", "drop", "eligibility", "redemption"];
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

    let drop_field = file.need("drop")?;
    let tables = file.tables(&drop_field, limits::DROPS_PER_CAMPAIGN_MAX, &DROP_KEYS)?;
    if tables.is_empty() {
        return Err(file.refuse(&drop_field, "there must be at least one [[drop]]"));
    }
    let mut drops =
        Drops { currency: &currency, zone: &zone, budget, ids: HashSet::new(), spoken_for: Fen(0) };
    let drops = tables.into_iter().map(|table| drops.read(&table)).collect::<Result<_, _>>()?;
    let name = optional_text(&file, "name")?.unwrap_or_else(|| id.to_string());
    let sponsor = optional_text(&file, "sponsor")?;
    let time_zone = time_zone.to_owned();
    let eligibility = eligibility(&file)?;
    let redemption = redemption::read(&file)?;
    Ok(Campaign { id, name, sponsor, budget, currency, time_zone, drops, eligibility, redemption })
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
    fn read(&mut self, table: &Table<'_, '_>) -> Result<DropSpec, FileError> {
        let id: DropId = id(table)?;
        if !self.ids.insert(id.clone()) {
            return Err(table.refuse_rule(&table.need("id")?, "is already the id of another drop"));
        }
        let opens_at_ms = self.instant(table, "opens_at")?;
        let closes_at_ms = self.instant(table, "closes_at")?;
        if closes_at_ms <= opens_at_ms {
            return Err(table.refuse_rule(&table.need("closes_at")?, "is not after opens_at"));
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
        if let Some(terms) = &voucher {
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
