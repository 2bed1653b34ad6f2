//! The load-test harness of claimrush, which reaches a claim service only over sockets.
//!
//! The modules in the order in which a run meets them:
//!
//! - [`cli`]: what can be asked for
//! - [`scenario`], [`schedule`]: what a rehearsal is, and the moments at which its people come
//! - [`tickets`], [`arrivals`]: what is sent, and when
//! - [`pacer`]: lets requests leave on schedule, whatever the service does
//! - [`client`]: one connection, one exchange, one answer
//! - [`caller`], [`worker`]: a connection's life during a run; one thread of connections
//! - [`engine`]: runs a scenario's share and counts
//! - [`record`], [`claims_log`], [`cpu`]: what is remembered
//! - [`live`]: what is seen of a run while it lasts
//! - [`progress`], [`report`]: what is told
//! - [`thresholds`]: what must hold afterwards
//! - [`results`], [`outputs`], [`compare`]: what a run has shown; its files and its page; two runs side by side
//! - [`clock`]: the only reader of wall time
//! - [`clock`], [`workers`]: one run from several machines
//! - [`rush`]: wires the above into one run
//! - [`audit`]: asks after the load for every claim that was seen
//! - [`peer`]: the servers that the service is measured against
//! - [`mod@bench`]: starts contenders, measures them in turn, compares

pub mod arrivals;
pub mod audit;
pub mod bench;
pub mod caller;
pub mod claims_log;
pub mod cli;
pub mod client;
pub mod clock;
pub mod compare;
pub mod cpu;
pub mod engine;
pub mod live;
pub mod outputs;
pub mod pacer;
pub mod peer;
pub mod progress;
pub mod record;
pub mod report;
pub mod report_html;
pub mod results;
pub mod run;
pub mod rush;
pub mod scenario;
pub mod schedule;
pub mod tally;
pub mod thresholds;
pub mod tickets;
pub mod worker;
pub mod workers;
