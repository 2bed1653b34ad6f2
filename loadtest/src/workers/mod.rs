//! One run from several machines: worker processes, and the coordinator that drives them.
//!
//! ```text
//!  coordinator (`run --workers a:7700,b:7700`)              worker (`worker --listen a:7700`)
//!  Fleet::connect   ── GET  /v1/worker ───────────────────► version, threads, whether it is free
//!  Fleet::prepare   ── POST /v1/jobs  {job, place} ───────► opens its connections
//!                   ── GET  /v1/jobs/{id}/progress ───────► every 250 ms until the end: state, counts
//!  start            ── GET  /v1/clock  (16 times) ────────► its clock: the offset of the best round trip
//!                   ── POST /v1/jobs/{id}/start {at} ─────► lets go at one instant, named in its own clock
//!  while it runs    ── GET  /v1/jobs/{id}/claims?from=n ──► claims seen, appended here to one fsynced log
//!  join             ── GET  /v1/jobs/{id}/result ─────────► its tally: histograms are added, never averaged
//! ```
//!
//! - [`token`]: the shared secret that every call carries
//! - [`clock`]: clocks that do not jump, and the offset between two of them
//! - `protocol`: the words of the calls and their bounds
//! - [`server`]: the worker's side
//! - `client`, `follow`, `merged_log`, `crew`, `fleet`: the coordinator's side
//!
//! A run counts only if every worker did its whole share: one that cannot be reached, is busy, has another version
//! or dies makes the run fail with an error that names it. A worker that has not heard from its coordinator for ten
//! seconds lets the job go and is free again.
//!
//! The link is plain HTTP/1.1 and a job carries the key that signs tickets: it belongs into a network that nobody
//! else listens to (a private network, a tunnel). The token keeps others from using a worker; it
//! does not hide what is said. Neither token nor key is ever logged.
//!
//! Knows how jobs travel; what a job does is the [`engine`](crate::engine)'s.

mod client;
pub mod clock;
mod crew;
mod fleet;
mod follow;
mod merged_log;
mod protocol;
pub mod server;
pub mod token;

pub use fleet::{Fleet, PreparedFleet, RunningFleet};
pub use server::WorkerArgs;
pub use token::Token;
