//! What a lane learns of the server behind each new connection.

use claimrush::redis::peer::Peer;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use crate::support::redis::RedisServer;

async fn ask<T: redis::FromRedisValue>(
    connection: &mut MultiplexedConnection,
    words: &[&str],
) -> RedisResult<T> {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]).query_async(connection).await
}

#[tokio::test]
async fn a_peer_is_known_by_its_run_id_and_by_what_it_can_do() {
    let mut server = RedisServer::in_memory();
    let mut connection = server.connect().await;
    let first = Peer::learn(&mut connection).await.expect("it tells");
    let info: String = ask(&mut connection, &["INFO", "server"]).await.expect("it tells");
    assert!(info.contains(&format!("run_id:{}\r\n", first.run_id)), "{first:?}: {info}");
    // The command itself is the judge: a server that has it waits for nobody, one that has not refuses.
    let tried: RedisResult<Vec<u64>> = ask(&mut connection, &["WAITAOF", "0", "0", "1"]).await;
    assert_eq!(first.can_waitaof, tried.is_ok(), "{tried:?}");
    assert_eq!(Peer::learn(&mut connection).await.expect("it tells"), first, "the same server stays itself");

    server.crash(|_| {});
    let second = Peer::learn(&mut server.connect().await).await.expect("it tells");
    assert_ne!(second.run_id, first.run_id, "a server that was started again is another");
}

#[tokio::test]
async fn a_login_without_command_has_a_peer_and_one_without_info_has_none() {
    let server = RedisServer::start(&["user default on nopass ~* &* +@all -command"]);
    let peer = Peer::learn(&mut server.connect().await).await.expect("the run id is enough");
    assert_eq!((peer.run_id.len(), peer.can_waitaof), (40, false));

    let server = RedisServer::start(&["user default on nopass ~* &* +@all -info"]);
    let refused = Peer::learn(&mut server.connect().await).await.expect_err("without a run id it is nobody");
    assert_eq!(refused.code(), Some("NOPERM"));
}
