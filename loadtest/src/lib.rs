//! The load-test harness of claimrush, which reaches a claim service only over sockets.
//!
//! The modules in the order in which a run meets them:
//!
//! - [`cli`]: what can be asked for
//! - [`scenario`], [`schedule`]: what a rehearsal is, and the moments at which its people come
//! - [`run`], [`rush`]: a rehearsal from a file, or from the command line
//! - [`tickets`], [`ticket_desk`]: what a ticket file holds, and how one is filled at the service's own desk
//! - [`engine`]: runs a scenario's share and counts
//! - [`client`]: one connection, one exchange, one answer
//! - [`tally`], [`claims_log`], [`cpu`]: what is remembered
//! - [`live`]: what is seen of a run while it lasts
//! - [`clock`], [`workers`]: the only reader of wall time; one run from several machines
//! - [`audit`]: asks after the load for every claim that was seen
//! - [`thresholds`]: what must hold afterwards
//! - [`results`], [`outputs`], `outfile`: what a run has shown; its files and its page
//! - [`streams`]: what is said on standard output and standard error
//! - [`report`], [`compare`]: one page of several runs and an audit; two runs side by side
//! - [`peer`]: the servers that the service is measured against
//! - [`fairness`]: what people get of a drop beside a farm, without the guard and with it
//! - [`mod@bench`]: starts contenders, measures them in turn, compares

#![warn(clippy::print_stderr, clippy::print_stdout)]

pub mod audit;
pub mod bench;
pub mod claims_log;
pub mod cli;
pub mod client;
pub mod clock;
pub mod compare;
pub mod cpu;
pub mod engine;
pub mod fairness;
pub mod live;
mod outfile;
pub mod outputs;
pub mod peer;
pub mod report;
pub mod results;
pub mod run;
pub mod rush;
pub mod scenario;
pub mod schedule;
pub mod streams;
pub mod tally;
pub mod thresholds;
pub mod ticket_desk;
pub mod tickets;
pub mod workers;
