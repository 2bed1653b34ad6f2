//! The load-test harness of claimrush.

mod report_html;

use clap::Parser;

#[derive(Debug, Parser)]
enum Command {
    /// Write a page about a rush.
    Report(report_html::ReportArgs),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Report(args) => report_html::run(&args),
    }
}
