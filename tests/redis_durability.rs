//! A Redis that would lose acknowledged claims is refused, with the line to change.

use claimrush::config::Ack;
use claimrush::redis::server_check::check;

use crate::support::redis::RedisServer;

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
