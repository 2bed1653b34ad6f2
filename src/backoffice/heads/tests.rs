//! Heads to a file and to a webhook of the test's own, which is away at first.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;
use crate::domain::webhook::Signed;
use crate::ledger::sqlite::SqliteLedger;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const DAY_MS: i64 = 86_400_000;

/// Answers one request, and gives back its headers, lower-case, and its body.
fn receive(listener: &TcpListener) -> (String, String) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let read = stream.read(&mut chunk).unwrap();
        request.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length: usize =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        if body.len() == length {
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            return (head, body.to_owned());
        }
    }
}

fn webhook(port: u16) -> Webhook {
    Webhook {
        url: CallUrl::new(format!("http://127.0.0.1:{port}/heads")),
        secrets: WebhookSecrets::parse(SECRET).unwrap(),
        outbound: Outbound::new().unwrap(),
    }
}

#[tokio::test]
async fn a_head_is_published_once_a_day_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&folder.path().join("ledger.db")).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let file = folder.path().join("heads");
    let clock = Clock::manual(1_700_445_600_000);
    let heads =
        |port| Heads::new(Arc::clone(&ledger), Some(file.clone()), Some(webhook(port)), clock.clone());
    // Nobody listens on port 1: the file has it, and the rest is tried again with the same head.
    assert!(matches!(heads(1).publish_if_due().await, Err(HeadError::Delivery(_))));
    let receiver = std::thread::spawn(move || (receive(&listener), receive(&listener)));
    let one = heads(port);
    assert!(one.publish_if_due().await.unwrap());
    assert!(!one.publish_if_due().await.unwrap(), "once a day");
    assert!(!heads(port).publish_if_due().await.unwrap(), "whichever front end looks");
    clock.set(clock.now_ms() + DAY_MS);
    assert!(one.publish_if_due().await.unwrap());

    let (first, second) = receiver.join().unwrap();
    let lines = std::fs::read_to_string(&file).unwrap();
    assert_eq!(lines.lines().collect::<Vec<_>>(), [first.1.as_str(), second.1.as_str()]);
    for ((head, body), day, now_ms) in
        [(&first, "2023-11-20", clock.now_ms() - DAY_MS), (&second, "2023-11-21", clock.now_ms())]
    {
        let header = |name: &str| {
            let found = head.lines().find_map(|line| line.strip_prefix(&format!("webhook-{name}: ")));
            found.unwrap().to_owned()
        };
        let published: Published = serde_json::from_str(body).unwrap();
        assert_eq!((published.day.as_str(), header("id")), (day, format!("head-{day}")));
        assert!(published.length == 0 || ledger.chain_record(&published.hash).await.unwrap().is_some());
        // The signature is base64 with letters of both cases: as it was sent, not as it was lowered here.
        let signed =
            WebhookSecrets::parse(SECRET).unwrap().sign(&header("id"), now_ms / 1_000, body.as_bytes());
        assert_eq!(header("signature"), signed.to_lowercase());
        let (id, timestamp) = (header("id"), header("timestamp"));
        let message = Signed { id: &id, timestamp: &timestamp, signatures: &signed };
        assert!(
            WebhookSecrets::parse(SECRET).unwrap().verify(message, body.as_bytes(), now_ms, 1_000).is_ok()
        );
    }
    assert!(ledger.verify_chain().await.unwrap().is_ok());
}

#[tokio::test]
async fn heads_of_days_without_a_receiver_are_sent_when_there_is_one_again() {
    let folder = tempfile::tempdir().unwrap();
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&folder.path().join("ledger.db")).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let file = folder.path().join("heads");
    let clock = Clock::manual(1_700_445_600_000);
    let heads = |file: Option<&std::path::Path>, port| {
        Heads::new(
            Arc::clone(&ledger),
            file.map(std::path::Path::to_path_buf),
            Some(webhook(port)),
            clock.clone(),
        )
    };
    // Nobody listens on port 1, nor can a folder be written to; and the service is started again on the third day.
    for _ in 0..2 {
        assert!(heads(Some(folder.path()), 1).publish_if_due().await.is_err());
        assert!(heads(None, 1).publish_if_due().await.is_err());
        clock.set(clock.now_ms() + DAY_MS);
    }
    std::fs::write(&file, "what a full disk left of a line").unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || while tell.send(receive(&listener)).is_ok() {});
    let third = heads(Some(&file), port);
    assert!(third.publish_if_due().await.unwrap());
    let received: Vec<String> =
        (0..3).map(|_| told.recv_timeout(Duration::from_secs(5)).unwrap().1).collect();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), received);
    for (body, day) in received.iter().zip(["2023-11-20", "2023-11-21", "2023-11-22"]) {
        let published: Published = serde_json::from_str(body).unwrap();
        assert!(published.day == day && published.at.starts_with(day), "the head as it was then: {body}");
    }
    for again in [&third, &heads(Some(&file), port)] {
        assert!(!again.publish_if_due().await.unwrap(), "once each");
    }
    // A clock that was two days ahead is put right: its days come once more, and have their heads by then.
    clock.set(clock.now_ms() + 2 * DAY_MS);
    assert!(third.publish_if_due().await.unwrap());
    clock.set(clock.now_ms() - DAY_MS);
    assert!(third.publish_if_due().await.unwrap());
    let days = [(); 2].map(|()| {
        let (_, body) = told.recv_timeout(Duration::from_secs(5)).unwrap();
        serde_json::from_str::<Published>(&body).unwrap().day
    });
    assert_eq!(days, ["2023-11-24", "2023-11-23"]);
    assert!(ledger.verify_chain().await.unwrap().is_ok());
}
