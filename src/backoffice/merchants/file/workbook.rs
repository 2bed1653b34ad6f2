//! A workbook's first sheet as lines of texts. What a workbook says of itself is not believed: it is a packed archive of
//! parts that name their own sizes, and a cell may stand anywhere and share its text with any number of others.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use calamine::{Data, DataRef, Reader, Xlsx};

use super::{Flaw, Lines};
use crate::limits;

/// What the name of the part ends with that holds the texts which cells share.
const SHARED_TEXTS: &str = "sharedstrings.xml";
/// By what that part says how many texts it has.
const TEXTS_COUNT: &[u8] = b"uniqueCount";
/// The shortest text in it, `<si/>`.
const TEXT_BYTES_MIN: u64 = 5;

/// The lines of the first sheet in which anything stands. Memory is bounded by the cells that there are, wherever they are.
pub(super) fn table(bytes: &[u8]) -> Result<Lines, Flaw> {
    let flaw = |what: String| Flaw::new(1, "", format!("the workbook cannot be read: {what}"));
    check_parts(bytes).map_err(flaw)?;
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|error| flaw(error.to_string()))?;
    let sheet = book.sheet_names().into_iter().next().ok_or_else(|| flaw("it has no sheet".to_owned()))?;
    let mut cells = book.worksheet_cells_reader(&sheet).map_err(|error| flaw(error.to_string()))?;
    let mut lines: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let mut left = limits::IMPORT_UNPACKED_BYTES_MAX;
    while let Some(cell) = cells.next_cell().map_err(|error| flaw(error.to_string()))? {
        // Before it is copied: a text that many cells share stands in the file once.
        left = left.checked_sub(length(cell.get_value())).ok_or_else(|| {
            flaw(format!("its cells hold more than {} bytes", limits::IMPORT_UNPACKED_BYTES_MAX))
        })?;
        let text = text(cell.get_value());
        if text.is_empty() {
            continue;
        }
        let (row, column) = cell.get_position();
        if row >= limits::IMPORT_LINES_MAX || column >= limits::IMPORT_COLUMNS_MAX {
            return Err(beyond(row, column));
        }
        let (line, at) = (lines.entry(row).or_default(), usize::try_from(column).unwrap_or(0));
        if line.len() <= at {
            line.resize(at.saturating_add(1), String::new());
        }
        if let Some(place) = line.get_mut(at) {
            *place = text;
        }
    }
    Ok(lines.into_iter().map(|(row, cells)| (u64::from(row).saturating_add(1), cells)).collect())
}

/// How long what a cell holds is at most, in bytes, as far as it can be of any length.
fn length(cell: &DataRef<'_>) -> u64 {
    let text: &str = match cell {
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text,
        DataRef::SharedString(text) => text,
        _ => "",
    };
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// What a cell shows: a whole number has no point.
fn text(cell: &DataRef<'_>) -> String {
    match cell {
        DataRef::Empty => String::new(),
        DataRef::Float(number) if number.fract() == 0.0 => format!("{number:.0}"),
        DataRef::String(text) => text.trim().to_owned(),
        DataRef::SharedString(text) => text.trim().to_owned(),
        other => Data::from(other.clone()).to_string().trim().to_owned(),
    }
}

fn beyond(row: u32, column: u32) -> Flaw {
    let what = format!(
        "cell {} is not empty: nothing may stand below line {} or right of column {}",
        name_of(row, column),
        limits::IMPORT_LINES_MAX,
        column_name(limits::IMPORT_COLUMNS_MAX.saturating_sub(1)),
    );
    Flaw::new(u64::from(row).saturating_add(1), "", what)
}

/// What a cell is called, as in `XFD1048576`.
fn name_of(row: u32, column: u32) -> String {
    format!("{}{}", column_name(column), u64::from(row).saturating_add(1))
}

/// `A` to `Z`, `AA` to `ZZ`, and so on.
fn column_name(column: u32) -> String {
    let mut letters = Vec::new();
    let mut left = u64::from(column).saturating_add(1);
    while let Some(rest) = left.checked_sub(1) {
        letters.push(char::from(b'A'.saturating_add(u8::try_from(rest % 26).unwrap_or(0))));
        left = rest / 26;
    }
    letters.into_iter().rev().collect()
}

/// Unpacks every part once, up to the bound: what an archive says of its own sizes is not believed.
fn check_parts(bytes: &[u8]) -> Result<(), String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let mut left = limits::IMPORT_UNPACKED_BYTES_MAX;
    for at in 0..archive.len() {
        let part = archive.by_index(at).map_err(|error| error.to_string())?;
        let name = part.name().map_err(|error| error.to_string())?;
        let has_texts = name.to_ascii_lowercase().ends_with(SHARED_TEXTS);
        let (mut part, mut kept) = (part.take(left), Vec::new());
        let unpacked = if has_texts {
            part.read_to_end(&mut kept).map(|length| u64::try_from(length).unwrap_or(u64::MAX))
        } else {
            std::io::copy(&mut part, &mut std::io::sink())
        };
        left = left.saturating_sub(unpacked.map_err(|error| error.to_string())?);
        if left == 0 {
            return Err(format!("it unpacks to more than {} bytes", limits::IMPORT_UNPACKED_BYTES_MAX));
        }
        check_texts(&kept)?;
    }
    Ok(())
}

/// The reader makes room for as many shared texts as the part says that it has, before it reads one.
fn check_texts(part: &[u8]) -> Result<(), String> {
    // None of them may stand in XML; they could hide the count in another encoding.
    let is_control = |byte: &u8| *byte < b' ' && !matches!(*byte, b'\t' | b'\n' | b'\r');
    if part.iter().any(is_control) {
        return Err("its shared texts are not in UTF-8".to_owned());
    }
    let max = u64::try_from(part.len()).unwrap_or(u64::MAX) / TEXT_BYTES_MIN;
    let names = part.windows(TEXTS_COUNT.len()).enumerate().filter(|(_, name)| *name == TEXTS_COUNT);
    for (at, _) in names {
        let said = part.get(at.saturating_add(TEXTS_COUNT.len())..).unwrap_or_default().iter();
        let digits =
            said.skip_while(|byte| b" \t\r\n='\"+".contains(byte)).take_while(|byte| byte.is_ascii_digit());
        let count = digits.fold(0_u64, |count, digit| {
            count.saturating_mul(10).saturating_add(u64::from(digit.saturating_sub(b'0')))
        });
        if count > max {
            return Err(format!("it says that it has {count} shared texts, and has room for {max}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_called_as_spreadsheets_call_them() {
        let names = [(0, 0), (1, 25), (9, 26), (20_002, 64), (1_048_575, 16_383)]
            .map(|(row, column)| name_of(row, column));
        assert_eq!(names, ["A1", "Z2", "AA10", "BM20003", "XFD1048576"]);
    }

    #[test]
    fn a_part_has_no_more_texts_than_fit() {
        let part = |count: &str| format!("<sst uniqueCount{count}><si><t>a</t></si></sst>");
        for count in ["=\"1\"", "='8'", "", "=\"-\"", " = \"2\""] {
            assert_eq!(check_texts(part(count).as_bytes()), Ok(()), "{count}");
        }
        for count in ["='9'", "=\"10\"", "=\"99999999999999999999999\"", "\n = '768614336404564651'"] {
            assert!(check_texts(part(count).as_bytes()).is_err(), "{count}");
        }
        let utf_16: Vec<u8> = part("=\"1\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(check_texts(&utf_16).is_err());
    }
}
