//! How Redis is, for the eyes of operators: what `INFO` says of load, memory and disk, and how long the journal waits.
//!
//! Nothing here decides anything.

use redis::aio::ConnectionLike;
use redis::{cmd, pipe};

use super::codes::ReplyError;
use super::journal;
use super::scripts::ScriptError;
use super::server_check::info_field;
use crate::clock::UnixMs;
use crate::domain::claim::JournalId;
use crate::domain::ids::Shard;

/// One look at Redis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vitals {
    /// Commands in a second, as it measures them itself.
    pub commands_per_second: f64,
    /// Processor time that its process has used since it began.
    pub cpu_seconds: f64,
    /// Connections.
    pub clients: f64,
    /// Replicas that follow it.
    pub replicas: f64,
    /// Whether its last write to the append-only file went well.
    pub append_ok: bool,
    /// When the oldest entry of the journal was written, by Redis' clock; nothing if the journal is empty.
    pub oldest_ms: Option<UnixMs>,
}

/// Takes a look.
///
/// # Errors
/// [`ScriptError::Redis`] when Redis cannot be asked, [`ScriptError::Reply`] when it does not tell.
pub async fn read<C: ConnectionLike>(conn: &mut C, shard: Shard) -> Result<Vitals, ScriptError> {
    let mut questions = pipe();
    for section in ["stats", "cpu", "clients", "replication", "persistence"] {
        questions.add_command(cmd("INFO").arg(section).to_owned());
    }
    let sections: Vec<String> = questions.query_async(conn).await?;
    let info = sections.concat();
    let oldest = journal::read_after(conn, shard, JournalId::START, 1).await?;
    let oldest_ms = oldest.first().and_then(|entry| UnixMs::try_from(entry.id.ms).ok());
    Ok(understand(&info, oldest_ms)?)
}

fn understand(info: &str, oldest_ms: Option<UnixMs>) -> Result<Vitals, ReplyError> {
    let field = |name| {
        let number = info_field(info, name).and_then(|number| number.parse::<f64>().ok());
        number.ok_or(ReplyError::Malformed("Redis does not tell how it is"))
    };
    Ok(Vitals {
        commands_per_second: field("instantaneous_ops_per_sec")?,
        cpu_seconds: field("used_cpu_sys")? + field("used_cpu_user")?,
        clients: field("connected_clients")?,
        replicas: field("connected_slaves")?,
        append_ok: info_field(info, "aof_last_write_status") == Some("ok"),
        oldest_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Stats\r\ninstantaneous_ops_per_sec:1200\r\n# CPU\r\nused_cpu_sys:1.5\r\nused_cpu_user:2.25\r\n\
        # Clients\r\nconnected_clients:7\r\n# Replication\r\nconnected_slaves:2\r\n\
        # Persistence\r\naof_last_write_status:err\r\n";

    #[test]
    fn info_is_understood_and_a_lack_is_told() {
        let vitals = understand(INFO, Some(17)).unwrap();
        let expected = Vitals {
            commands_per_second: 1_200.0,
            cpu_seconds: 3.75,
            clients: 7.0,
            replicas: 2.0,
            append_ok: false,
            oldest_ms: Some(17),
        };
        assert_eq!(vitals, expected);
        assert!(understand(&INFO.replace(":err", ":ok"), None).unwrap().append_ok);
        assert!(understand(&INFO.replace("connected_clients", "clients"), None).is_err());
    }
}
