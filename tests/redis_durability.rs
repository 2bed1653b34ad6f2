//! A Redis that would lose acknowledged claims is refused, with the line to change.

use claimrush::config::Ack;
use claimrush::redis::server_check::check;

use crate::support::campaign::{DropFile, campaign};
use crate::support::redis::RedisServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

/// What a server for `ack = "fsync"` needs.
const SAFE: [&str; 3] = ["appendonly yes", "appendfsync always", "maxmemory-policy noeviction"];

async fn verdict(settings: &[&str], ack: Ack) -> Result<String, String> {
    let server = RedisServer::start(settings);
    let facts = check(&mut server.connect().await, ack).await.map_err(|error| error.to_string())?;
    assert!(facts.pid > 0 && facts.run_id.len() == 40, "{facts:?}");
    Ok(facts.version)
}

#[tokio::test]
async fn a_safe_server_is_taken() {
    let version = verdict(&SAFE, Ack::Fsync).await.expect("it is safe");
    assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{version}");
}

#[tokio::test]
async fn each_unsafe_setting_is_refused_by_its_line() {
    for (line, refusal) in [
        (
            "appendonly no",
            r#"redis: appendonly is "no": with claim.ack = "fsync" set "appendonly yes" in redis.conf"#,
        ),
        (
            "appendfsync everysec",
            r#"redis: appendfsync is "everysec": with claim.ack = "fsync" set "appendfsync always" in redis.conf"#,
        ),
        (
            "no-appendfsync-on-rewrite yes",
            r#"redis: no-appendfsync-on-rewrite is "yes": with claim.ack = "fsync" set "no-appendfsync-on-rewrite no" in redis.conf"#,
        ),
        (
            "maxmemory-policy allkeys-lru",
            r#"redis: maxmemory-policy is "allkeys-lru": set "maxmemory-policy noeviction" in redis.conf"#,
        ),
    ] {
        let settings = [&SAFE[..], &[line]].concat();
        assert_eq!(verdict(&settings, Ack::Fsync).await.expect_err(line), refusal);
    }
}

#[tokio::test]
async fn memory_acknowledgement_needs_no_disk_but_no_eviction_either() {
    verdict(&["appendonly no"], Ack::Memory).await.expect("nothing on disk is promised");
    let refusal = verdict(&["maxmemory-policy volatile-ttl"], Ack::Memory).await.expect_err("it evicts");
    assert_eq!(
        refusal,
        r#"redis: maxmemory-policy is "volatile-ttl": set "maxmemory-policy noeviction" in redis.conf"#
    );
}

#[tokio::test]
async fn a_server_that_may_not_be_asked_is_refused() {
    for line in ["user default on nopass ~* &* +@all -config", "rename-command CONFIG \"\""] {
        let settings = [&SAFE[..], &[line]].concat();
        assert_eq!(
            verdict(&settings, Ack::Fsync).await.expect_err(line),
            "redis: CONFIG GET is not allowed for this login, so its durability cannot be checked: allow \"+config|get\""
        );
    }
}

/// The service has checked the server at its start; what takes its place may be set otherwise.
#[test]
fn one_that_was_started_again_with_an_unsafe_setting_gets_no_claim_until_it_is_set_right() {
    let mut redis = RedisServer::start(&SAFE);
    let url = redis.url();
    let service = Service::start_with(&[("redis.url", url.expose())], &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 10)]));
    let claim = |person: &str| service.claim("d-1", &service.ticket("d-1", person));
    assert_eq!(claim("ann").status, 201);

    redis.crash(|folder| {
        let path = folder.join("redis.conf");
        let settings = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, settings.replace("appendfsync always", "appendfsync everysec")).unwrap();
    });
    let line = r#"redis: appendfsync is "everysec": with claim.ack = "fsync" set "appendfsync always" in redis.conf"#;
    wait_for("the log names the line", PATIENCE, || service.log().contains(line).then_some(()));
    service.wait_unready("redis_not_compared");
    // Whoever meets the connection that broke cannot be told what became of the claim; nobody is given one.
    wait_for("claims are unavailable", PATIENCE, || {
        let refused = claim("bob");
        assert_eq!(refused.status, 503, "{}", refused.code());
        (refused.code() == "unavailable").then_some(())
    });

    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("appendfsync").arg("always");
    let () = set.query(&mut redis.connect_blocking().unwrap()).unwrap();
    service.wait_ready();
    assert_eq!((claim("ann").status, claim("bob").status), (200, 201));
}

/// How often a server was asked for its settings.
fn settings_read(redis: &RedisServer) -> u64 {
    let mut info = redis::cmd("INFO");
    let stats: String = info.arg("commandstats").query(&mut redis.connect_blocking().unwrap()).unwrap();
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_config|get:calls="));
    line.and_then(|rest| rest.split(',').next()?.parse().ok()).expect("the service has asked")
}

/// Nothing is connected anew, and nobody claims.
#[test]
fn one_whose_settings_somebody_changes_gets_no_claim_until_they_are_right() {
    let redis = RedisServer::start(&SAFE);
    let service = Service::start_with(&[("redis.url", redis.url().expose())], &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 10)]));
    let claim = |person: &str| service.claim("d-1", &service.ticket("d-1", person));
    let set = |key: &str, value: &str| {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg(key).arg(value);
        let () = set.query(&mut redis.connect_blocking().unwrap()).unwrap();
    };
    let said = |line: &str| service.log().matches(line).count();
    assert_eq!(claim("ann").status, 201);
    for (before, (person, key, unsafe_value, safe)) in [
        ("bob", "appendfsync", "no", "always"),
        ("cid", "appendonly", "no", "yes"),
        ("dan", "maxmemory-policy", "allkeys-lru", "noeviction"),
    ]
    .into_iter()
    .enumerate()
    {
        set(key, unsafe_value);
        service.wait_unready("redis_not_compared");
        let refused = claim(person);
        assert_eq!((refused.status, refused.code().as_str()), (503, "unavailable"), "{key}");
        let line = format!("redis: {key} is \"{unsafe_value}\"");
        wait_for(&format!("the log says {line}"), PATIENCE, || service.log().contains(&line).then_some(()));
        let looks = settings_read(&redis);
        wait_for("it is looked at again and again", PATIENCE, || {
            (settings_read(&redis) >= looks + 3).then_some(())
        });
        assert_eq!(said(&line), 1, "{}", service.log());
        set(key, safe);
        service.wait_ready();
        wait_for("the log says that it is over", PATIENCE, || {
            (said("Redis is set right, and is given claims again") == before + 1).then_some(())
        });
        assert_eq!((claim("ann").status, claim(person).status), (200, 201), "{key}");
    }
}
