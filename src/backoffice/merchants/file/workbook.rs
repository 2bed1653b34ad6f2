//! A workbook's first sheet as lines of texts. A workbook is a packed archive: what it unpacks to is bounded first.

use std::io::{Cursor, Read};

use calamine::{Data, Reader, Xlsx};

use super::{Flaw, Lines};
use crate::limits;

/// Lines of the first sheet, up to one more than a file may have.
pub(super) fn table(bytes: &[u8]) -> Result<Lines, Flaw> {
    let flaw = |what: String| Flaw::new(1, "", format!("the workbook cannot be read: {what}"));
    check_size(bytes).map_err(flaw)?;
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|error| flaw(error.to_string()))?;
    let sheet = book.worksheet_range_at(0).ok_or_else(|| flaw("it has no sheet".to_owned()))?;
    let sheet = sheet.map_err(|error| flaw(error.to_string()))?;
    let first = u64::from(sheet.start().map_or(0, |(row, _)| row)).saturating_add(1);
    let lines = sheet.rows().take(limits::IMPORT_ROWS_MAX.saturating_add(2)).zip(first..);
    Ok(lines.map(|(cells, line)| (line, cells.iter().map(text).collect())).collect())
}

/// What a cell shows: a whole number has no point.
fn text(cell: &Data) -> String {
    match cell {
        Data::Empty => String::new(),
        Data::Float(number) if number.fract() == 0.0 => format!("{number:.0}"),
        other => other.to_string().trim().to_owned(),
    }
}

/// Unpacks every part once, up to the bound: what an archive says of its own sizes is not believed.
fn check_size(bytes: &[u8]) -> Result<(), String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let mut left = limits::IMPORT_UNPACKED_BYTES_MAX;
    for at in 0..archive.len() {
        let part = archive.by_index(at).map_err(|error| error.to_string())?;
        let unpacked = std::io::copy(&mut part.take(left), &mut std::io::sink());
        left = left.saturating_sub(unpacked.map_err(|error| error.to_string())?);
        if left == 0 {
            return Err(format!("it unpacks to more than {} bytes", limits::IMPORT_UNPACKED_BYTES_MAX));
        }
    }
    Ok(())
}
