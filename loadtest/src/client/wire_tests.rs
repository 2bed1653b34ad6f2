use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, spawn_local},
    time::timeout,
};

use super::*;

/// Longer than anything that is waited for takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn ask() -> Ask {
    Ask::new(b"POST /claims HTTP/1.1\r\nhost: h\r\n", 0)
}

fn ok() -> Reply {
    Reply { status: 200, retry_after: None, body: b"ok".into() }
}

/// A wire to a service that does with its one connection what the script says.
async fn wire_to<T: 'static>(
    script: impl AsyncFnOnce(&mut TcpStream) -> T + 'static,
) -> (Wire, JoinHandle<(T, TcpStream)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = spawn_local(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let said = script(&mut stream).await;
        (said, stream)
    });
    (Wire::open(address).await.unwrap(), service)
}

/// Reads one request.
async fn asked(stream: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    request
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn exchange(wire: &mut Wire) -> Result<Reply, Lost> {
    wire.exchange(&ask(), Instant::now() + PATIENCE).await
}

/// Waits until something has come on an idle wire, without taking it.
async fn told(wire: &Wire) {
    let Some(Link::Plain(stream)) = &wire.link else { panic!("the wire is closed") };
    timeout(PATIENCE, stream.readable()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "local")]
async fn one_request_after_the_other_goes_over_one_connection() {
    let (mut wire, service) = wire_to(async |stream| {
        let mut requests = vec![asked(stream).await];
        say(stream, OK).await;
        requests.push(asked(stream).await);
        for byte in OK.as_bytes() {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        requests.push(asked(stream).await);
        say(stream, "HTTP/1.1 100 Continue\r\n\r\n").await;
        say(stream, "HTTP/1.1 503 Busy\r\nretry-after: 3\r\ntransfer-encoding: chunked\r\n\r\n1;x\r\n!\r\n")
            .await;
        say(stream, "0\r\nx: y\r\n\r\n").await;
        requests
    })
    .await;
    assert_eq!(exchange(&mut wire).await, Ok(ok()));
    assert_eq!(exchange(&mut wire).await, Ok(ok()));
    assert_eq!(exchange(&mut wire).await, Ok(Reply { status: 503, retry_after: Some(3), body: b"!".into() }));
    assert!(wire.is_open());
    let (requests, _stream) = service.await.unwrap();
    assert_eq!(requests, vec![ask().bytes().to_vec(); 3]);
}

#[tokio::test(flavor = "local")]
async fn a_connection_ends_where_its_service_says_so() {
    let close = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    for last in [close, "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", &[OK, OK].concat()] {
        let last = last.to_owned();
        let (mut wire, service) = wire_to(async move |stream| {
            asked(stream).await;
            say(stream, &last).await;
        })
        .await;
        assert_eq!(exchange(&mut wire).await, Ok(ok()));
        assert!(!wire.is_open());
        assert_eq!(exchange(&mut wire).await, Err(Lost::Unsent));
        let ((), mut stream) = service.await.unwrap();
        assert_eq!(
            timeout(PATIENCE, stream.read(&mut [0])).await.unwrap().unwrap(),
            0,
            "it is closed here too"
        );
    }
}

#[tokio::test(flavor = "local")]
async fn a_body_may_end_with_the_connection() {
    let (mut wire, service) = wire_to(async |stream| {
        asked(stream).await;
        say(stream, "HTTP/1.1 200 OK\r\n\r\no").await;
        say(stream, "k").await;
        stream.shutdown().await.unwrap();
    })
    .await;
    assert_eq!(exchange(&mut wire).await, Ok(ok()));
    assert!(!wire.is_open());
    service.await.unwrap();
}

#[tokio::test(flavor = "local")]
async fn a_reply_that_breaks_off_or_is_none_leaves_the_outcome_unknown() {
    let too_long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(100_000));
    let words = |words: &str| Some(NoReply::Words(words.to_owned()));
    for (said, came) in [
        ("", Some(NoReply::Closed)),
        ("HTTP/1.1 200 OK\r\ncontent-le", None),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", None),
        ("220 ready\r\n", words("220 ready")),
        ("2", words("2")),
        (&too_long, None),
    ] {
        let said = said.to_owned();
        let (mut wire, service) = wire_to(async move |stream| {
            asked(stream).await;
            // The client may have gone before all of it was said.
            let _written = stream.write_all(said.as_bytes()).await;
            let _closed = stream.shutdown().await;
        })
        .await;
        assert_eq!(exchange(&mut wire).await, Err(Lost::Unknown));
        assert!(!wire.is_open());
        assert_eq!((wire.take_no_reply(), wire.take_no_reply()), (came, None));
        service.await.unwrap();
    }
}

#[tokio::test(flavor = "local")]
async fn who_speaks_first_is_heard() {
    let (mut wire, _service) = wire_to(async |stream| say(stream, "SSH-2.0-OpenSSH_9.2p1\r\n").await).await;
    told(&wire).await;
    assert_eq!(exchange(&mut wire).await, Err(Lost::Unsent));
    assert_eq!(wire.take_no_reply(), Some(NoReply::Words("SSH-2.0-OpenSSH_9.2p1".into())));
}

#[tokio::test(flavor = "local")]
async fn a_connection_that_was_closed_or_spoken_on_meanwhile_carries_no_request() {
    for unasked in ["", "HTTP/1.1 408 Late\r\ncontent-length: 0\r\n\r\n"] {
        let (mut wire, service) = wire_to(async move |stream| {
            asked(stream).await;
            say(stream, OK).await;
            say(stream, unasked).await;
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            // A reset ends it as well: what was said unasked is never read.
            let _ended = stream.read_to_end(&mut rest).await;
            rest
        })
        .await;
        assert_eq!(exchange(&mut wire).await, Ok(ok()));
        if wire.is_open() {
            told(&wire).await;
        }
        assert_eq!(exchange(&mut wire).await, Err(Lost::Unsent));
        assert!(!wire.is_open());
        drop(wire);
        let (rest, _) = service.await.unwrap();
        assert_eq!(rest, b"", "not one byte of the second request came");
    }
}

#[tokio::test(flavor = "local")]
async fn an_idle_connection_notices_that_it_was_closed() {
    let (mut wire, _service) = wire_to(async |stream| stream.shutdown().await.unwrap()).await;
    told(&wire).await;
    assert!(wire.is_open());
    assert_eq!(wire.while_idle(async { 7 }).await, 7);
    assert!(!wire.is_open());
}

#[tokio::test(flavor = "local")]
async fn nobody_waits_longer_than_is_said() {
    let (mut wire, service) = wire_to(async |stream| asked(stream).await).await;
    let lost = wire.exchange(&ask(), Instant::now() + Duration::from_millis(50)).await;
    assert_eq!((lost, wire.take_no_reply()), (Err(Lost::Unknown), Some(NoReply::Silence)));
    assert!(!wire.is_open());
    assert_eq!(service.await.unwrap().0, ask().bytes());
}

#[tokio::test(flavor = "local")]
async fn an_earlier_alarm_does_not_end_a_later_exchange() {
    let (mut wire, service) = wire_to(async |stream| {
        asked(stream).await;
        say(stream, OK).await;
        asked(stream).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        say(stream, OK).await;
    })
    .await;
    assert_eq!(wire.exchange(&ask(), Instant::now() + PATIENCE).await, Ok(ok()));
    wire.alarm.as_mut().reset((Instant::now() + Duration::from_millis(20)).into());
    assert_eq!(exchange(&mut wire).await, Ok(ok()));
    service.await.unwrap();
}

#[tokio::test(flavor = "local")]
async fn an_exchange_that_is_given_up_ends_its_connection() {
    let (mut wire, service) = wire_to(async |stream| asked(stream).await).await;
    tokio::select! {
        biased;
        reply = exchange(&mut wire) => panic!("{reply:?}"),
        _asked = service => {}
    }
    assert!(!wire.is_open(), "its reply would be taken for that of the next");
}

#[tokio::test(flavor = "local")]
async fn a_request_longer_than_a_socket_takes_at_once_leaves_in_parts() {
    let mut long = ask();
    long.header(
        &HeaderName::from_static("x"),
        &HeaderValue::from_maybe_shared(bytes::Bytes::from(vec![b'y'; 1 << 24])).unwrap(),
    );
    let length = long.bytes().len();
    let (mut wire, service) = wire_to(async move |stream| {
        let mut request = vec![0; length];
        stream.read_exact(&mut request).await.unwrap();
        say(stream, OK).await;
        request
    })
    .await;
    assert_eq!(wire.exchange(&long, Instant::now() + PATIENCE).await, Ok(ok()));
    assert!(service.await.unwrap().0 == long.bytes());

    let (mut wire, service) = wire_to(async |_: &mut TcpStream| ()).await;
    let lost = wire.exchange(&long, Instant::now() + Duration::from_millis(50)).await;
    assert_eq!(lost, Err(Lost::Unknown), "a part of it left");
    service.await.unwrap();
}
