//! What numbers of the configuration may be set to: the least and the most of each.

use std::ops::RangeInclusive;

use super::{BATCH_CLAIMS_MAX, DRAIN_GROUP_CLAIMS_MAX};

/// `server.threads`; 0 stands for one per core.
pub const THREADS: RangeInclusive<u64> = 0..=256;
/// `server.max_connections`.
pub const CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;
/// `server.max_connections_per_address`; 0 stands for a part of those that are held.
pub const ADDRESS_CONNECTIONS: RangeInclusive<u64> = 0..=1_000_000;
/// `server.header_timeout_ms` and `server.body_timeout_ms`.
pub const REQUEST_TIMEOUT_MS: RangeInclusive<u64> = 100..=60_000;
/// `server.idle_timeout_ms`.
pub const IDLE_TIMEOUT_MS: RangeInclusive<u64> = 1_000..=3_600_000;
/// `server.shutdown_deadline_ms`.
pub const SHUTDOWN_DEADLINE_MS: RangeInclusive<u64> = 100..=600_000;
/// `server.trusted_proxies`: every address is compared with each of them.
pub const TRUSTED_PROXIES: RangeInclusive<u64> = 0..=64;
/// `desk.keys_refresh_s`.
pub const KEYS_REFRESH_S: RangeInclusive<u64> = 10..=86_400;
/// `desk.opens_before_s`.
pub const DESK_OPENS_BEFORE_S: RangeInclusive<u64> = 0..=31_536_000;
/// `desk.ticket_valid_s`.
pub const TICKET_VALID_S: RangeInclusive<u64> = 10..=604_800;
/// `desk.person_per_minute`, `desk.address_per_minute` and `desk.asn_per_minute`.
pub const DESK_PER_MINUTE: RangeInclusive<u64> = 1..=600_000;
/// `desk.difficulty`; 64 times as much is asked at most.
pub const DIFFICULTY: RangeInclusive<u64> = 1..=10_000_000;
/// `desk.challenge_valid_s`.
pub const CHALLENGE_VALID_S: RangeInclusive<u64> = 10..=3_600;
/// `redis.response_timeout_ms`.
pub const REDIS_RESPONSE_MS: RangeInclusive<u64> = 50..=60_000;
/// `redis.replicas`.
pub const REPLICAS: RangeInclusive<u64> = 1..=16;
/// `redis.replica_wait_ms`.
pub const REPLICA_WAIT_MS: RangeInclusive<u64> = 10..=30_000;
/// `claim.batch_max`.
pub const BATCH_CLAIMS: RangeInclusive<u64> = 1..=BATCH_CLAIMS_MAX as u64;
/// `claim.inflight_max`.
pub const INFLIGHT_BATCHES: RangeInclusive<u64> = 1..=16;
/// `claim.queue_max`.
pub const QUEUE_CLAIMS: RangeInclusive<u64> = 1..=1_000_000;
/// `claim.queue_wait_ms`.
pub const QUEUE_WAIT_MS: RangeInclusive<u64> = 10..=30_000;
/// `limits.person_per_second` and `limits.person_burst`.
pub const PERSON_RATE: RangeInclusive<u64> = 1..=10_000;
/// `limits.address_per_second` and `limits.address_burst`; those of networks and of autonomous systems too.
pub const ADDRESS_RATE: RangeInclusive<u64> = 1..=1_000_000;
/// `limits.asn_exempt`: the carriers of a country.
pub const ASN_EXEMPT: RangeInclusive<u64> = 0..=1_024;
/// `limits.keys_max`.
pub const LIMITER_KEYS: RangeInclusive<u64> = 1_000..=100_000_000;
/// `drain.commit_interval_ms`.
pub const COMMIT_INTERVAL_MS: RangeInclusive<u64> = 1..=1_000;
/// `drain.group_max`; a whole journal entry must fit one transaction.
pub const DRAIN_GROUP_CLAIMS: RangeInclusive<u64> = BATCH_CLAIMS_MAX as u64..=DRAIN_GROUP_CLAIMS_MAX as u64;
/// `journal.entries_max`.
pub const JOURNAL_ENTRIES: RangeInclusive<u64> = 10..=1_000_000_000;
/// `journal.bytes_max`: from 64 KiB to 1 TiB.
pub const JOURNAL_BYTES: RangeInclusive<u64> = 65_536..=1_099_511_627_776;
/// `journal.memory_max_percent`; what is left is for the batches that are under way.
pub const JOURNAL_MEMORY_PERCENT: RangeInclusive<u64> = 10..=95;
/// `holds.callback_tolerance_s`.
pub const CALLBACK_TOLERANCE_S: RangeInclusive<u64> = 10..=3_600;
/// `voucher.qr_valid_s`.
pub const QR_VALID_S: RangeInclusive<u64> = 30..=60;
/// `log.sample`: one line for so many decisions.
pub const LOG_SAMPLE: RangeInclusive<u64> = 1..=1_000_000;
/// `ticket.leeway_s`.
pub const TICKET_LEEWAY_S: RangeInclusive<u64> = 0..=60;
