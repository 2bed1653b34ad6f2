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
/// The most keys that tickets may be signed with at one time.
pub const TICKET_KEYS_MAX: usize = 16;
/// The shortest secret that tickets or voucher codes are signed with, in bytes: as long as the MAC itself.
pub const SECRET_BYTES_MIN: usize = 32;
/// The largest key file, and the largest with a secret of a captcha service or with those of webhooks, in bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;
/// The longest that a minted ticket may be valid: ten years.
pub const TICKET_VALID_MAX: Duration = Duration::from_secs(3_653 * 24 * 3_600);
/// The most tickets minted at one call.
pub const MINT_TICKETS_MAX: u32 = 10_000_000;

/// Requests that one person may make each second, and at once: enough for an impatient thumb.
pub const PERSON_PER_SECOND_DEFAULT: u32 = 5;
/// See [`PERSON_PER_SECOND_DEFAULT`].
pub const PERSON_BURST_DEFAULT: u32 = 20;
/// The same by address; thousands of people may share one behind a carrier's address translation.
pub const ADDRESS_PER_SECOND_DEFAULT: u32 = 500;
/// See [`ADDRESS_PER_SECOND_DEFAULT`].
pub const ADDRESS_BURST_DEFAULT: u32 = 2_000;
/// Requests per second that one IPv6 /48 may keep up.
pub const NETWORK_PER_SECOND_DEFAULT: u32 = 5_000;
/// See [`NETWORK_PER_SECOND_DEFAULT`].
pub const NETWORK_BURST_DEFAULT: u32 = 20_000;
/// The largest burst of a rate limit.
pub const RATE_BURST_MAX: u32 = 1_000_000;
/// The longest time in which a used-up rate limit recovers; a key is remembered as long.
pub const RATE_RECOVERY_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Keys that one rate limiter keeps apart, at some 40 bytes each; later ones share [`RATE_SHARED_CELLS`].
pub const RATE_KEYS_DEFAULT: usize = 1_000_000;
/// The cells that the keys beyond a rate limiter's cap share.
pub const RATE_SHARED_CELLS: usize = 16_384;
/// How often recovered keys are dropped from the rate limiters.
pub const RATE_UPKEEP_INTERVAL: Duration = Duration::from_secs(10);
/// The most hops of a forwarded address that are followed.
pub const FORWARDED_HOPS_MAX: usize = 16;

/// The largest file with an address table, in bytes: it is held in memory, twice while another one takes its place.
pub const ADDRESS_TABLE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// The most networks that an address table may have; all are looked at before it is believed.
pub const ADDRESS_TABLE_NETWORKS_MAX: usize = 50_000_000;
/// Requests per second that one autonomous system may keep up: a carrier may have a good part of all people.
pub const ASN_PER_SECOND_DEFAULT: u32 = 50_000;
/// See [`ASN_PER_SECOND_DEFAULT`].
pub const ASN_BURST_DEFAULT: u32 = 200_000;

/// The most campaigns, and the most drops over all campaigns, that one ledger may hold.
pub const CAMPAIGNS_MAX: usize = 1_000;
/// See [`CAMPAIGNS_MAX`].
pub const DROPS_MAX: usize = 4_096;
/// The most drops in one campaign: they are configured by one script call, all or none.
pub const DROPS_PER_CAMPAIGN_MAX: usize = 256;
/// The largest stock of one drop: claim numbers have 32 bits.
pub const STOCK_MAX: u64 = u32::MAX as u64;
/// The last instant of a drop: the end of the year 9999. The scripts take instants below 2^48.
pub const INSTANT_MS_MAX: i64 = 253_402_300_799_999;
const _: () = assert!(INSTANT_MS_MAX < 1 << 48);
/// The highest limit per person; a holder's claims are read whole by the claim script.
pub const LIMIT_PER_PERSON_MAX: u32 = 100;
/// The largest budget, in fen: the last number that programs which count in doubles, as scripts and spreadsheets do, read whole.
/// The same money may be claimed a thousand times over, as it comes back, before what moved does not fit the books.
pub const BUDGET_FEN_MAX: i64 = (1 << 53) - 1;
const _: () = assert!(BUDGET_FEN_MAX < i64::MAX / 1_000);
/// The largest campaign file, in bytes.
pub const CAMPAIGN_FILE_BYTES_MAX: usize = 256 * 1024;

/// The longest name in a campaign file (campaign, sponsor, drop, category, region), in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// The most merchant categories, and the most regions, that one voucher may name.
pub const MERCHANT_RULES_MAX: usize = 256;
/// The longest time that a voucher may be valid: ten years.
pub const VALID_MS_MAX: i64 = 3_650 * 24 * 60 * 60 * 1_000;

/// The longest time that an item may be held: thirty days.
pub const HOLD_MS_MAX: i64 = 30 * 24 * 60 * 60 * 1_000;

/// The most claims in one script call. Lua's `unpack` takes fewer than 8,000 values on its C stack.
pub const BATCH_CLAIMS_MAX: usize = 1_000;
/// The most drops in one script call.
pub const BATCH_DROPS_MAX: usize = 64;
/// Batches in flight on one lane.
pub const INFLIGHT_BATCHES_DEFAULT: usize = 2;
/// Claims waiting on one core before the gate answers `overloaded`.
pub const QUEUE_CLAIMS_DEFAULT: usize = 8_192;
/// Claims that may wait on one core in an overload even where a batch carries fewer: people do not come evenly, and
/// a queue shorter than this would refuse some of them at half of the load that it can serve.
pub const OVERLOAD_CLAIMS_MIN: usize = 8;
/// How long a claim may wait before it is refused unsent.
pub const QUEUE_WAIT_DEFAULT: Duration = Duration::from_millis(1_000);

/// How long Redis may take over one batch before its reply counts as lost.
pub const REDIS_RESPONSE_DEFAULT: Duration = Duration::from_millis(2_000);
/// Replicas that must have a claim where claims are acknowledged by replicas.
pub const REPLICAS_DEFAULT: u32 = 1;
/// How long a batch may wait for them before the outcome of its claims is unknown.
pub const REPLICA_WAIT_DEFAULT: Duration = Duration::from_millis(500);
/// How long a checkout from a Redis pool may wait.
pub const REDIS_POOL_WAIT: Duration = Duration::from_millis(2_000);
/// How long making a connection to Redis may take, login included.
pub const REDIS_CONNECT: Duration = Duration::from_millis(1_000);
/// Connections of one Redis pool.
pub const REDIS_POOL_CONNECTIONS: usize = 64;
/// How long a managed Redis may take to answer after its start, before it is given up ...
pub const REDIS_LOAD_BASE: Duration = Duration::from_millis(30_000);
/// ... and how much longer for each MiB that it has to load.
pub const REDIS_LOAD_PER_MIB: Duration = Duration::from_millis(100);
/// The pause before a dead managed Redis is started again: doubled from the first to the second.
pub const REDIS_BACKOFF_MIN: Duration = Duration::from_millis(100);
/// See [`REDIS_BACKOFF_MIN`]. People are to be served again within five seconds, and what is started has to be loaded as well.
pub const REDIS_BACKOFF_MAX: Duration = Duration::from_millis(2_000);
/// After so long a managed Redis is well, and the next pause is the shortest. One that cannot write its file ends at a first claim.
pub const REDIS_WELL_AFTER: Duration = Duration::from_millis(1_000);
/// The longest path of a unix socket, in bytes: `sun_path` has 108, of which one ends it.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// How often every drop's state is read from Redis; the design allows 250 ms.
pub const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How many holders one step of a walk over a drop's holders asks for.
pub const SCAN_HOLDERS: usize = 1_000;
/// How long one poll may take before Redis counts as silent.
pub const POLL_PATIENCE: Duration = Duration::from_millis(1_000);

/// The largest request header block and body on the public listener, in bytes.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// See [`HEADER_BYTES_MAX`]. A claim needs no body at all.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// How long the list of campaigns may be given again as it was made.
pub const LIST_FRESH: Duration = Duration::from_millis(250);
/// The most campaigns in that list, and the most drops in them all; the first campaign is whole.
pub const LISTED_CAMPAIGNS_MAX: usize = 50;
/// See [`LISTED_CAMPAIGNS_MAX`].
pub const LISTED_DROPS_MAX: usize = 400;
/// The longest ticket or identity that a form may hand over to the page: it goes into a header.
pub const HANDED_OVER_BYTES_MAX: usize = 8 * 1024;
/// The most origins whose pages may call.
pub const ALLOWED_ORIGINS_MAX: usize = 32;
/// The longest request target, in bytes (414 above it).
pub const TARGET_BYTES_MAX: usize = 1_024;
/// The most headers in one request.
pub const HEADERS_MAX: usize = 64;
/// Requests that only look and are answered by one core between two looks at its sockets: less than 0.1 ms.
pub const LOOKS_AT_ONCE: usize = 8;
/// Connections held by the public listener.
pub const CONNECTIONS_DEFAULT: usize = 20_000;
/// One address may have one in so many of them, where nothing else is set: more than the requests that it may make at once.
pub const ADDRESS_CONNECTIONS_SHARE: usize = 4;
const _: () = assert!(CONNECTIONS_DEFAULT / ADDRESS_CONNECTIONS_SHARE > ADDRESS_BURST_DEFAULT as usize);
/// Connections held by the admin listener.
pub const ADMIN_CONNECTIONS_MAX: usize = 256;
/// File descriptors that the public listener's connections leave to all else ...
pub const DESCRIPTORS_RESERVED: usize = 512;
/// ... and as many more for each thread: its pool, its listener, its runtime, its lane.
pub const DESCRIPTORS_PER_THREAD: usize = REDIS_POOL_CONNECTIONS + 8;

/// Journal entries that the drain reads first, when it cannot know how many claims each has.
pub const DRAIN_READ_ENTRIES_FIRST: usize = 32;
/// Journal entries read at once by the drain.
pub const DRAIN_READ_ENTRIES_MAX: usize = 512;
/// Entries of the journal that the ledger has passed by and does not have, which are looked at; what follows them there is kept unseen.
pub const DRAIN_KEPT_LOOKED_MAX: u64 = 512;
/// Claims written in one ledger transaction.
pub const DRAIN_GROUP_CLAIMS_MAX: usize = 20_000;
/// How long the drain gathers entries for one transaction.
pub const DRAIN_COMMIT_INTERVAL: Duration = Duration::from_millis(50);
/// Journal entries from which on new claims are refused.
pub const JOURNAL_ENTRIES_DEFAULT: u64 = 1_000_000;
/// Journal bytes from which on new claims are refused.
pub const JOURNAL_BYTES_DEFAULT: u64 = 1024 * 1024 * 1024;
/// Percent of Redis' `maxmemory` from which on new claims are refused.
pub const JOURNAL_MEMORY_PERCENT_DEFAULT: u64 = 85;
/// Requests waiting for one of the ledger's threads; further callers wait their turn.
pub const LEDGER_QUEUE: usize = 64;
/// How long a write to the embedded ledger waits for another process that writes to the same file.
pub const LEDGER_BUSY_WAIT: Duration = Duration::from_secs(10);
/// How often the embedded ledger's write-ahead log is copied back into its file while the service goes on writing.
pub const LEDGER_CHECKPOINT_INTERVAL: Duration = Duration::from_millis(100);
/// How long connecting to PostgreSQL may take.
pub const LEDGER_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a PostgreSQL server may stay silent on the network before the connection counts as lost.
pub const LEDGER_NETWORK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one writer waits for another, or for a connection of the pool.
pub const LEDGER_LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one statement that writes may take.
pub const LEDGER_STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a writer that says nothing in the middle of a transaction keeps others out.
pub const LEDGER_IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a PostgreSQL server may take over a change or a look-up before its connection is given up.
pub const LEDGER_ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Connections that write; more of them would only wait for each other.
pub const LEDGER_WRITERS: usize = 2;
/// Connections that look things up, and as many that go over many rows.
pub const LEDGER_READERS: usize = 2;
/// Audit records that are read at once.
pub const AUDIT_RECORDS_PAGE: i64 = 256;
/// The longest kind and the longest id of a document, and the longest name of who writes one, in bytes.
pub const DOCUMENT_KIND_BYTES_MAX: usize = 32;
/// See [`DOCUMENT_KIND_BYTES_MAX`].
pub const DOCUMENT_ID_BYTES_MAX: usize = 128;
/// See [`DOCUMENT_KIND_BYTES_MAX`].
pub const ACTOR_BYTES_MAX: usize = 128;
/// The largest file with a token that a command reads, in bytes: two lines while the token is changed.
pub const TOKEN_FILE_BYTES_MAX: usize = 16 * 1024;
/// The longest name of a key's holder, in bytes: with the key's id it is the actor.
pub const KEY_NAME_BYTES_MAX: usize = 64;
/// The most API keys, revoked ones with them: each stands in memory.
pub const KEYS_MAX: usize = 200_000;
/// The longest time that a rotated key's old secret may stay good.
pub const KEY_OVERLAP_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);
/// The most merchants: each stands in memory.
pub const MERCHANTS_MAX: usize = 200_000;
/// The most shops of one merchant.
pub const SHOPS_PER_MERCHANT_MAX: usize = 1_000;
/// The largest file of merchants, in bytes.
pub const IMPORT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a workbook of merchants may unpack to, in bytes.
pub const IMPORT_UNPACKED_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// The most rows of a file of merchants.
pub const IMPORT_ROWS_MAX: usize = 20_000;
/// The last row of a workbook of merchants in which anything may stand: columns' names, the rows, and one too many to be told of.
pub const IMPORT_LINES_MAX: u32 = 20_002;
/// The last column of a workbook of merchants in which anything may stand.
pub const IMPORT_COLUMNS_MAX: u32 = 64;
/// The most flaws of a file that are named; the rest are counted.
pub const IMPORT_FLAWS_SHOWN: usize = 200;
/// Merchants that are listed at once.
pub const MERCHANTS_PAGE: u32 = 500;
/// The most words of one's own for categories of merchants.
pub const CATEGORIES_MAX: usize = 1_000;
/// The longest body of a document, in bytes of JSON: a campaign file with every letter escaped.
pub const DOCUMENT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Documents that are read at once.
pub const DOCUMENTS_PAGE: u32 = 1_000;
/// Persons on the list of those who are kept out, and persons who are or were banned one by one.
pub const BLOCKED_MAX: usize = 1_000_000;
/// The largest file with that list, in bytes.
pub const BLOCKED_FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Accounts on one allow-list, at eight bytes each.
pub const ALLOW_LIST_MAX: usize = 10_000_000;
/// Bonds that wait for the ledger; further ones are answered that the service is busy.
pub const BONDS_QUEUE: usize = 4_096;
/// Bonds in one transaction.
pub const BONDS_BATCH: usize = 500;
/// Requests at the ticket desk at a time; further ones are answered that the service is busy.
pub const DESK_REQUESTS: usize = 256;
/// The shortest and the longest name of a device, in bytes.
pub const DEVICE_BYTES: std::ops::RangeInclusive<usize> = 16..=256;
/// The longest identity token.
pub const IDENTITY_BYTES_MAX: usize = 8 * 1024;
/// The longest `sub` and the longest value of a dimension in one.
pub const IDENTITY_TEXT_BYTES_MAX: usize = 256;
/// What else a person may be known by.
pub const DIMENSIONS_MAX: usize = 8;
/// The longest set of keys that identities are checked with, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// How often keys that are not known are asked for, however many tokens name some.
pub const KEY_SET_FETCH_MIN: Duration = Duration::from_secs(10);
/// Requests at the desk that wait for keys which are not known, so that they take no place of others; further ones are told "busy".
pub const KEY_WAITERS: usize = DESK_REQUESTS / 4;
/// Keys in one set that identities may be checked with.
pub const IDENTITY_KEYS_MAX: usize = 64;
/// The shortest RSA key.
pub const RSA_BITS_MIN: usize = 2_048;
/// The longest solution of a challenge, in base64.
pub const SOLUTION_BYTES_MAX: usize = 2_048;
/// How long a solution that was spent is remembered beyond its challenge's end: front ends' clocks differ.
pub const SPENT_BEYOND_END: Duration = Duration::from_secs(60);
/// Bytes of the log that wait for whoever reads standard error; further lines are lost.
pub const LOG_WAITING_BYTES_MAX: usize = 4 << 20;
/// How long the process' end waits for whoever reads standard error.
pub const LOG_FLUSH_PATIENCE: Duration = Duration::from_secs(2);
/// Spans that wait for a collector; further ones are lost.
pub const SPANS_QUEUE: usize = 8_192;
/// Spans that a collector gets at once.
pub const SPANS_BATCH: usize = 1_024;
/// Orphan receipts that are read at once.
pub const RECEIPTS_PAGE: u32 = 500;
/// Persons of whom it is kept that they showed the code of one lost claim.
pub const RECEIPT_PERSONS_MAX: usize = 8;
/// Voucher look-ups that may run at a time; further ones are answered that the service is busy.
pub const VOUCHER_LOOK_UPS: usize = 64;
/// Seconds for which a voucher's QR code is good.
pub const QR_VALID_S_DEFAULT: u32 = 30;
/// The longest reason for which a receipt is found to be void, in bytes.
pub const RECEIPT_REASON_BYTES_MAX: usize = 500;
/// The longest reason for which a person is banned, in bytes.
pub const BAN_REASON_BYTES_MAX: usize = 500;
/// How long after a redemption its merchant may take it back, where the campaign says nothing: a quarter of an hour.
pub const REVERSE_MS_DEFAULT: i64 = 15 * 60_000;
/// The longest that a campaign may allow for that.
pub const REVERSE_MS_MAX: i64 = 24 * 3_600_000;
/// The highest cap on redemptions a day.
pub const REDEMPTIONS_PER_DAY_MAX: u32 = 10_000_000;
/// Steps of vouchers in one ledger transaction.
pub const LIFE_BATCH: usize = 500;
/// Redemptions, reversals and refunds that wait for the ledger; further ones are answered that the service is busy.
pub const LIFE_QUEUE: usize = 4_096;
/// The longest reason for a decision of staff about a voucher or about money, in bytes.
pub const DECISION_REASON_BYTES_MAX: usize = 500;
/// How often a decision is tried again that somebody else was faster than.
pub const DECISION_TRIES: usize = 4;
/// Steps of a voucher that are shown at once.
pub const VOUCHER_STEPS_PAGE: u32 = 100;
/// Postings that are listed at once.
pub const POSTINGS_PAGE: u32 = 1_000;
/// Closed periods that are listed at once.
pub const PERIODS_PAGE: u32 = 50;
/// Payments to merchants or transfers that are listed at once.
pub const MONEY_STEPS_PAGE: u32 = 100;
/// The longest order number, shop, cashier or other text of a redemption, in bytes.
pub const LIFE_TEXT_BYTES_MAX: usize = 128;
/// Seconds by which a payment callback's time may differ from ours.
pub const CALLBACK_TOLERANCE_S_DEFAULT: u64 = 300;
/// Holds that may be confirmed or cancelled at a time; further ones are answered that the service is busy.
pub const HOLD_CALLS: usize = 256;
/// How long a confirmation or a cancellation waits for the drain to bring the claim into the ledger.
pub const HOLD_DRAIN_WAIT: Duration = Duration::from_secs(2);
/// How often holds are swept.
pub const HOLD_SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// Claims that a sweep looks at at once.
pub const HOLD_PAGE: u32 = 500;
/// Holds of a drop that the ledger does not end and that the sweep goes past; with more of them it comes back to the rest.
pub const HOLDS_STUCK_MAX: usize = 64;
/// How long such holds are left alone before it is tried again to end them.
pub const HOLDS_STUCK_AGAIN: Duration = Duration::from_secs(10);
/// Units that are given back at a time.
pub const HOLD_RETURNS: usize = 16;
/// Late payments that are read at once.
pub const LATE_PAYMENTS_PAGE: u32 = 500;
/// How long an answer waits for the ledger to say how a claim stands, before it says what Redis knows.
pub const STANDING_WAIT: Duration = Duration::from_millis(250);
/// Look-ups of how claims stand that may run at a time.
pub const STANDING_LOOK_UPS: usize = 64;
/// The largest file with certificates to trust, in bytes: a system has some 300 KiB of them.
pub const CERTIFICATES_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Secrets that callbacks may be signed with at one time.
pub const WEBHOOK_SECRETS_MAX: usize = 8;
/// Signatures of one callback that are looked at.
pub const WEBHOOK_SIGNATURES_MAX: usize = 8;
/// The longest id of a callback, in bytes.
pub const WEBHOOK_ID_BYTES_MAX: usize = 128;
/// How long a recovery waits for the drain.
pub const RECOVERY_DRAIN_WAIT: Duration = Duration::from_secs(30);
/// Claims that a recovery gives Redis in one call; at most the thousand that `restore.lua` takes.
pub const RESTORE_HOLDERS: usize = 500;
/// Claim rows read at once by the audit, by the exports and by a recovery.
pub const CLAIM_ROWS_PAGE: u32 = 10_000;
/// Claims whose fingerprints the audit holds at once (8 bytes each) while it walks over the holders of a drop.
pub const AUDIT_WINDOW_CLAIMS: u32 = 1 << 22;
/// Differences that one check of the audit names; the rest are counted.
pub const AUDIT_DIFFERENCES_SHOWN: usize = 5;
/// How often the audit looks again for a moment at which Redis and ledger can be compared ...
pub const AUDIT_LOOKS_MAX: u32 = 20;
/// ... and how long it waits between two looks.
pub const AUDIT_LOOK_PAUSE: Duration = Duration::from_millis(100);
/// The longest line of a claims log, in bytes.
pub const CLAIMS_LOG_LINE_BYTES_MAX: usize = 4_096;
/// Entries of the quarantine that are read at once: few, as each may be long.
pub const QUARANTINE_PAGE: u32 = 100;
/// So much of an entry's raw text is shown, in bytes; the ledger has the rest.
pub const QUARANTINE_SHOWN_BYTES: usize = 4 * 1024;
/// The longest raw text of a poison entry that is kept.
pub const POISON_BYTES_MAX: usize = 64 * 1024;

const _: () = assert!(BATCH_CLAIMS_MAX * 2 + 16 < 8_000, "a batch must fit Lua's C stack");
const _: () = assert!(BATCH_CLAIMS_MAX <= QUEUE_CLAIMS_DEFAULT, "a full batch must fit the queue");
const _: () = assert!(BATCH_CLAIMS_MAX <= DRAIN_GROUP_CLAIMS_MAX, "one entry must fit one transaction");
const _: () = assert!(IMPORT_LINES_MAX as usize == IMPORT_ROWS_MAX + 2, "a row too many must be seen");
const _: () = assert!(TICKET_BYTES_MAX < HEADER_BYTES_MAX, "a ticket travels in a header");
const _: () = assert!(
    ADMIN_CONNECTIONS_MAX + REDIS_POOL_CONNECTIONS < DESCRIPTORS_RESERVED,
    "staff and the pool beside the threads' must be served"
);
const _: () = assert!(CAMPAIGN_FILE_BYTES_MAX * 6 < DOCUMENT_BYTES_MAX, "a draft must fit a document");
const _: () = assert!(KEY_NAME_BYTES_MAX + 32 < ACTOR_BYTES_MAX, "a name and a key's id make an actor");
const _: () = assert!(REDIS_BACKOFF_MIN.as_millis() < REDIS_BACKOFF_MAX.as_millis(), "the pause must grow");
const _: () = assert!(POLL_INTERVAL.as_millis() <= 250, "the design's bound on stale state");

const _: () = assert!(
    REPLICA_WAIT_DEFAULT.as_millis() * (INFLIGHT_BATCHES_DEFAULT as u128)
        < REDIS_RESPONSE_DEFAULT.as_millis(),
    "batches wait for replicas one after another, and the last one's reply must not count as lost"
);

/// What a config key may be set to; the config's check and its refusals read these.
pub mod range;
