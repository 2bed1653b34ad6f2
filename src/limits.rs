//! Every cap in the program, and how the caps relate.
//!
//! Owns the numbers that keep memory, queues and waits bounded. A number that a deployment may tune is a
//! config key whose *default* and *range* stand here. Imports nothing.

use std::time::Duration;

/// The longest drop or campaign id, in bytes.
pub const ID_BYTES_MAX: usize = 64;
/// The longest person id (`sub` of a ticket), in bytes.
pub const PERSON_BYTES_MAX: usize = 128;
/// The longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// The longest ticket that is looked at, in bytes; a longer one is refused unread.
pub const TICKET_BYTES_MAX: usize = 2_048;

/// The most campaigns, and the most drops over all campaigns, that one ledger may hold.
pub const CAMPAIGNS_MAX: usize = 1_000;
/// See [`CAMPAIGNS_MAX`].
pub const DROPS_MAX: usize = 4_096;
/// The most drops in one campaign: they are configured by one script call, all or none.
pub const DROPS_PER_CAMPAIGN_MAX: usize = 256;
/// The largest stock of one drop: claim numbers have 32 bits.
pub const STOCK_MAX: u64 = u32::MAX as u64;
/// The highest limit per person; a holder's claims are read whole by the claim script.
pub const LIMIT_PER_PERSON_MAX: u32 = 100;
/// The largest campaign file, in bytes.
pub const CAMPAIGN_FILE_BYTES_MAX: usize = 256 * 1024;

/// The longest name in a campaign file (campaign, sponsor, drop, category, region), in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// The most merchant categories, and the most regions, that one voucher may name.
pub const MERCHANT_RULES_MAX: usize = 256;
/// The longest time that a voucher may be valid: ten years.
pub const VALID_MS_MAX: i64 = 3_650 * 24 * 60 * 60 * 1_000;

/// The most claims in one script call. Lua's `unpack` takes fewer than 8,000 values on its C stack.
pub const BATCH_CLAIMS_MAX: usize = 1_000;
/// The most drops in one script call.
pub const BATCH_DROPS_MAX: usize = 64;
/// Batches in flight on one lane.
pub const INFLIGHT_BATCHES_DEFAULT: usize = 2;
/// Claims waiting on one core before the gate answers `overloaded`.
pub const QUEUE_CLAIMS_DEFAULT: usize = 8_192;
/// How long a claim may wait before it is refused unsent.
pub const QUEUE_WAIT_DEFAULT: Duration = Duration::from_millis(1_000);

/// How long Redis may take over one batch before its reply counts as lost.
pub const REDIS_RESPONSE_DEFAULT: Duration = Duration::from_millis(2_000);
/// How long a checkout from a Redis pool may wait.
pub const REDIS_POOL_WAIT: Duration = Duration::from_millis(2_000);

/// How often every drop's state is read from Redis; the design allows 250 ms.
pub const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The largest request header block and body on the public listener, in bytes.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// See [`HEADER_BYTES_MAX`]. A claim needs no body at all.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// The longest request target, in bytes (414 above it).
pub const TARGET_BYTES_MAX: usize = 1_024;
/// The most headers in one request.
pub const HEADERS_MAX: usize = 64;
/// Connections held by the public listener.
pub const CONNECTIONS_DEFAULT: usize = 20_000;
/// Connections held by the admin listener.
pub const ADMIN_CONNECTIONS_MAX: usize = 256;

/// Journal entries read at once by the drain.
pub const DRAIN_READ_ENTRIES_MAX: usize = 512;
/// Claims written in one ledger transaction.
pub const DRAIN_GROUP_CLAIMS_MAX: usize = 20_000;
/// How long the drain gathers entries for one transaction.
pub const DRAIN_COMMIT_INTERVAL: Duration = Duration::from_millis(50);
/// Requests waiting for one of the ledger's threads; further callers wait their turn.
pub const LEDGER_QUEUE: usize = 64;
/// How long a write to the embedded ledger waits for another process that writes to the same file.
pub const LEDGER_BUSY_WAIT: Duration = Duration::from_secs(10);
/// The longest raw text of a poison entry that is kept.
pub const POISON_BYTES_MAX: usize = 64 * 1024;

const _: () = assert!(BATCH_CLAIMS_MAX * 2 + 16 < 8_000, "a batch must fit Lua's C stack");
const _: () = assert!(BATCH_CLAIMS_MAX <= QUEUE_CLAIMS_DEFAULT, "a full batch must fit the queue");
const _: () = assert!(BATCH_CLAIMS_MAX <= DRAIN_GROUP_CLAIMS_MAX, "one entry must fit one transaction");
const _: () = assert!(TICKET_BYTES_MAX < HEADER_BYTES_MAX, "a ticket travels in a header");
const _: () = assert!(POLL_INTERVAL.as_millis() <= 250, "the design's bound on stale state");
