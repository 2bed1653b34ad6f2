use proptest::prelude::*;

use super::*;

/// Status, `Retry-After`, body, and whether the connection can carry more.
type Whole = (u16, Option<u64>, Vec<u8>, bool);
/// What became of a reply, whose connection then ends.
type Read = Result<Whole, Broken>;

/// Reads pieces, and the end of the connection where they are not enough.
fn read<'piece>(pieces: impl IntoIterator<Item = &'piece [u8]>) -> Read {
    let mut reading = Reading::new();
    let mut whole = false;
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        if whole {
            // The connection is no longer read, and whoever uses it next finds what was not asked for.
            reading.is_last = true;
            break;
        }
        whole = reading.take(piece)?;
    }
    if !whole {
        reading.end()?;
    }
    let (reply, stays_open) = reading.finish();
    Ok((reply.status, reply.retry_after, reply.body, stays_open))
}

fn reply(status: u16, body: &str, stays_open: bool) -> Whole {
    (status, None, body.into(), stays_open)
}

fn large(length: usize) -> String {
    "x".repeat(length)
}

/// Replies and what is read from each.
fn replies() -> Vec<(String, Read)> {
    let ok = |rest: &str| format!("HTTP/1.1 200 OK\r\n{rest}");
    let too_long = (REPLY_BYTES_MAX + 1).to_string();
    let headers = |number| "x: y\r\n".repeat(number);
    let chunked = |rest: &str| ok(&format!("transfer-encoding: chunked\r\n\r\n{rest}"));
    vec![
        (ok("content-length: 5\r\n\r\nhello"), Ok(reply(200, "hello", true))),
        (ok("Content-Length: 0\r\n\r\n"), Ok(reply(200, "", true))),
        (ok("content-length: 2, 2\r\ncontent-length:2\r\n\r\nhi"), Ok(reply(200, "hi", true))),
        (
            "HTTP/1.1 503\r\nretry-after: 7\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n".into(),
            Ok((503, Some(7), vec![], true)),
        ),
        (
            "HTTP/1.1 429 Slow\r\nretry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\ncontent-length: 1\r\n\r\n!"
                .into(),
            Ok(reply(429, "!", true)),
        ),
        // No body, whatever the head announces.
        ("HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\n".into(), Ok(reply(204, "", true))),
        ("HTTP/1.1 304 No\r\ntransfer-encoding: chunked\r\n\r\n".into(), Ok(reply(304, "", true))),
        // The last one of its connection.
        (ok("connection: Upgrade, Close\r\ncontent-length: 1\r\n\r\n1"), Ok(reply(200, "1", false))),
        ("HTTP/1.0 201 Old\r\ncontent-length: 2\r\n\r\nhi".into(), Ok(reply(201, "hi", false))),
        (ok("\r\nuntil the end"), Ok(reply(200, "until the end", false))),
        (ok("transfer-encoding: chunked, gzip\r\n\r\nzipped"), Ok(reply(200, "zipped", false))),
        // Unasked.
        (ok("content-length: 1\r\n\r\n1HTTP/1.1 200 OK\r\n"), Ok(reply(200, "1", false))),
        // Those that only announce another.
        (
            format!(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n{}",
                ok("content-length: 1\r\n\r\n1")
            ),
            Ok(reply(200, "1", true)),
        ),
        // Chunks.
        (chunked("5\r\nhello\r\n6;a=b;c=\"d\"\r\n world\r\n0\r\n\r\n"), Ok(reply(200, "hello world", true))),
        (
            chunked("A \r\n0123456789\r\n000;last\r\ndigest: x\r\nexpires: never\r\n\r\n"),
            Ok(reply(200, "0123456789", true)),
        ),
        (chunked("0\r\n\r\n"), Ok(reply(200, "", true))),
        (
            ok("content-length: 3\r\ntransfer-encoding: Chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n"),
            Ok(reply(200, "1", true)),
        ),
        // Ended early.
        (String::new(), Err(Broken)),
        ("HTTP/1.1 200".into(), Err(Broken)),
        (ok("content-length: 5\r\n\r\nhell"), Err(Broken)),
        ("HTTP/1.1 100 Continue\r\n\r\n".into(), Err(Broken)),
        (chunked("5\r\nhello\r\n"), Err(Broken)),
        (chunked("0\r\n"), Err(Broken)),
        // None at all.
        ("SSH-2.0-OpenSSH_9.2\r\n".into(), Err(Broken)),
        ("HTTP/2 200 OK\r\ncontent-length: 0\r\n\r\n".into(), Err(Broken)),
        ("HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n".into(), Err(Broken)),
        ("HTTP/1.1 101 Other\r\nupgrade: x\r\n\r\n".into(), Err(Broken)),
        (ok("content-length: five\r\n\r\nhello"), Err(Broken)),
        (ok("content-length: +5\r\n\r\nhello"), Err(Broken)),
        (ok("content-length: \r\n\r\n"), Err(Broken)),
        (ok("content-length: 5\r\ncontent-length: 4\r\n\r\nhello"), Err(Broken)),
        (ok("content-length: 18446744073709551616\r\n\r\n"), Err(Broken)),
        (ok("no header\r\n\r\n"), Err(Broken)),
        ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".into(), Err(Broken)),
        (chunked("\r\nhello"), Err(Broken)),
        (chunked("g\r\n"), Err(Broken)),
        (chunked("5\r\nhello!\r\n0\r\n\r\n"), Err(Broken)),
        (chunked("ffffffffffffffff\r\n"), Err(Broken)),
        (chunked("10000000000000000\r\n"), Err(Broken)),
        // As long as may be, and longer.
        (
            ok(&format!("content-length: {REPLY_BYTES_MAX}\r\n\r\n{}", large(REPLY_BYTES_MAX))),
            Ok(reply(200, &large(REPLY_BYTES_MAX), true)),
        ),
        (ok(&format!("content-length: {too_long}\r\n\r\n")), Err(Broken)),
        (chunked(&format!("10000\r\n{}\r\n1\r\n1\r\n0\r\n\r\n", large(REPLY_BYTES_MAX))), Err(Broken)),
        (ok(&format!("\r\n{}", large(REPLY_BYTES_MAX + 1))), Err(Broken)),
        (ok(&format!("{}content-length: 0\r\n\r\n", headers(HEADERS_MAX - 1))), Ok(reply(200, "", true))),
        (ok(&format!("{}content-length: 0\r\n\r\n", headers(HEADERS_MAX))), Err(Broken)),
        (ok(&format!("x: {}", large(HEAD_BYTES_MAX))), Err(Broken)),
        (chunked(&format!("1;{}", large(HEAD_BYTES_MAX))), Err(Broken)),
        (chunked(&format!("0\r\nx: {}", large(HEAD_BYTES_MAX))), Err(Broken)),
    ]
}

#[test]
fn each_reply_is_read_as_it_says() {
    for (text, expected) in replies() {
        assert_eq!(read([text.as_bytes()]), expected, "{}", &text[..text.len().min(200)]);
    }
}

#[test]
fn it_does_not_matter_where_a_reply_is_cut() {
    for (text, expected) in replies().iter().filter(|(text, _)| text.len() < 1_000) {
        let bytes = text.as_bytes();
        for at in 0..=bytes.len() {
            let (before, after) = bytes.split_at(at);
            assert_eq!(&read([before, after]), expected, "cut at {at}: {text}");
        }
        assert_eq!(&read(bytes.chunks(1)), expected, "byte by byte: {text}");
    }
}

proptest! {
    /// Long ones too, in pieces of any length.
    #[test]
    fn any_pieces_make_the_same_reply(which in any::<prop::sample::Index>(), lengths in prop::collection::vec(1..9_000_usize, 1..64)) {
        let replies = replies();
        let (text, expected) = which.get(&replies);
        let mut rest = text.as_bytes();
        let pieces = lengths.iter().cycle().map_while(|length| {
            let (piece, others) = rest.split_at((*length).min(rest.len()));
            rest = others;
            (!piece.is_empty()).then_some(piece)
        });
        prop_assert_eq!(&read(pieces), expected);
    }

    /// Whatever a service sends, it is read within bounds or refused.
    #[test]
    fn garbage_is_never_more_than_broken(
        start in prop::sample::select(vec!["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"]),
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..200),
    ) {
        let read = read(std::iter::once(start.as_bytes()).chain(pieces.iter().map(Vec::as_slice)));
        prop_assert!(read.map_or(true, |(_, _, body, _)| body.len() <= REPLY_BYTES_MAX));
    }

    /// The same bytes as garbage of lines and sizes.
    #[test]
    fn almost_replies_are_never_more_than_broken(text in "(HTTP/1\\.[01] (1|2|5)[0-9]{2} ?[A-Z]{0,3}\r\n|(content-length|transfer-encoding|connection): ?(chunked|close|[0-9]{0,5})\r\n|\r\n|[0-9a-f]{1,4}(;x)?\r\n|x){0,40}", cut in 1..50_usize) {
        let bytes = text.as_bytes();
        let whole = read([bytes]);
        prop_assert_eq!(read(bytes.chunks(cut)), whole);
    }
}

#[test]
fn what_never_ends_is_refused_before_it_ends() {
    let piece = large(1_000);
    for start in
        ["HTTP/1.1 200 OK\r\nx: ", "HTTP/1.1 ", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"]
    {
        for more in ["", "5;", "0\r\nx: "] {
            let mut reading = Reading::new();
            let first = reading.take([start, more].concat().as_bytes());
            let taken =
                first.and_then(|_| (0..100).try_for_each(|_| reading.take(piece.as_bytes()).map(drop)));
            assert_eq!(taken, Err(Broken), "{start}{more}");
            assert!(reading.pending.len() <= HEAD_BYTES_MAX);
        }
    }
}
