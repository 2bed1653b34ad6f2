//! When the append-only file is written anew: while nobody claims.
//!
//! Redis would do it by itself whenever the file has doubled, in the middle of a rush as well. That keeps a core and the
//! disk busy for seconds, and every batch waits for the same disk: half a minute with one in it had a p99 of 20 to 40 ms. So Redis
//! itself does it only for a file that has become very large, and what grew in a rush is tidied after it.

use std::time::Duration;

use redis::aio::ConnectionLike;
use tokio::time::sleep;

use super::files::Files;
use crate::redis::pool::connect_once;
use crate::redis::server_check::info_field;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long one answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// A file that grew by no more than this between two looks belongs to a quiet server: some hundred claims a second.
const QUIET_BYTES: u64 = 64 << 10;
/// A smaller file is loaded in no time.
const SIZE_MIN: u64 = 32 << 20;

/// What Redis says of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    bytes: u64,
    /// Of which the last rewrite has written so many.
    base_bytes: u64,
    /// Whether a rewrite is under way, or about to be.
    is_busy: bool,
}

/// Looks at the file from time to time.
#[derive(Debug, Default)]
pub(super) struct Rewrites {
    /// At the look before.
    bytes: Option<u64>,
}

impl Rewrites {
    /// Has the file written anew whenever it is due. Never ends.
    pub(super) async fn keep(&mut self, files: &Files) {
        loop {
            sleep(LOOK_EVERY).await;
            // A server that does not answer is its supervisor's business; the file is looked at again.
            let Ok(mut connection) = connect_once(&files.url(), ANSWER_WAIT).await else { continue };
            let Some(size) = read(&mut connection).await else { continue };
            if !self.is_due(size) {
                continue;
            }
            match redis::cmd("BGREWRITEAOF").query_async::<String>(&mut connection).await {
                Ok(_) => tracing::info!(
                    bytes = size.bytes,
                    "redis writes its append-only file anew, as nobody claims"
                ),
                Err(error) => tracing::warn!(%error, "redis does not write its append-only file anew"),
            }
        }
    }

    fn is_due(&mut self, size: Size) -> bool {
        let before = self.bytes.replace(size.bytes);
        let is_quiet = before.is_some_and(|before| size.bytes.abs_diff(before) <= QUIET_BYTES);
        is_quiet && !size.is_busy && size.bytes >= SIZE_MIN && size.bytes >= size.base_bytes.saturating_mul(2)
    }
}

async fn read<C: ConnectionLike>(connection: &mut C) -> Option<Size> {
    let info: String = redis::cmd("INFO").arg("persistence").query_async(connection).await.ok()?;
    understand(&info)
}

fn understand(info: &str) -> Option<Size> {
    let number = |name| info_field(info, name)?.parse().ok();
    Some(Size {
        bytes: number("aof_current_size")?,
        base_bytes: number("aof_base_size")?,
        is_busy: number("aof_rewrite_in_progress")? + number("aof_rewrite_scheduled")? > 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(sizes: &[(u64, u64, bool)]) -> Vec<bool> {
        let mut rewrites = Rewrites::default();
        let size = |(bytes, base_bytes, is_busy)| Size { bytes, base_bytes, is_busy };
        sizes.iter().map(|each| rewrites.is_due(size(*each))).collect()
    }

    #[test]
    fn a_file_is_rewritten_when_it_has_doubled_and_rests() {
        let large = 100 << 20;
        assert_eq!(due(&[(large, 1, false), (large, 1, false)]), [false, true], "it rests");
        assert_eq!(due(&[(large, 1, false), (large + QUIET_BYTES, 1, false)]), [false, true], "nearly");
        let grown = large + QUIET_BYTES + 1;
        assert_eq!(
            due(&[(large, 1, false), (grown, 1, false), (grown, 1, false)]),
            [false, false, true],
            "a rush"
        );
        assert_eq!(due(&[(large, large / 2 + 1, false); 3]), [false; 3], "it has not doubled");
        assert_eq!(due(&[(large, 1, true); 3]), [false; 3], "that is under way");
        assert_eq!(due(&[(SIZE_MIN - 1, 1, false); 3]), [false; 3], "it is small");
    }

    #[test]
    fn what_redis_says_is_understood() {
        let info = "# Persistence\r\naof_rewrite_in_progress:0\r\naof_rewrite_scheduled:1\r\naof_current_size:700\r\n\
            aof_base_size:90\r\n";
        assert_eq!(understand(info), Some(Size { bytes: 700, base_bytes: 90, is_busy: true }));
        assert_eq!(understand("# Persistence\r\naof_enabled:0\r\n"), None);
    }
}
