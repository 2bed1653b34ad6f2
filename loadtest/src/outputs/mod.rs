//! What a run leaves behind: files, a page, and text for the terminal.
//!
//! Owns the files' names and forms. Every number comes from [`Results`]; only the histogram log reads the
//! [`Tally`], because it holds the histograms themselves.

mod codes;
mod curves;
mod figures;
mod hlog;
mod junit;
pub(crate) mod page;
mod report;
#[cfg(test)]
pub(crate) mod sample;
mod series;
pub(crate) mod tables;
mod text;

use std::{fs, io, path::Path};

use anyhow::{Context, Result};

pub(crate) use self::report::charts::curve_table;
pub(crate) use self::{
    codes::{Palette, label},
    curves::{curve, nines},
    figures::{bytes, count, grouped, percent, rate, time},
};
pub use self::{
    hlog::histogram_log,
    junit::junit,
    report::{Moment, Story, report_page, story_page},
    series::series_csv,
    text::text,
};
use crate::{outfile, results::Results, tally::Tally};

/// The results as JSON.
pub const RESULTS_FILE: &str = "results.json";
/// The verdict as `JUnit` XML.
pub const JUNIT_FILE: &str = "junit.xml";
/// The histograms as an HdrHistogram log.
pub const HISTOGRAMS_FILE: &str = "times.hlog";
/// The run over time as CSV.
pub const SERIES_FILE: &str = "series.csv";
/// The page.
pub const PAGE_FILE: &str = "report.html";
/// Every claim that was seen, as the load goes on.
pub const CLAIMS_FILE: &str = "claims.jsonl";

/// Those that are written at the end, in the order in which they are.
const FILES: [&str; 5] = [RESULTS_FILE, JUNIT_FILE, HISTOGRAMS_FILE, SERIES_FILE, PAGE_FILE];

/// Takes an earlier run's files out of a folder, so that nobody takes them for those of a run that came to nothing.
/// Whatever else is there stays.
///
/// # Errors
/// A file cannot be removed; it is named.
pub fn remove_all(folder: &Path) -> Result<()> {
    for path in FILES.iter().chain([&CLAIMS_FILE]).map(|name| folder.join(name)) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Writes every file of a run into a folder, which is made where it is missing.
///
/// # Errors
/// A file cannot be made or written; the file is named.
pub fn write_all(folder: &Path, results: &Results, tally: &Tally) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let write = |name: &str, content: String| outfile::write(&folder.join(name), content);
    write(RESULTS_FILE, serde_json::to_string_pretty(results)? + "\n")?;
    write(JUNIT_FILE, junit(results)?)?;
    write(HISTOGRAMS_FILE, histogram_log(results, tally)?)?;
    write(SERIES_FILE, series_csv(&results.series)?)?;
    write(PAGE_FILE, report_page(results)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `KEEP_SAMPLE=folder` keeps the sample's files, for those who want to look at the page.
    #[test]
    fn every_file_is_written_and_the_results_read_back() {
        let scratch = tempfile::tempdir().unwrap();
        let kept = std::env::var_os("KEEP_SAMPLE").map(std::path::PathBuf::from);
        let folder = kept.unwrap_or_else(|| scratch.path().join("runs/one"));
        let (results, tally) = sample::sold_out();
        write_all(&folder, &results, &tally).unwrap();
        for name in FILES {
            assert!(fs::metadata(folder.join(name)).unwrap().len() > 100, "{name}");
        }
        let read: Results =
            serde_json::from_str(&fs::read_to_string(folder.join(RESULTS_FILE)).unwrap()).unwrap();
        assert_eq!(read.total.granted, results.total.granted);
    }

    #[test]
    fn only_what_a_run_writes_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (results, tally) = sample::sold_out();
        write_all(folder.path(), &results, &tally).unwrap();
        fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        remove_all(folder.path()).unwrap();
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["notes.txt"]);
        remove_all(folder.path()).unwrap();
        remove_all(&folder.path().join("gone")).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("taken");
        fs::write(&file, "").unwrap();
        let (results, tally) = sample::sold_out();
        let error = write_all(&file.join("below"), &results, &tally).unwrap_err();
        assert!(format!("{error:#}").contains("taken/below"), "{error:#}");
    }
}
