//! What an administrator of the server does while a ledger is open, or has set before: tables altered, sessions that lose
//! what they made, roles, settings, schemas, encodings and poolers. Nothing is lost, the cause is named, and once it is over
//! the same object goes on by itself.

use std::io::{Read, Write, copy};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use super::sessions::stretch;
use super::*;
use crate::ledger::conformance::tampering::lived;

/// Every session of the ledger that reads has read.
async fn used(ledger: &PostgresLedger) {
    let clients =
        [&ledger.look_ups, &ledger.scans].map(|pool| async { (pool.get().await, pool.get().await) });
    for both in clients {
        let (one, other) = both.await;
        for client in [one.unwrap(), other.unwrap()] {
            read::catalogue(&client).await.unwrap();
            read::claims(&client, DropNumber(1), None, 9).await.unwrap();
        }
    }
}

/// The ledger goes on: whatever else its sessions have, each of them fails once at the most.
async fn goes_on(ledger: &PostgresLedger, at: u64) {
    let mut failures = Vec::new();
    while let Err(error) = ledger.commit(stretch(at)).await {
        failures.push(error.to_string());
        assert!(failures.len() <= limits::LEDGER_WRITERS, "{failures:?}");
    }
    failures.clear();
    while let Err(error) = ledger.catalogue().await {
        failures.push(error.to_string());
        assert!(failures.len() <= limits::LEDGER_READERS, "{failures:?}");
    }
    failures.clear();
    while let Err(error) = ledger.claims(DropNumber(1), None, 999).await {
        failures.push(error.to_string());
        assert!(failures.len() <= limits::LEDGER_READERS, "{failures:?}");
    }
    verified(ledger).await;
    assert_eq!(ledger.position(Shard(0)).await.unwrap(), id(at + 1));
}

/// Waits until the server says this.
async fn until(server: &PostgresServer, sql: &str, wanted: &str) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while server.sql(sql) != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect(sql);
}

#[tokio::test]
async fn a_table_that_is_altered_is_used_as_it_is_from_then_on() {
    let server = PostgresServer::start(&[]);
    let ledger = open(&server.url()).await;
    stocked(&ledger).await;
    written(&ledger, stretch(0)).await;
    // With care, so that it looks at claims that stand there.
    written(&ledger, group(1, vec![Ok(vec![claims(MONEY, 1, "p1")]), Ok(vec![claims(MONEY, 3, "p3 q3")])]))
        .await;
    used(&ledger).await;
    server.sql(
        "ALTER TABLE claim ALTER person TYPE varchar(200) COLLATE \"C\"; ALTER TABLE claim ADD note text; \
         ALTER TABLE campaign_drop ALTER id TYPE varchar(200) COLLATE \"C\"; \
         ALTER TABLE campaign ALTER body TYPE varchar",
    );
    let again = group(3, vec![Ok(vec![claims(MONEY, 3, "p3 q3"), claims(MONEY, 5, "p5")])]);
    let mut failures = Vec::new();
    while let Err(error) = ledger.commit(Group { entries: again.entries.clone(), ..again }).await {
        failures.push(error.to_string());
        assert!(failures.len() <= limits::LEDGER_WRITERS, "{failures:?}");
    }
    assert_eq!(money(&ledger).await.1, 5_000);
    goes_on(&ledger, 4).await;
}

#[tokio::test]
async fn a_session_that_has_lost_what_it_made_is_replaced() {
    let server = PostgresServer::start(&[]);
    let ledger = open(&server.url()).await;
    stocked(&ledger).await;
    written(&ledger, stretch(0)).await;
    used(&ledger).await;
    for (at, lost) in
        (1..).zip(["DEALLOCATE ALL", "DROP TABLE IF EXISTS staging", "SET search_path = nowhere"])
    {
        let mut clients = Vec::new();
        for pool in [&ledger.look_ups, &ledger.scans, ledger.writers.as_ref().unwrap()] {
            let size = pool.status().size;
            for _ in 0..size {
                let client = pool.get().await.unwrap();
                // Only those that write have a table of their own.
                let done = client.batch_execute(lost).await;
                assert!(done.is_ok() || lost.starts_with("DROP"), "{done:?}");
                clients.push(client);
            }
        }
        drop(clients);
        goes_on(&ledger, at).await;
    }
}

#[tokio::test]
async fn sessions_that_are_ended_are_made_again() {
    let server = PostgresServer::start(&[]);
    let ledger = open(&server.url()).await;
    stocked(&ledger).await;
    used(&ledger).await;
    for at in 0..3 {
        server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'claimrush'",
        );
        goes_on(&ledger, at).await;
    }
}

#[tokio::test]
async fn what_a_role_may_not_is_named_and_done_once_it_may() {
    let server = PostgresServer::start(&[]);
    stocked(&open(&server.url()).await).await;
    server.sql(
        "CREATE ROLE teller LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO teller; \
         REVOKE ALL ON claim FROM teller",
    );
    let ledger = open(&server.url().replace("claimrush@", "teller@")).await;
    for denied in [ledger.commit(stretch(0)).await.map(drop), ledger.tallies().await.map(drop)] {
        let denied = denied.unwrap_err().to_string();
        assert_eq!(denied, "ledger unavailable: permission denied for table claim (SQLSTATE 42501)");
    }
    server.sql("GRANT SELECT, INSERT, UPDATE ON claim TO teller");
    written(&ledger, stretch(0)).await;
    verified(&ledger).await;
    // Who may not make tables of their own for a session is told so, and not at the first claim.
    server.sql("REVOKE TEMPORARY ON DATABASE claims FROM PUBLIC");
    let refused = PostgresLedger::open(&server.url().replace("claimrush@", "teller@"), None).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("permission denied to create temporary tables in database"), "{refused}");
}

#[tokio::test]
async fn a_database_that_takes_no_writes_for_a_while_is_waited_for() {
    let server = PostgresServer::start(&[]);
    let ledger = open(&server.url()).await;
    stocked(&ledger).await;
    written(&ledger, stretch(0)).await;
    let set = |value| {
        server.sql(&format!("ALTER SYSTEM SET default_transaction_read_only = {value}"));
        server.sql("SELECT pg_reload_conf()");
    };
    set("on");
    until(&server, "SHOW default_transaction_read_only", "on").await;
    let refused = ledger.commit(stretch(1)).await;
    let refused = refused.expect_err("it takes no writes").to_string();
    assert!(refused.contains("read-only transaction") || refused.contains("takes no writes"), "{refused}");
    let refused = PostgresLedger::open(&server.url(), None).await.unwrap_err().to_string();
    assert!(refused.contains("database does not allow writes"), "{refused}");
    set("off");
    until(&server, "SHOW default_transaction_read_only", "off").await;
    goes_on(&ledger, 1).await;
}

#[tokio::test]
async fn how_long_anything_may_take_is_for_the_ledger_to_say() {
    let server = PostgresServer::start(&[]);
    for name in ["statement_timeout", "lock_timeout"] {
        server.sql(&format!("ALTER DATABASE claims SET {name} = '40ms'"));
    }
    let ledger = open(&server.url()).await;
    let said = async |pool: &Pool, sql: &str| {
        pool.get().await.unwrap().query_one(sql, &[]).await.unwrap().get::<_, String>(0)
    };
    let shown = "SELECT current_setting('statement_timeout')";
    assert_eq!(said(&ledger.scans, shown).await, "0", "a walk over many rows takes its time");
    assert_eq!(said(&ledger.look_ups, shown).await, "20s", "nobody waits for it any longer");
    assert_eq!(said(ledger.writers.as_ref().unwrap(), shown).await, "10s");
    // A lock that somebody else holds for a while is waited for, by whoever reads too.
    stocked(&ledger).await;
    let mut other = ledger.writer().await.unwrap();
    let locked = other.transaction().await.unwrap();
    locked.batch_execute("LOCK TABLE claim, catalogue").await.unwrap();
    let (claims, revision, ()) = tokio::join!(ledger.tallies(), ledger.revision(), async {
        // For longer than the database lets its sessions wait.
        until(
            &server,
            "SELECT count(*) FROM pg_stat_activity \
             WHERE wait_event_type = 'Lock' AND clock_timestamp() - state_change > interval '80 ms'",
            "2",
        )
        .await;
        locked.commit().await.unwrap();
    });
    assert!(claims.is_ok() && revision.is_ok(), "{claims:?} {revision:?}");
}

#[tokio::test]
async fn a_ledger_stands_in_one_schema() {
    let server = PostgresServer::start(&[]);
    let ledger = full(&server.schema_url("shop")).await;
    server.sql("CREATE SCHEMA rehearsal; CREATE SCHEMA \"My shop\"");
    let at = |path: &str| format!("{}&options=-c%20search_path%3D{path}", server.url());
    let refused = PostgresLedger::open(&at("rehearsal,shop"), None).await.unwrap_err().to_string();
    assert!(
        refused.contains("finds a ledger in schema \"shop\", and would put new tables into \"rehearsal\""),
        "{refused}"
    );
    assert_eq!(server.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'rehearsal'"), "0");
    // One that is not there is passed over by PostgreSQL itself.
    assert_eq!(
        open(&at("nowhere,shop")).await.chain_head().await.unwrap(),
        ledger.chain_head().await.unwrap()
    );
    let other = open(&at("%22My%5C%20shop%22,public")).await;
    stocked(&other).await;
    drop(open(&at("%22My%5C%20shop%22,public")).await);
    assert_eq!(server.sql("SELECT count(*) FROM \"My shop\".campaign"), "1");
    let refused = PostgresLedger::open(&at("nowhere"), None).await.unwrap_err().to_string();
    assert!(refused.contains("no schema has been selected to create in"), "{refused}");
}

#[tokio::test]
async fn a_database_that_has_not_every_character_is_refused() {
    let server = PostgresServer::start(&[]);
    let at = |database: &str| server.url().replace("/claims?", &format!("/{database}?"));
    for encoding in ["LATIN1", "EUC_CN", "SQL_ASCII"] {
        let database = encoding.to_lowercase();
        server.query(
            "postgres",
            &format!("CREATE DATABASE {database} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"),
        );
        let opened = PostgresLedger::open(&at(&database), None).await;
        if encoding == "SQL_ASCII" {
            // It keeps whatever bytes it is given.
            let ledger = opened.unwrap();
            let put = PutDocument::new("key", "k", 0, &"券 🎫 é", "彩云").unwrap();
            ledger.put_document(put, 1).await.unwrap();
            assert_eq!(ledger.document("key", "k").await.unwrap().unwrap().body, "\"券 🎫 é\"");
            verified(&ledger).await;
        } else {
            let refused = opened.unwrap_err().to_string();
            let text = format!(
                "ledger unavailable: the database is in {encoding}, which has not every character: \
                 make it with ENCODING 'UTF8'"
            );
            assert_eq!(refused, text);
        }
    }
}

/// Whatever a role has set for its sessions, the chain is the same.
#[tokio::test]
async fn what_a_role_likes_to_see_does_not_change_what_is_kept() {
    let server = PostgresServer::start(&[]);
    let chain_in = async |schema: &str| {
        let ledger = open(&server.schema_url(schema)).await;
        stocked(&ledger).await;
        written(&ledger, group(0, vec![Ok(vec![claims(MONEY, 1, "ann bob\t00ff00ff00ff00ff")])])).await;
        let nonsense = Poison { raw: "\0 \\ '券".to_owned(), reason: "it is nonsense".to_owned() };
        written(&ledger, group(1, vec![Err(nonsense.clone()), Ok(vec![returned(MONEY, 1, "ann", true)])]))
            .await;
        let put = PutDocument::new("key", "k", 0, &"券 \\ ' \"", "彩云").unwrap();
        ledger.put_document(put, 9).await.unwrap();
        assert_eq!(ledger.quarantine(0, 9).await.unwrap().pop().unwrap().poison, nonsense);
        verified(&ledger).await;
        ledger.chain_head().await.unwrap()
    };
    let usual = chain_in("usual").await;
    for setting in [
        "timezone = 'Asia/Kathmandu'",
        "datestyle = 'SQL, DMY'",
        "intervalstyle = 'sql_standard'",
        "bytea_output = 'escape'",
        "standard_conforming_strings = off",
        "extra_float_digits = -15",
        "client_encoding = 'LATIN1'",
        "array_nulls = off",
        "quote_all_identifiers = on",
        "default_transaction_deferrable = on",
        "enable_indexscan = off",
        "plan_cache_mode = 'force_generic_plan'",
    ] {
        server.sql(&format!("ALTER ROLE claimrush SET {setting}"));
    }
    assert_eq!(chain_in("other").await, usual);
    let third = open(&server.schema_url("third")).await;
    lived(&third).await;
    verified(&third).await;
}

/// Forwards a connection as a pooler does that is told to pass over `options`.
fn pooled(mut client: TcpStream, upstream: u16) {
    let mut length = [0; 4];
    client.read_exact(&mut length).unwrap();
    let mut packet = vec![0; u32::from_be_bytes(length) as usize - 4];
    client.read_exact(&mut packet).unwrap();
    let (version, rest) = packet.split_at(4);
    let words: Vec<&[u8]> = rest.split(|byte| *byte == 0).collect();
    let mut kept = version.to_vec();
    for pair in words.chunks(2).filter(|pair| pair.len() == 2 && !pair[0].is_empty() && pair[0] != b"options")
    {
        kept.extend([pair[0], b"\0", pair[1], b"\0"].concat());
    }
    kept.push(0);
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).unwrap();
    server.write_all(&u32::try_from(kept.len() + 4).unwrap().to_be_bytes()).unwrap();
    server.write_all(&kept).unwrap();
    let (mut back, mut forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = copy(&mut back, &mut forth);
        let _ = forth.shutdown(Shutdown::Both);
    });
    let _ = copy(&mut client, &mut server);
    let _ = server.shutdown(Shutdown::Both);
}

#[tokio::test]
async fn a_pooler_that_passes_no_options_on_is_refused() {
    let server = PostgresServer::start(&["listen_addresses=localhost"]);
    let pooler = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (port, upstream) = (pooler.local_addr().unwrap().port(), server.port());
    std::thread::spawn(move || {
        for client in pooler.incoming() {
            std::thread::spawn(move || pooled(client.unwrap(), upstream));
        }
    });
    let refused =
        PostgresLedger::open(&PostgresServer::tcp_url_at(port), None).await.unwrap_err().to_string();
    assert!(refused.contains("a pooler stands before the server"), "{refused}");
    assert!(refused.ends_with("let ledger.url lead to the server"), "{refused}");
    assert_eq!(server.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    drop(open(&server.tcp_url()).await);
}
