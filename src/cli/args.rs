//! The arguments of the subcommands whose bodies stand elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::config::Overrides;
use crate::domain::ids::{DropId, PersonId};

/// `claimrush serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The public listener's address (config: `server.listen`)
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// The admin listener's address (config: `server.admin_listen`)
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
    /// Leave the journal to a `claimrush drain` of its own
    #[arg(long)]
    pub no_drain: bool,
    /// Let everybody on this machine be whoever they like to be (config: `demo.enabled`)
    #[arg(long)]
    pub demo: bool,
}

impl ServeArgs {
    /// Adds these flags to the config overrides.
    #[must_use]
    pub fn over(&self, overrides: Overrides) -> Overrides {
        Overrides {
            listen: self.listen,
            admin_listen: self.admin_listen,
            drain_enabled: self.no_drain.then_some(false),
            demo_enabled: self.demo.then_some(true),
            ..overrides
        }
    }
}

/// `claimrush drain`: nothing beyond what every subcommand takes.
#[derive(Debug, Clone, Args)]
pub struct DrainArgs {}

/// `claimrush ticket …`.
#[derive(Debug, Clone, Args)]
pub struct TicketArgs {
    /// What is to be done.
    #[command(subcommand)]
    pub command: TicketCommand,
}

/// What there is to do with tickets.
#[derive(Debug, Clone, Subcommand)]
pub enum TicketCommand {
    /// Make tickets, one a line
    Mint(TicketMintArgs),
}

/// `claimrush ticket mint`: for one person, or for `count` persons named by a prefix and a number.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("who").required(true).args(["user", "count"]))]
pub struct TicketMintArgs {
    /// The drop that the tickets are for
    #[arg(long)]
    pub drop: DropId,
    /// The one person whom the ticket is for
    #[arg(long)]
    pub user: Option<PersonId>,
    /// How many persons to make tickets for, each with a name of its own
    #[arg(long, requires = "prefix", value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
    /// What the persons' names begin with; a number follows
    #[arg(long, requires = "count")]
    pub prefix: Option<String>,
    /// The file to write; standard output without it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How long the tickets are good for
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = parse_span)]
    pub valid_for: Duration,
}

/// A span such as `90s`, `15m`, `24h` or `7d`.
pub(super) fn parse_span(text: &str) -> Result<Duration, String> {
    let refuse = || "must be a number with a unit, as in 90s, 15m, 24h or 7d".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_s: u64 = match text.strip_prefix(digits) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 3_600,
        Some("d") => 86_400,
        _ => return Err(refuse()),
    };
    let seconds =
        digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit_s)).ok_or_else(refuse)?;
    match seconds {
        0 => Err("must be longer than nothing".to_owned()),
        1..=315_360_000 => Ok(Duration::from_secs(seconds)),
        _ => Err("must not be longer than ten years".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::{DrainArgs, ServeArgs, TicketArgs, parse_span};
    use crate::backoffice::audit::args::AuditArgs;
    use crate::backoffice::export::args::LedgerArgs;
    use crate::config::Overrides;

    #[derive(Debug, Parser)]
    enum Line {
        Serve(ServeArgs),
        Drain(DrainArgs),
        Ticket(TicketArgs),
        Audit(AuditArgs),
        Ledger(LedgerArgs),
    }

    fn accepts(line: &str) -> bool {
        Line::try_parse_from(format!("claimrush {line}").split_whitespace()).is_ok()
    }

    #[test]
    fn the_documented_lines_are_accepted_and_contradictions_are_not() {
        for line in [
            "serve --listen 127.0.0.1:0 --admin-listen [::1]:9090 --no-drain --demo",
            "drain",
            "ticket mint --drop d --user u",
            "ticket mint --drop d --count 10 --prefix p- --out f --valid-for 7d",
            &format!("audit --json --head {} --claims-log f", "0a".repeat(32)),
            &format!("audit verify --from 7 --head {}", "0A".repeat(32)),
            "ledger export --drop d --format csv",
            "ledger export --drop d --format xlsx",
            "ledger export --drop d --format xlsx --out f.xlsx",
        ] {
            assert!(accepts(line), "{line}");
        }
        for line in [
            "serve --listen 8080",
            // Cut off when it was copied: that is no broken chain.
            &format!("audit --head {}", "0a".repeat(31)),
            &format!("audit verify --head {}", "xx".repeat(32)),
            "ticket mint --drop d",
            "ticket mint --drop d --user u --count 2 --prefix p",
            "ticket mint --drop d --count 2",
            "ticket mint --drop BAD --user u",
            "ticket mint --drop d --user é",
            "ticket mint --drop d --count 0 --prefix p",
            "ledger export --drop d --format pdf",
        ] {
            assert!(!accepts(line), "{line}");
        }
    }

    #[test]
    fn no_drain_turns_the_drain_off_and_its_absence_says_nothing() {
        let flags = |no_drain| ServeArgs { listen: None, admin_listen: None, no_drain, demo: false };
        assert_eq!(flags(true).over(Overrides::default()).drain_enabled, Some(false));
        assert_eq!(flags(false).over(Overrides::default()).drain_enabled, None);
    }

    #[test]
    fn a_span_has_a_unit() {
        assert_eq!(parse_span("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(parse_span("90s"), Ok(Duration::from_secs(90)));
        for wrong in ["24", "h", "0s", "-1h", "1w", "99999999999999999999d", "4000d"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }
}
