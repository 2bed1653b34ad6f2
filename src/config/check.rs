//! What each key may be set to. The same words refuse a wrong type and a wrong value.

use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::{Ack, CallUrl, ChallengeKind, Config, ConfigError, DeskConfig, places};
use crate::limits::{self, range};

/// A number's key, what it may be, and where it stands.
struct Numeric {
    key: &'static str,
    range: RangeInclusive<u64>,
    value: fn(&Config) -> u64,
}

/// Every number in the config.
const NUMERIC: &[Numeric] = &[
    Numeric { key: "server.threads", range: range::THREADS, value: |c| wide(c.server.threads) },
    Numeric {
        key: "server.max_connections",
        range: range::CONNECTIONS,
        value: |c| wide(c.server.max_connections),
    },
    Numeric {
        key: "server.max_connections_per_address",
        range: range::ADDRESS_CONNECTIONS,
        value: |c| wide(c.server.max_connections_per_address),
    },
    Numeric {
        key: "server.header_timeout_ms",
        range: range::REQUEST_TIMEOUT_MS,
        value: |c| c.server.header_timeout_ms,
    },
    Numeric {
        key: "server.idle_timeout_ms",
        range: range::IDLE_TIMEOUT_MS,
        value: |c| c.server.idle_timeout_ms,
    },
    Numeric {
        key: "server.body_timeout_ms",
        range: range::REQUEST_TIMEOUT_MS,
        value: |c| c.server.body_timeout_ms,
    },
    Numeric {
        key: "server.shutdown_deadline_ms",
        range: range::SHUTDOWN_DEADLINE_MS,
        value: |c| c.server.shutdown_deadline_ms,
    },
    Numeric {
        key: "redis.response_timeout_ms",
        range: range::REDIS_RESPONSE_MS,
        value: |c| c.redis.response_timeout_ms,
    },
    Numeric { key: "redis.replicas", range: range::REPLICAS, value: |c| c.redis.replicas.into() },
    Numeric {
        key: "redis.replica_wait_ms",
        range: range::REPLICA_WAIT_MS,
        value: |c| c.redis.replica_wait_ms,
    },
    Numeric { key: "claim.batch_max", range: range::BATCH_CLAIMS, value: |c| wide(c.claim.batch_max) },
    Numeric {
        key: "claim.inflight_max",
        range: range::INFLIGHT_BATCHES,
        value: |c| wide(c.claim.inflight_max),
    },
    Numeric { key: "claim.queue_max", range: range::QUEUE_CLAIMS, value: |c| wide(c.claim.queue_max) },
    Numeric { key: "claim.queue_wait_ms", range: range::QUEUE_WAIT_MS, value: |c| c.claim.queue_wait_ms },
    Numeric {
        key: "limits.person_per_second",
        range: range::PERSON_RATE,
        value: |c| c.limits.person_per_second.into(),
    },
    Numeric {
        key: "limits.person_burst",
        range: range::PERSON_RATE,
        value: |c| c.limits.person_burst.into(),
    },
    Numeric {
        key: "limits.address_per_second",
        range: range::ADDRESS_RATE,
        value: |c| c.limits.address_per_second.into(),
    },
    Numeric {
        key: "limits.address_burst",
        range: range::ADDRESS_RATE,
        value: |c| c.limits.address_burst.into(),
    },
    Numeric {
        key: "limits.network_per_second",
        range: range::ADDRESS_RATE,
        value: |c| c.limits.network_per_second.into(),
    },
    Numeric {
        key: "limits.network_burst",
        range: range::ADDRESS_RATE,
        value: |c| c.limits.network_burst.into(),
    },
    Numeric {
        key: "limits.asn_per_second",
        range: range::ADDRESS_RATE,
        value: |c| c.limits.asn_per_second.into(),
    },
    Numeric { key: "limits.asn_burst", range: range::ADDRESS_RATE, value: |c| c.limits.asn_burst.into() },
    Numeric { key: "limits.keys_max", range: range::LIMITER_KEYS, value: |c| wide(c.limits.keys_max) },
    Numeric {
        key: "drain.commit_interval_ms",
        range: range::COMMIT_INTERVAL_MS,
        value: |c| c.drain.commit_interval_ms,
    },
    Numeric { key: "drain.group_max", range: range::DRAIN_GROUP_CLAIMS, value: |c| wide(c.drain.group_max) },
    Numeric { key: "journal.entries_max", range: range::JOURNAL_ENTRIES, value: |c| c.journal.entries_max },
    Numeric { key: "journal.bytes_max", range: range::JOURNAL_BYTES, value: |c| c.journal.bytes_max },
    Numeric {
        key: "journal.memory_max_percent",
        range: range::JOURNAL_MEMORY_PERCENT,
        value: |c| c.journal.memory_max_percent,
    },
    Numeric { key: "desk.keys_refresh_s", range: range::KEYS_REFRESH_S, value: |c| c.desk.keys_refresh_s },
    Numeric {
        key: "desk.opens_before_s",
        range: range::DESK_OPENS_BEFORE_S,
        value: |c| c.desk.opens_before_s,
    },
    Numeric { key: "desk.ticket_valid_s", range: range::TICKET_VALID_S, value: |c| c.desk.ticket_valid_s },
    Numeric {
        key: "desk.person_per_minute",
        range: range::DESK_PER_MINUTE,
        value: |c| c.desk.person_per_minute.into(),
    },
    Numeric {
        key: "desk.address_per_minute",
        range: range::DESK_PER_MINUTE,
        value: |c| c.desk.address_per_minute.into(),
    },
    Numeric {
        key: "desk.asn_per_minute",
        range: range::DESK_PER_MINUTE,
        value: |c| c.desk.asn_per_minute.into(),
    },
    Numeric { key: "desk.difficulty", range: range::DIFFICULTY, value: |c| c.desk.difficulty },
    Numeric {
        key: "desk.challenge_valid_s",
        range: range::CHALLENGE_VALID_S,
        value: |c| c.desk.challenge_valid_s,
    },
    Numeric { key: "voucher.qr_valid_s", range: range::QR_VALID_S, value: |c| c.voucher.qr_valid_s.into() },
    Numeric { key: "log.sample", range: range::LOG_SAMPLE, value: |c| c.log.sample },
    Numeric {
        key: "holds.callback_tolerance_s",
        range: range::CALLBACK_TOLERANCE_S,
        value: |c| c.holds.callback_tolerance_s,
    },
    Numeric { key: "ticket.leeway_s", range: range::TICKET_LEEWAY_S, value: |c| c.ticket.leeway_s },
];

/// A count as wide as every range.
fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// What `key` must be, as the end of a refusal.
pub(super) fn expectation(key: &str) -> Option<String> {
    if let Some(numeric) = NUMERIC.iter().find(|numeric| numeric.key == key) {
        return Some(format!("must be {} to {}", numeric.range.start(), numeric.range.end()));
    }
    let text = match key {
        "server.listen" | "server.admin_listen" => "must be an address and a port, as in \"127.0.0.1:8080\"",
        "server.trusted_proxies" => "must be a list of networks, as in [\"10.0.0.0/8\", \"fd00::/8\"]",
        "limits.asn_exempt" => "must be a list of autonomous systems, as in [\"AS4134\", \"AS4837\"]",
        "limits.exempt_loopback" | "drain.enabled" | "ticket.device_required" | "demo.enabled" => {
            "must be true or false"
        }
        "server.allowed_origins" => "must be a list of origins, as in [\"https://claim.example\"]",
        "page.login_url" => "must be a URL in quotes, with {drop} where the drop's id is to stand, or empty",
        "page.api_origin" => "must be an origin in quotes, as in \"https://api.example\", or empty",
        "claim.ack" => "must be \"memory\", \"fsync\" or \"replica\"",
        "desk.challenge" => "must be \"proof_of_work\", \"turnstile\", \"hcaptcha\" or \"none\"",
        "desk.captcha_fallback" => "must be \"refuse\" or \"proof_of_work\"",
        "desk.issuer" | "desk.audience" => "must be a text in quotes",
        "backoffice.approval" => "must be \"one-step\" or \"two-person\"",
        "backoffice.categories" => "must be a list of texts, as in [\"catering\"]",
        "log.level" => "must be \"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
        "log.decisions" => "must be \"off\", \"refusals\" or \"all\"",
        "log.format" => "must be \"text\" or \"json\"",
        "data.dir"
        | "redis.url_file"
        | "redis.server_bin"
        | "ledger.url_file"
        | "ledger.ca_file"
        | "ticket.key_file"
        | "guard.region_table"
        | "guard.asn_table"
        | "desk.keys_file"
        | "desk.captcha_secret_file"
        | "holds.payment_secret_file"
        | "audit.head_file"
        | "audit.head_secret_file"
        | "desk.lists_dir" => "must be a path in quotes",
        "trace.otlp_url" => "must be an http:// URL in quotes",
        "audit.head_url" | "redis.url" | "ledger.url" | "desk.keys_url" | "desk.captcha_url" => {
            "must be a URL in quotes"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// Refuses a value that its key may not have, and values that contradict each other.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    for numeric in NUMERIC {
        let value = (numeric.value)(config);
        if !numeric.range.contains(&value) {
            return Err(refuse(numeric.key, value, expectation(numeric.key).unwrap_or_default()));
        }
    }
    check_proxies(&config.server.trusted_proxies)?;
    let exempt = config.limits.asn_exempt.len();
    if !range::ASN_EXEMPT.contains(&wide(exempt)) {
        let problem = format!("must hold at most {} of them, has {exempt}", range::ASN_EXEMPT.end());
        return Err(ConfigError::Key { key: "limits.asn_exempt".to_owned(), problem });
    }
    if config.claim.queue_max < config.claim.batch_max {
        let problem = format!("must not be below claim.batch_max = {}", config.claim.batch_max);
        return Err(refuse("claim.queue_max", config.claim.queue_max, problem));
    }
    check_addresses(config)?;
    check_replicas(config)?;
    check_desk(&config.desk)?;
    check_page(config)?;
    check_trace(&config.trace.otlp_url)?;
    config.backoffice.check()?;
    config.audit.check()?;
    places::check(config)
}

/// Networks that addresses are looked for in, and that not everybody is in.
fn check_proxies(proxies: &[IpNet]) -> Result<(), ConfigError> {
    const KEY: &str = "server.trusted_proxies";
    if !range::TRUSTED_PROXIES.contains(&wide(proxies.len())) {
        let most = range::TRUSTED_PROXIES.end();
        let problem = format!("must hold at most {most} networks, has {}", proxies.len());
        return Err(ConfigError::Key { key: KEY.to_owned(), problem });
    }
    if let Some(mapped) = proxies.iter().find(|network| is_mapped(network)) {
        let problem = "must be written as IPv4: who comes mapped into IPv6 counts as what is mapped";
        return Err(refuse(KEY, format_args!("\"{mapped}\""), problem.to_owned()));
    }
    // Also where they are there in parts, as 0.0.0.0/1 and 128.0.0.0/1.
    if let Some(all) = IpNet::aggregate(&proxies.to_vec()).iter().find(|network| network.prefix_len() == 0) {
        let problem =
            "would let anybody pass for any address: list only networks that nobody but proxies comes from";
        return Err(refuse(KEY, format_args!("\"{all}\""), problem.to_owned()));
    }
    Ok(())
}

/// Keys from one place, over a way that can be trusted; and a captcha service that knows us.
fn check_desk(desk: &DeskConfig) -> Result<(), ConfigError> {
    if desk.keys_path().is_some() && !desk.keys_url.is_empty() {
        return Err(refuse("desk.keys_url", "\"…\"", "must not stand beside desk.keys_file".to_owned()));
    }
    for (key, url) in [("desk.keys_url", &desk.keys_url), ("desk.captcha_url", &desk.captcha_url)] {
        if !url.is_empty() && !url.is_allowed() {
            let problem = "must be https://, or http:// on this machine".to_owned();
            return Err(refuse(key, format_args!("\"{url}\""), problem));
        }
    }
    let asks = matches!(desk.challenge, ChallengeKind::Turnstile | ChallengeKind::Hcaptcha);
    if asks && desk.captcha_secret_file.as_os_str().is_empty() {
        let problem = "needs desk.captcha_secret_file".to_owned();
        return Err(refuse("desk.challenge", "\"turnstile\" or \"hcaptcha\"", problem));
    }
    Ok(())
}

/// Origins that a browser would say so, and a demo on this machine alone.
fn check_page(config: &Config) -> Result<(), ConfigError> {
    let origins = &config.server.allowed_origins;
    if origins.len() > limits::ALLOWED_ORIGINS_MAX {
        let problem =
            format!("must hold at most {} origins, has {}", limits::ALLOWED_ORIGINS_MAX, origins.len());
        return Err(ConfigError::Key { key: "server.allowed_origins".to_owned(), problem });
    }
    let asked = origins.iter().map(|origin| ("server.allowed_origins", origin));
    let api = Some(&config.page.api_origin).filter(|origin| !origin.is_empty());
    for (key, origin) in asked.chain(api.map(|origin| ("page.api_origin", origin))) {
        if !is_origin(origin) {
            let problem = "must be https:// or http://, a name, perhaps a port, and nothing after them";
            return Err(refuse(key, format_args!("{origin:?}"), problem.to_owned()));
        }
    }
    // A browser leaves it out, and would match none of these.
    let with_default = |origin: &&String| {
        [("https://", ":443"), ("http://", ":80")]
            .iter()
            .any(|(scheme, port)| origin.starts_with(scheme) && origin.ends_with(port))
    };
    if let Some(origin) = origins.iter().find(with_default) {
        let problem = "must be without the port that its scheme has anyway, as browsers say it".to_owned();
        return Err(refuse("server.allowed_origins", format_args!("{origin:?}"), problem));
    }
    let login = &config.page.login_url;
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`|".contains(&byte);
    let allowed = CallUrl::new(login.replace("{drop}", "d")).is_allowed() && login.bytes().all(plain);
    if !login.is_empty() && !allowed {
        let problem = "must be https://, or http:// on this machine";
        return Err(refuse("page.login_url", format_args!("{login:?}"), problem.to_owned()));
    }
    let listen = config.server.listen;
    if config.demo.enabled && !listen.ip().is_loopback() {
        let problem = format!(
            "lets anybody be anybody: server.listen = \"{listen}\" must be a loopback address for it"
        );
        return Err(refuse("demo.enabled", true, problem));
    }
    Ok(())
}

/// Whether a network is one of IPv4, written as IPv6. No address is ever looked for in it.
fn is_mapped(network: &IpNet) -> bool {
    matches!(network, IpNet::V6(network) if network.prefix_len() >= 96 && network.network().to_ipv4_mapped().is_some())
}

/// Whether a text is an origin as browsers write it: scheme, name and port in lower case.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte);
    matches!(scheme, "https" | "http") && !authority.is_empty() && authority.bytes().all(name)
}

/// A collector on this machine or in its network, and a build that can speak to it.
fn check_trace(url: &str) -> Result<(), ConfigError> {
    let problem = if url.is_empty() {
        return Ok(());
    } else if !cfg!(feature = "otlp") {
        "this build has no OpenTelemetry export; build it with --features otlp"
    } else if url.strip_prefix("http://").is_none_or(str::is_empty) {
        "must be http://: put a collector on this machine, which speaks TLS to others"
    } else {
        return Ok(());
    };
    Err(refuse("trace.otlp_url", format_args!("\"{url}\""), problem.to_owned()))
}

/// `claim.ack = "replica"` needs replicas, and time to wait for them.
fn check_replicas(config: &Config) -> Result<(), ConfigError> {
    let (claim, redis) = (&config.claim, &config.redis);
    if claim.ack != Ack::Replica {
        return Ok(());
    }
    if redis.is_managed() {
        let problem = "the Redis that the service starts for itself has no replicas: set redis.url to one that has, or \"fsync\"";
        return Err(refuse("claim.ack", "\"replica\"", problem.to_owned()));
    }
    // A lane's batches wait one after another: the last one's reply comes after all of their waits.
    let waits_ms = wide(claim.inflight_max).saturating_mul(redis.replica_wait_ms);
    if waits_ms >= redis.response_timeout_ms {
        let problem = format!(
            "times claim.inflight_max = {} must be below redis.response_timeout_ms = {}",
            claim.inflight_max, redis.response_timeout_ms
        );
        return Err(refuse("redis.replica_wait_ms", redis.replica_wait_ms, problem));
    }
    Ok(())
}

/// The two listeners must not want the same port.
fn check_addresses(config: &Config) -> Result<(), ConfigError> {
    let (listen, admin) = (config.server.listen, config.server.admin_listen);
    let shares = listen.ip() == admin.ip() || listen.ip().is_unspecified() || admin.ip().is_unspecified();
    if listen.port() != 0 && listen.port() == admin.port() && shares {
        let problem = format!("must not share the port of server.listen = \"{listen}\"");
        return Err(refuse("server.admin_listen", format_args!("\"{admin}\""), problem));
    }
    Ok(())
}

pub(super) fn refuse(key: &str, value: impl std::fmt::Display, problem: String) -> ConfigError {
    ConfigError::Value { key: key.to_owned(), value: value.to_string(), problem }
}
