//! `claimrush ledger export`: a drop's claims as CSV, JSON or a workbook, while the service runs or is stopped.
//!
//! Reads the ledger page by page, so memory does not grow with the claims. A file takes its name when it is whole,
//! and is readable by its owner alone: it says who claimed what.
//!
//! CSV is as RFC 4180 has it, save that a line ends with a line feed alone. A person stands there exactly as the
//! ticket named them, also one that begins with `=`, `+`, `-` or `@`: other programs compare that text. Such a field
//! is quoted, which does not keep a spreadsheet from taking it for a formula: open the workbook instead, whose
//! cells are texts whatever they begin with.
//! Source: <https://www.rfc-editor.org/rfc/rfc4180>

pub mod args;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Seek, Write};
use std::path::Path;

use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};
use serde::Serialize;

use self::args::{ExportFormat, LedgerArgs, LedgerCommand, LedgerExportArgs};
use crate::clock::rfc3339;
use crate::config::{Config, LedgerConfig};
use crate::datadir::{DataDir, DataDirError};
use crate::domain::campaign::DropSpec;
use crate::domain::ids::{ClaimNumber, DropNumber};
use crate::domain::life::State;
use crate::exit::{Exit, Failure};
use crate::ledger::{ClaimRow, ClaimStatus, Ledger, open};
use crate::limits;
use crate::outfile::OutFile;

/// The columns, in their order.
const COLUMNS: [&str; 8] = ["claim_id", "drop", "shard", "epoch", "seq", "person", "status", "claimed_at"];
/// Claims on one sheet: a sheet has 1,048,576 rows, of which the first is the header.
const SHEET_CLAIMS_MAX: u32 = 1_048_575;

/// Runs `claimrush ledger …`.
///
/// # Errors
/// [`Failure`] with the drop that is not there, or with what cannot be read or written.
pub async fn run(config: Config, args: LedgerArgs) -> Result<Exit, Failure> {
    let LedgerCommand::Export(args) = args.command;
    if args.format == ExportFormat::Xlsx && args.out.is_none() && io::stdout().is_terminal() {
        let line = "a workbook is nothing to be read on a terminal: name a file by --out, or send it on";
        return Err(Failure::new(Exit::Usage, line));
    }
    let folder = DataDir::look_at(&config.data.dir, config.ledger.is_in_data_dir())?;
    let ledger = open::open_read_only(&ledger_config(&folder, &config)?, folder.path()).await?;
    let catalogue = ledger.catalogue().await?;
    let mut drops =
        catalogue.campaigns.iter().flat_map(|record| record.drops.iter().zip(&record.campaign.drops));
    let Some((drop, spec)) = drops.find(|(drop, _)| drop.id.as_str() == args.drop) else {
        return Err(Failure::new(Exit::Failed, format!("the ledger has no drop {:?}", args.drop)));
    };
    match export(ledger.as_ref(), spec, drop.number, &args).await {
        // A reader that has gone (`| head`) has seen what it wanted.
        Err(ExportError::Io(error)) if args.out.is_none() && error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(Exit::Ok)
        }
        Err(error) => Err(error.into_failure(args.out.as_deref())),
        Ok(()) => Ok(Exit::Ok),
    }
}

/// The ledger of the service that runs, or the configured one.
fn ledger_config(folder: &DataDir, config: &Config) -> Result<LedgerConfig, Failure> {
    match folder.run_info() {
        Ok(info) => Ok(LedgerConfig { url: info.ledger_url, ..config.ledger.clone() }),
        Err(DataDirError::NotRunning { .. }) => Ok(config.ledger.clone()),
        Err(error) => Err(error.into()),
    }
}

/// Why an export was not written.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Ledger(#[from] crate::ledger::LedgerError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Workbook(#[from] XlsxError),
}

impl ExportError {
    fn into_failure(self, out: Option<&Path>) -> Failure {
        match (self, out) {
            (Self::Ledger(error), _) => error.into(),
            (error, Some(out)) => Failure::new(Exit::Failed, error.to_string()).about(out.display()),
            (error, None) => Failure::new(Exit::Failed, error.to_string()),
        }
    }
}

async fn export(
    ledger: &dyn Ledger,
    spec: &DropSpec,
    drop: DropNumber,
    args: &LedgerExportArgs,
) -> Result<(), ExportError> {
    let Some(out) = &args.out else {
        let stdout = io::stdout().lock();
        return match args.format {
            ExportFormat::Xlsx => send_workbook(ledger, spec, drop, stdout).await,
            format => copy(ledger, spec, drop, sink(format, BufWriter::new(stdout))).await,
        };
    };
    let file = OutFile::create(out)?;
    match args.format {
        ExportFormat::Xlsx if !file.is_whole() => send_workbook(ledger, spec, drop, file.file()).await?,
        ExportFormat::Xlsx => {
            copy(ledger, spec, drop, Box::new(Sheets::new(file.file().try_clone()?, SHEET_CLAIMS_MAX)))
                .await?;
        }
        format => copy(ledger, spec, drop, sink(format, BufWriter::new(file.file()))).await?,
    }
    Ok(file.finish()?)
}

/// Writes a workbook to what has no beginning to go back to, as a pipe: it is made in a file without a name first.
async fn send_workbook(
    ledger: &dyn Ledger,
    spec: &DropSpec,
    drop: DropNumber,
    mut to: impl Write,
) -> Result<(), ExportError> {
    let mut whole = tempfile::tempfile()?;
    copy(ledger, spec, drop, Box::new(Sheets::new(whole.try_clone()?, SHEET_CLAIMS_MAX))).await?;
    whole.rewind()?;
    io::copy(&mut whole, &mut to)?;
    Ok(to.flush()?)
}

/// Copies all claims of a drop.
async fn copy(
    ledger: &dyn Ledger,
    spec: &DropSpec,
    drop: DropNumber,
    mut sink: Box<dyn Sink + '_>,
) -> Result<(), ExportError> {
    sink.begin()?;
    let mut after = None;
    loop {
        let page = ledger.claims(drop, after, limits::CLAIM_ROWS_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.number);
        let numbers: Vec<ClaimNumber> = page.iter().map(|row| row.number).collect();
        let states = ledger.states(&numbers).await?;
        for (row, state) in page.iter().zip(states) {
            sink.claim(&Claim::new(spec, row, state))?;
        }
    }
    sink.end()
}

/// A claim as it is exported.
#[derive(Debug, Serialize)]
struct Claim<'a> {
    claim_id: String,
    drop: &'a str,
    shard: u8,
    epoch: u16,
    seq: u32,
    person: &'a str,
    status: &'static str,
    claimed_at: String,
}

impl<'a> Claim<'a> {
    fn new(spec: &'a DropSpec, row: &'a ClaimRow, state: Option<State>) -> Self {
        Self {
            claim_id: row.number.claim_id(),
            drop: spec.id.as_str(),
            shard: row.number.shard.0,
            epoch: row.number.epoch.0,
            seq: row.number.seq,
            person: &row.person,
            status: status(spec, row, state),
            claimed_at: rfc3339(row.claimed_at_ms),
        }
    }
}

/// How a claim stands by the ledger, in the words of `GET …/claims/mine`; `state` is what its last step led to.
fn status(spec: &DropSpec, row: &ClaimRow, state: Option<State>) -> &'static str {
    match state {
        // How a hold ended says more than that its unit went back.
        Some(state @ (State::Cancelled | State::Lapsed)) => state.as_str(),
        _ if row.status == ClaimStatus::Returned => "returned",
        Some(state) => state.as_str(),
        None if spec.item.is_some() => State::Held.as_str(),
        None => State::Issued.as_str(),
    }
}

/// Where claims go, one after the other.
trait Sink {
    fn begin(&mut self) -> Result<(), ExportError>;
    fn claim(&mut self, claim: &Claim<'_>) -> Result<(), ExportError>;
    fn end(self: Box<Self>) -> Result<(), ExportError>;
}

/// The sink of a text format.
fn sink<'w>(format: ExportFormat, writer: impl Write + 'w) -> Box<dyn Sink + 'w> {
    match format {
        ExportFormat::Json => Box::new(Json { writer, empty: true }),
        // A workbook is written otherwise.
        ExportFormat::Csv | ExportFormat::Xlsx => Box::new(Csv { writer }),
    }
}

struct Csv<W> {
    writer: W,
}

impl<W: Write> Sink for Csv<W> {
    fn begin(&mut self) -> Result<(), ExportError> {
        Ok(writeln!(self.writer, "{}", COLUMNS.join(","))?)
    }

    fn claim(&mut self, claim: &Claim<'_>) -> Result<(), ExportError> {
        let Claim { claim_id, drop, shard, epoch, seq, person, status, claimed_at } = claim;
        // Persons alone are of an alphabet with commas and quotes.
        let person = quoted(person);
        Ok(writeln!(self.writer, "{claim_id},{drop},{shard},{epoch},{seq},{person},{status},{claimed_at}")?)
    }

    fn end(mut self: Box<Self>) -> Result<(), ExportError> {
        Ok(self.writer.flush()?)
    }
}

fn quoted(text: &str) -> std::borrow::Cow<'_, str> {
    let plain = !text.contains([',', '"', '\r', '\n']) && !text.starts_with(['=', '+', '-', '@']);
    if plain { text.into() } else { format!("\"{}\"", text.replace('"', "\"\"")).into() }
}

struct Json<W> {
    writer: W,
    empty: bool,
}

impl<W: Write> Sink for Json<W> {
    fn begin(&mut self) -> Result<(), ExportError> {
        Ok(self.writer.write_all(b"[")?)
    }

    fn claim(&mut self, claim: &Claim<'_>) -> Result<(), ExportError> {
        self.writer.write_all(if self.empty { b"\n" } else { b",\n" })?;
        self.empty = false;
        serde_json::to_writer(&mut self.writer, claim).map_err(|error| {
            // So that a reader who has gone is known as such.
            if error.is_io() { ExportError::Io(error.into()) } else { error.into() }
        })
    }

    fn end(mut self: Box<Self>) -> Result<(), ExportError> {
        self.writer.write_all(b"\n]\n")?;
        Ok(self.writer.flush()?)
    }
}

/// A workbook, whose rows go to a temporary file as they come.
struct Sheets {
    file: File,
    workbook: Workbook,
    sheets: usize,
    /// Rows of the present sheet, its header included.
    rows: u32,
    claims_max: u32,
}

impl Sheets {
    fn new(file: File, claims_max: u32) -> Self {
        Self { file, workbook: Workbook::new(), sheets: 0, rows: 0, claims_max }
    }

    fn add_sheet(&mut self) -> Result<(), ExportError> {
        self.sheets += 1;
        let name = if self.sheets == 1 { "claims".to_owned() } else { format!("claims {}", self.sheets) };
        let bold = Format::new().set_bold();
        let sheet = self.workbook.add_worksheet_with_constant_memory()?;
        sheet.set_name(name)?.set_freeze_panes(1, 0)?;
        for (column, (title, width)) in (0..).zip(COLUMNS.into_iter().zip([22, 24, 7, 7, 10, 24, 10, 26])) {
            sheet.set_column_width(column, width)?.write_string_with_format(0, column, title, &bold)?;
        }
        self.rows = 1;
        Ok(())
    }
}

impl Sink for Sheets {
    fn begin(&mut self) -> Result<(), ExportError> {
        self.add_sheet()
    }

    fn claim(&mut self, claim: &Claim<'_>) -> Result<(), ExportError> {
        if self.rows > self.claims_max {
            self.add_sheet()?;
        }
        let row = self.rows;
        write_row(self.workbook.worksheet_from_index(self.sheets - 1)?, row, claim)?;
        self.rows += 1;
        Ok(())
    }

    fn end(mut self: Box<Self>) -> Result<(), ExportError> {
        Ok(self.workbook.save_to_writer(&mut self.file)?)
    }
}

fn write_row(sheet: &mut Worksheet, row: u32, claim: &Claim<'_>) -> Result<(), XlsxError> {
    let Claim { claim_id, drop, shard, epoch, seq, person, status, claimed_at } = claim;
    sheet
        .write_string(row, 0, claim_id)?
        .write_string(row, 1, *drop)?
        .write_number(row, 2, *shard)?
        .write_number(row, 3, *epoch)?
        .write_number(row, 4, *seq)?
        .write_string(row, 5, *person)?
        .write_string(row, 6, *status)?
        .write_string(row, 7, claimed_at)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(seq: u32, person: &str) -> Claim<'_> {
        Claim {
            claim_id: format!("clm_{seq}"),
            drop: "d",
            shard: 0,
            epoch: 1,
            seq,
            person,
            status: "issued",
            claimed_at: "2023-11-20T02:00:00.000Z".to_owned(),
        }
    }

    fn written(format: ExportFormat, persons: &[&str]) -> String {
        let mut bytes = Vec::new();
        let mut sink = sink(format, &mut bytes);
        sink.begin().unwrap();
        for (seq, person) in (1..).zip(persons) {
            sink.claim(&claim(seq, person)).unwrap();
        }
        sink.end().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn csv_says_persons_exactly() {
        let persons = ["ann", "a,b", "say\"so\"", "=1+1", "-2", "+3", "@x", "a=b"];
        let text = written(ExportFormat::Csv, &persons);
        assert!(
            text.starts_with("claim_id,drop,shard,epoch,seq,person,status,claimed_at\nclm_1,d,0,1,1,ann,")
        );
        assert!(text.contains(",\"=1+1\",issued,"), "{text}");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let read: Vec<String> = reader.records().map(|record| record.unwrap()[5].to_owned()).collect();
        assert_eq!(read, persons);
    }

    #[test]
    fn json_is_an_array_also_of_nothing() {
        assert_eq!(written(ExportFormat::Json, &[]), "[\n]\n");
        let rows: Vec<serde_json::Value> =
            serde_json::from_str(&written(ExportFormat::Json, &["ann", "say\"so\""])).unwrap();
        assert_eq!((rows[1]["person"].as_str(), rows[1]["seq"].as_u64()), (Some("say\"so\""), Some(2)));
        let keys: Vec<&str> = rows[0].as_object().unwrap().keys().map(String::as_str).collect();
        let mut sorted = COLUMNS;
        sorted.sort_unstable();
        assert_eq!(keys, sorted);
    }

    #[test]
    fn a_full_sheet_is_followed_by_another() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut sheets = Box::new(Sheets::new(file.reopen().unwrap(), 2));
        sheets.begin().unwrap();
        for seq in 1..=5 {
            sheets.claim(&claim(seq, "ann")).unwrap();
        }
        assert_eq!((sheets.sheets, sheets.rows), (3, 2));
        sheets.end().unwrap();
        assert!(file.as_file().metadata().unwrap().len() > 1_000);
    }
}
