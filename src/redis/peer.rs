//! What a lane learns of the server at the far end of each new connection.
//!
//! Owns that one round trip. A server is known by what it can do, never by its version: Valkey and Redis number
//! theirs apart, and both say `redis_version`. Changes nothing on the server.

use redis::aio::ConnectionLike;
use redis::{RedisError, RedisResult, Value, pipe};

use super::server_check::info_field;

/// The server of one connection, as long as the connection lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Another with every start of the server, and another server has another: 40 hex digits.
    pub run_id: String,
    /// Whether it can wait until replicas have synced to disk (`WAITAOF`: Redis from 7.2 on, every Valkey).
    pub can_waitaof: bool,
}

impl Peer {
    /// Asks the server who it is and what it can do: one round trip, which a server answers while it is loading.
    ///
    /// A login that may not use `COMMAND` has a peer without what would have been asked.
    ///
    /// # Errors
    /// [`RedisError`] when the server does not answer, or does not tell its run id.
    pub async fn learn(connection: &mut impl ConnectionLike) -> RedisResult<Self> {
        let mut questions = pipe();
        questions.cmd("INFO").arg("server");
        questions.cmd("COMMAND").arg("INFO").arg("WAITAOF");
        let questions = questions.ignore_errors();
        let (info, waitaof): (RedisResult<String>, RedisResult<Value>) =
            questions.query_async(connection).await?;
        let info = info?;
        let run_id = info_field(&info, "run_id").filter(|run_id| !run_id.is_empty());
        let Some(run_id) = run_id else {
            return Err(RedisError::from((
                redis::ErrorKind::UnexpectedReturnType,
                "the server has no run id",
            )));
        };
        Ok(Self { run_id: run_id.to_owned(), can_waitaof: waitaof.is_ok_and(|answer| is_known(&answer)) })
    }
}

/// Whether `COMMAND INFO` for one command describes it: an unknown one is nil, or an empty answer.
fn is_known(answer: &Value) -> bool {
    matches!(answer, Value::Array(commands) if matches!(commands.first(), Some(Value::Array(_))))
}
