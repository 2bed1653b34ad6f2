//! Files of merchants: CSV or a workbook (XLSX), one row a shop, read into rows or flaws with line and column.
//!
//! Owns the columns. A first line names them, in any order, in English or Chinese; what is wrong is gathered over the
//! whole file.

mod line_count;
mod workbook;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::line_count::LineCount;
use super::in_order;
use crate::domain::merchant::{Categories, Details, Shop, check_id};
use crate::limits;

/// The columns: name, the same in Chinese, whether it must be there.
const COLUMNS: [(&str, &str, bool); 10] = [
    ("id", "商户编号", true),
    ("name", "商户名称", true),
    ("category", "行业代码", true),
    ("region", "区划代码", true),
    ("shop_id", "门店编号", false),
    ("shop_name", "门店名称", false),
    ("shop_region", "门店区划代码", false),
    ("cap_per_day", "每日核销上限", false),
    ("cap_per_person_per_day", "每人每日核销上限", false),
    ("uat", "测试", false),
];

/// The shop of a merchant that names none.
const MAIN_SHOP: &str = "main";

/// One row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its line, from 1.
    pub line: u64,
    /// In the order of the columns; empty where there is nothing.
    cells: [String; COLUMNS.len()],
    /// What stands under no column's name, as a comma in a name that is not quoted makes it.
    stray: Option<String>,
}

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flaw {
    /// The line, from 1.
    pub line: u64,
    /// The column; empty where the whole line is meant.
    pub column: String,
    /// What is wrong with it.
    pub what: String,
}

impl Flaw {
    fn new(line: u64, column: &str, what: impl Into<String>) -> Self {
        Self { line, column: column.to_owned(), what: what.into() }
    }
}

/// Reads a file of either kind.
///
/// # Errors
/// Every flaw that can be told without knowing more than the file.
pub fn read(bytes: &[u8]) -> Result<Vec<Row>, Vec<Flaw>> {
    let table = if bytes.starts_with(b"PK\x03\x04") { workbook::table(bytes) } else { csv_table(bytes) };
    let mut table = table.map_err(|flaw| vec![flaw])?.into_iter();
    let Some((line, head)) = table.next() else {
        return Err(vec![Flaw::new(1, "", "the file is empty")]);
    };
    let places = places(line, &head)?;
    let mut rows = Vec::new();
    for (line, cells) in table {
        if cells.iter().all(String::is_empty) {
            continue;
        }
        if rows.len() >= limits::IMPORT_ROWS_MAX {
            let what = format!("more than {} rows: enter them in several files", limits::IMPORT_ROWS_MAX);
            return Err(vec![Flaw::new(line, "", what)]);
        }
        let cell = |at: Option<usize>| at.and_then(|at| cells.get(at)).cloned().unwrap_or_default();
        let is_named = |at: usize| head.get(at).is_some_and(|name| !name.is_empty());
        let stray = cells.iter().enumerate().find(|(at, cell)| !cell.is_empty() && !is_named(*at));
        let stray = stray.map(|(_, cell)| cell.clone());
        rows.push(Row { line, cells: places.map(cell), stray });
    }
    if rows.is_empty() {
        return Err(vec![Flaw::new(line, "", "there is no row below the names of the columns")]);
    }
    Ok(rows)
}

/// Where each column stands.
fn places(line: u64, head: &[String]) -> Result<[Option<usize>; COLUMNS.len()], Vec<Flaw>> {
    let mut places = [None; COLUMNS.len()];
    let mut flaws = Vec::new();
    for (at, name) in head.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        let word = name.to_lowercase();
        let known = COLUMNS.iter().position(|(english, chinese, _)| word == *english || word == *chinese);
        match known.and_then(|known| places.get_mut(known)) {
            None => flaws.push(Flaw::new(line, name, "there is no such column")),
            Some(place @ None) => *place = Some(at),
            Some(Some(_)) => flaws.push(Flaw::new(line, name, "stands twice")),
        }
    }
    let missing = COLUMNS.iter().zip(&places).filter(|((.., needed), place)| *needed && place.is_none());
    flaws.extend(missing.map(|((name, ..), _)| Flaw::new(line, name, "this column is missing")));
    if flaws.is_empty() { Ok(places) } else { Err(flaws) }
}

/// Lines with their cells, blanks around them removed.
type Lines = Vec<(u64, Vec<String>)>;

fn csv_table(bytes: &[u8]) -> Result<Lines, Flaw> {
    let text = text_of(bytes)?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut lines = Vec::new();
    let mut count = LineCount::new(&text);
    // Where the reader began with a record: behind the first end of the line before, and so in front of the LF of a CR LF
    // and of empty lines. The lines that it counts itself are those of there.
    let mut line_at =
        |position: Option<&csv::Position>| count.line_from(position.map_or(0, csv::Position::byte));
    for record in reader.records() {
        let record = record.map_err(|error| Flaw::new(line_at(error.position()), "", error.to_string()))?;
        let line = line_at(record.position());
        lines.push((line, record.iter().map(|cell| cell.trim().to_owned()).collect()));
        if lines.len() > limits::IMPORT_ROWS_MAX.saturating_add(1) {
            break;
        }
    }
    Ok(lines)
}

/// UTF-8, with or without a mark at its beginning; or GB 18030, in which spreadsheets in China save.
fn text_of(bytes: &[u8]) -> Result<String, Flaw> {
    let (text, _, wrong) = encoding_rs::UTF_8.decode(bytes);
    if !wrong {
        return Ok(text.into_owned());
    }
    let (text, _, wrong) = encoding_rs::GB18030.decode(bytes);
    if wrong { Err(Flaw::new(1, "", "is neither UTF-8 nor GB 18030")) } else { Ok(text.into_owned()) }
}

/// A merchant that is being gathered from its rows.
struct Gathered {
    line: u64,
    details: Details,
}

/// Rows as merchants, checked.
///
/// # Errors
/// Every flaw of every row, at most [`limits::IMPORT_FLAWS_SHOWN`] of them.
pub fn gather(rows: Vec<Row>, categories: &Categories) -> Result<BTreeMap<String, Details>, Vec<Flaw>> {
    let mut gathered: BTreeMap<String, Gathered> = BTreeMap::new();
    let mut flaws = Vec::new();
    for row in rows {
        flaws.extend(add(&mut gathered, &row, categories));
        if flaws.len() >= limits::IMPORT_FLAWS_SHOWN {
            break;
        }
    }
    let mut merchants = BTreeMap::new();
    for (id, Gathered { line, mut details }) in gathered {
        details.shops = in_order(details.shops);
        let whole = details.flaws(categories).into_iter();
        flaws.extend(whole.map(|(column, what)| Flaw::new(line, column, what)));
        merchants.insert(id, details);
    }
    flaws.sort_by_key(|flaw| flaw.line);
    flaws.truncate(limits::IMPORT_FLAWS_SHOWN);
    if flaws.is_empty() { Ok(merchants) } else { Err(flaws) }
}

/// Adds a row to its merchant; or says everything that is wrong with it.
fn add(gathered: &mut BTreeMap<String, Gathered>, row: &Row, categories: &Categories) -> Vec<Flaw> {
    let (details, mut flaws) = details_of(row, categories);
    let [id, ..] = &row.cells;
    let mut flaw = |column: &str, what: String| flaws.push(Flaw::new(row.line, column, what));
    if let Err(what) = check_id(id) {
        flaw("id", what);
    }
    match (gathered.get_mut(id), details.shops.first()) {
        (Some(known), Some(shop)) => {
            let other = Details { shops: known.details.shops.clone(), ..details.clone() };
            if let Some(column) = differs(&known.details, &other) {
                flaw(column, format!("differs from line {} of the same merchant", known.line));
            }
            if known.details.shop(&shop.id).is_some() {
                flaw("shop_id", format!("{:?} stands twice for this merchant", shop.id));
            }
            if flaws.is_empty() {
                known.details.shops.push(shop.clone());
            }
        }
        _ if flaws.is_empty() => {
            gathered.insert(id.clone(), Gathered { line: row.line, details });
        }
        _ => {}
    }
    flaws
}

/// A row as a merchant of one shop, with what is wrong in its cells.
fn details_of(row: &Row, categories: &Categories) -> (Details, Vec<Flaw>) {
    let Row { line, cells, stray } = row;
    let [_, name, category, region, shop_id, shop_name, shop_region, per_day, per_person, uat] = cells;
    let mut flaws = Vec::new();
    let mut flaw = |column: &str, what: String| flaws.push(Flaw::new(*line, column, what));
    if let Some(stray) = stray {
        flaw("", format!("{stray:?} stands under no column's name; is a comma within a text not quoted?"));
    }
    let mut capped =
        |column: &str, text: &str| cap(text).map_err(|what| flaw(column, what)).unwrap_or_default();
    let (cap_per_day, cap_per_person_per_day) =
        (capped("cap_per_day", per_day), capped("cap_per_person_per_day", per_person));
    let uat = truth(uat).map_err(|what| flaw("uat", what)).unwrap_or_default();
    let shop = Shop {
        id: if shop_id.is_empty() { MAIN_SHOP } else { shop_id }.to_owned(),
        name: if shop_name.is_empty() { name } else { shop_name }.clone(),
        region: (!shop_region.is_empty()).then(|| shop_region.clone()),
    };
    let details = Details {
        name: name.clone(),
        category: category.clone(),
        region: region.clone(),
        shops: vec![shop],
        cap_per_day,
        cap_per_person_per_day,
        uat,
    };
    for (column, what) in details.flaws(categories) {
        flaw(column, what);
    }
    (details, flaws)
}

/// The first column in which two rows of one merchant differ.
fn differs(one: &Details, other: &Details) -> Option<&'static str> {
    let pairs = [
        ("name", one.name == other.name),
        ("category", one.category == other.category),
        ("region", one.region == other.region),
        ("cap_per_day", one.cap_per_day == other.cap_per_day),
        ("cap_per_person_per_day", one.cap_per_person_per_day == other.cap_per_person_per_day),
        ("uat", one.uat == other.uat),
    ];
    pairs.iter().find(|(_, same)| !same).map(|(column, _)| *column)
}

fn cap(text: &str) -> Result<Option<u32>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(cap) if cap > 0 => Ok(Some(cap)),
        _ => Err(format!("must be a whole number above zero, or empty; is {text:?}")),
    }
}

fn truth(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "" | "no" | "false" | "0" | "否" => Ok(false),
        "yes" | "true" | "1" | "是" => Ok(true),
        _ => Err(format!("must be yes or no, is {text:?}")),
    }
}
