//! One pooled checkout and one EVALSHA a claim: the way in which most services use Redis.
//!
//! Same server, same script as the other per-claim peers; no ticket is checked.

use std::time::Duration;

use anyhow::{Context, Result};
use deadpool_redis::{Config, Pool, Runtime};
use hyper::{Request, StatusCode, body::Incoming, header};
use redis::Script;

use super::{Answer, Reply, reply, serve};
use crate::cli::PeerArgs;

/// The script of all per-claim peers.
pub const SINGLE_CLAIM: &str = include_str!("../../peers/single-claim.lua");
/// The keys of its drop: hash, holders, journal.
pub const KEYS: [&str; 3] = ["peer:{s0}:drop", "peer:{s0}:holders", "peer:{s0}:journal"];
/// What stands for the person: the end of the ticket's signature, which no two tickets share.
pub const PERSON_BYTES: usize = 22;

const POOL_WAIT: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Pooled {
    pool: Pool,
    script: Script,
}

impl Pooled {
    async fn claim(&self, person: &str) -> Result<i64> {
        let mut connection = self.pool.get().await.context("pool")?;
        let mut call = self.script.key(KEYS[0]);
        call.key(KEYS[1]).key(KEYS[2]).arg(person);
        Ok(call.invoke_async(&mut connection).await?)
    }
}

impl Answer for Pooled {
    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let ticket = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(person) = ticket.and_then(|ticket| ticket.get(ticket.len().checked_sub(PERSON_BYTES)?..))
        else {
            return reply(StatusCode::UNAUTHORIZED, r#"{"code":"ticket_missing"}"#.into());
        };
        match self.claim(person).await {
            Ok(seq @ 1..) => reply(StatusCode::CREATED, claim_json(seq).into()),
            Ok(0) => reply(StatusCode::GONE, r#"{"code":"sold_out"}"#.into()),
            Ok(seq) => reply(StatusCode::OK, claim_json(-seq).into()),
            Err(_) => reply(StatusCode::SERVICE_UNAVAILABLE, r#"{"code":"unavailable"}"#.into()),
        }
    }
}

fn claim_json(seq: i64) -> String {
    format!(
        r#"{{"claim_id":"clm_peer_{seq}","drop":"peer","seq":{seq},"voucher":"0123456789ABCDEFGHJKMNPQRSTVWXYZ0123456789ABCDEFGHJKMNPQ","status":"issued","claimed_at":"2023-11-20T10:00:00.000+08:00","valid_until":"2023-11-27T10:00:00+08:00","replayed":false}}"#
    )
}

/// Serves until the process ends.
///
/// # Errors
/// The address cannot be listened on, or the Redis URL is none.
pub fn run(args: &PeerArgs, redis: &str, pool_size: Option<usize>) -> Result<()> {
    serve(args, || {
        let mut config = Config::from_url(redis);
        let pool = config.pool.get_or_insert_default();
        // The size stays the pool's own default (twice the cores): what a service has that does not tune it.
        pool.max_size = pool_size.unwrap_or(pool.max_size);
        pool.timeouts.wait = Some(POOL_WAIT);
        let pool = config.create_pool(Some(Runtime::Tokio1)).with_context(|| format!("redis {redis}"))?;
        Ok(Pooled { pool, script: Script::new(SINGLE_CLAIM) })
    })
}
