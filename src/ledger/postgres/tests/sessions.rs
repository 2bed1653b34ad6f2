//! Which of several servers is spoken to, and what a session asks for whatever the database says of itself.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::*;

/// Two claims that follow those of the stretches before.
pub(super) fn stretch(at: u64) -> Group {
    let seq = u32::try_from(at * 2).unwrap() + 1;
    group(at, vec![Ok(vec![claims(MONEY, seq, &format!("p{seq} q{seq}"))])])
}

#[tokio::test]
async fn a_ledger_that_is_written_to_is_read_where_it_is_written() {
    let primary = PostgresServer::start(&[]);
    stocked(&open(&primary.url()).await).await;
    let standby = primary.standby();
    let url = standby.url_before(&primary);
    for (at, url) in (0..).zip([url.clone(), format!("{url}?target_session_attrs=read-write")]) {
        let ledger = open(&url).await;
        written(&ledger, stretch(at)).await;
        for _ in 0..=limits::LEDGER_READERS {
            assert_eq!(ledger.position(Shard(0)).await.unwrap(), id(at + 1), "{url}");
            assert_eq!(ledger.standing(Shard(0)).await.unwrap().position, id(at + 1), "{url}");
        }
        verified(&ledger).await;
        for pool in [&ledger.look_ups, &ledger.scans] {
            let client = pool.get().await.unwrap();
            let refused = client.batch_execute("DELETE FROM claim").await.map_err(LedgerError::from);
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains("read-only transaction (SQLSTATE 25006)"), "{refused}");
        }
    }
}

#[tokio::test]
async fn a_standby_is_read_where_nobody_writes_and_nothing_else_is_there() {
    let primary = PostgresServer::start(&[]);
    let ledger = open(&primary.url()).await;
    stocked(&ledger).await;
    let mut standby = primary.standby();
    written(&ledger, stretch(0)).await;
    let refused = PostgresLedger::open(&standby.url(), None).await.unwrap_err().to_string();
    assert!(refused.contains("database does not allow writes"), "{refused}");

    let position = async |url: String| {
        let reader = PostgresLedger::open_read_only(&url, None).await.unwrap();
        verified(&reader).await;
        reader.position(Shard(0)).await.unwrap()
    };
    assert_eq!(position(standby.url()).await, JournalId::START);
    assert_eq!(position(standby.url_before(&primary)).await, id(1), "of two the one that is written to");
    assert_eq!(position(primary.url_before(&standby)).await, id(1));
    standby.stop_at_once();
    assert_eq!(position(standby.url_before(&primary)).await, id(1));
    standby.start_again();
    drop(ledger);
    drop(primary);
    let gone = PostgresServer::start(&[]);
    let url = gone.url_before(&standby);
    drop(gone);
    assert_eq!(position(url).await, JournalId::START);
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_does_not_keep_anybody_from_the_next_one() {
    let server = PostgresServer::start(&[]);
    // Nobody takes its connections, so that from some moment on it is as silent as a machine without power.
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    silent.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    silent.listen(0).unwrap();
    let address = silent.local_addr().unwrap().as_socket().unwrap();
    let mut taken = Vec::new();
    while let Ok(connection) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        taken.push(connection);
    }
    let folder = server.folder().display().to_string().replace('/', "%2F");
    let ledger = open(&format!("postgres://claimrush@{address},{folder}:{}/claims", server.port())).await;
    assert_eq!(ledger.position(Shard(0)).await.unwrap(), JournalId::START);
}

#[tokio::test]
async fn a_commit_is_at_least_on_the_servers_disk() {
    let server = PostgresServer::start(&[]);
    for (said, asked) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        server.sql(&format!("ALTER DATABASE claims SET synchronous_commit = {said}"));
        let client = open(&server.url()).await.writer().await.unwrap();
        let row = client.query_one("SHOW synchronous_commit", &[]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), asked, "{said}");
    }
}

/// A transaction that took its snapshot before it waited for the one before it would not see what that has written.
#[tokio::test]
async fn writers_follow_each_other_whatever_isolation_is_the_databases_default() {
    for default in ["repeatable read", "serializable"] {
        let server = PostgresServer::start(&[]);
        server.sql(&format!("ALTER DATABASE claims SET default_transaction_isolation = '{default}'"));
        let (one, other) = (open(&server.url()).await, open(&server.url()).await);
        stocked(&one).await;
        for at in 0..10 {
            let put = PutDocument::new("key", format!("k{at}"), 0, &"some", "ann").unwrap();
            let (first, second, document) =
                tokio::join!(one.commit(stretch(at)), other.commit(stretch(at)), other.put_document(put, 1));
            let both = [first.unwrap(), second.unwrap()];
            assert!(both.iter().any(|one| matches!(one, Committed::Written { claims: 2, .. })), "{both:?}");
            document.unwrap();
        }
        verified(&one).await;
    }
}
