//! Tests of whose word about an address is believed.

use hyper::header::HeaderValue;
use proptest::prelude::*;

use super::*;

const CLIENT: &str = "203.0.113.9";
const PEER: &str = "10.0.0.1";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn rules(header: ForwardedHeader) -> AddressRules {
    let trusted = ["10.0.0.0/8", "2001:db8:ffff::/48", "127.0.0.1/32"];
    AddressRules {
        trusted_proxies: trusted.iter().map(|net| net.parse().expect("a network")).collect(),
        header,
        limit_loopback: false,
    }
}

fn headers(name: &'static str, lines: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name, HeaderValue::from_bytes(line).expect("a header value"));
    }
    headers
}

fn by_xff(peer: &str, lines: &[&str]) -> IpAddr {
    let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
    rules(ForwardedHeader::XForwardedFor).client(ip(peer), &headers("x-forwarded-for", &lines)).address
}

fn by_forwarded(line: &str) -> IpAddr {
    let headers = headers("forwarded", &[line.as_bytes()]);
    rules(ForwardedHeader::Forwarded).client(ip(PEER), &headers).address
}

#[test]
fn a_strangers_word_is_not_believed() {
    assert_eq!(by_xff("198.51.100.7", &[CLIENT]), ip("198.51.100.7"));
    assert_eq!(by_xff("::ffff:198.51.100.7", &[CLIENT]), ip("198.51.100.7"));
    let headers = headers("x-forwarded-for", &[CLIENT.as_bytes()]);
    assert_eq!(AddressRules::default().client(ip(PEER), &headers).address, ip(PEER));
}

#[test]
fn the_right_most_stranger_is_the_client() {
    for (lines, expected) in [
        (&[CLIENT][..], CLIENT),
        (&["198.51.100.7, 203.0.113.9"], CLIENT),
        (&["198.51.100.7,203.0.113.9 , 10.9.9.9,\t10.0.0.2"], CLIENT),
        (&["198.51.100.7", "203.0.113.9", "10.9.9.9"], CLIENT),
        (&["127.0.0.1, 203.0.113.9"], CLIENT),
        (&["garbage, unknown, 203.0.113.9, 10.9.9.9"], CLIENT),
        (&["203.0.113.9,, ,"], CLIENT),
        (&["203.0.113.9:4711"], CLIENT),
        (&["::ffff:203.0.113.9"], CLIENT),
        (&["2001:db8::1"], "2001:db8::1"),
        (&["[2001:db8::1]"], "2001:db8::1"),
        (&["[2001:db8::1]:4711"], "2001:db8::1"),
        (&["2001:db8::1, 2001:db8:ffff::2, 10.0.0.2"], "2001:db8::1"),
        (&["10.7.7.7, 10.8.8.8"], "10.7.7.7"),
    ] {
        assert_eq!(by_xff(PEER, lines), ip(expected), "{lines:?}");
    }
}

#[test]
fn what_cannot_be_read_leaves_the_peer() {
    for line in [
        "",
        " , ,",
        "unknown",
        "203.0.113.9, unknown",
        "203.0.113.9, _hidden",
        "203.0.113.9, 10.0.0.2, 999.1.1.1",
        "203.0.113.9;198.51.100.7",
        "\"203.0.113.9\"",
        "[203.0.113.9]",
        "[2001:db8::1",
        "2001:db8::1]",
        "[2001:db8::1]:99999",
        "203.0.113.9:",
        "203.0.113.9:http",
        "fe80::1%eth0",
        "0x7f.1",
        "for=203.0.113.9",
    ] {
        assert_eq!(by_xff(PEER, &[line]), ip(PEER), "{line:?}");
    }
    let not_ascii = headers("x-forwarded-for", &[b"203.0.113.9\xff"]);
    assert_eq!(rules(ForwardedHeader::XForwardedFor).client(ip(PEER), &not_ascii).address, ip(PEER));
}

#[test]
fn forwarded_is_read_as_the_rfc_writes_it() {
    for (line, expected) in [
        ("for=203.0.113.9", CLIENT),
        ("For=\"203.0.113.9:4711\"", CLIENT),
        ("for=203.0.113.9:4711", CLIENT),
        ("for=198.51.100.7, for=203.0.113.9;proto=https;by=10.0.0.1, for=10.9.9.9", CLIENT),
        ("proto=http; host=\"a;for=1.2.3.4,for=5.6.7.8\" ;for=203.0.113.9;", CLIENT),
        ("for=\"[2001:db8::1]\"", "2001:db8::1"),
        ("for=\"[2001:db8::1]:4711\", for=\"[2001:db8:ffff::1]\"", "2001:db8::1"),
        ("for=\"open, for=203.0.113.9", CLIENT),
    ] {
        assert_eq!(by_forwarded(line), ip(expected), "{line:?}");
    }
    for line in [
        "for=unknown",
        "for=_hidden",
        "for=\"_gazonk\"",
        "for=",
        "for=\"\"",
        "for=\"203.0.113.9",
        "for=203.0.113.9\"",
        "for =203.0.113.9",
        "for=203.0.113.9;for=198.51.100.7",
        "proto=https",
        "203.0.113.9",
        "by=203.0.113.9",
        r#"for=203.0.113.9;host="a\",for=198.51.100.7""#,
        "for=203.0.113.9, proto=https",
    ] {
        assert_eq!(by_forwarded(line), ip(PEER), "{line:?}");
    }
}

#[test]
fn the_header_that_the_proxies_do_not_set_is_not_read() {
    let mut both = headers("x-forwarded-for", &[CLIENT.as_bytes()]);
    both.append("forwarded", HeaderValue::from_static("for=198.51.100.7"));
    assert_eq!(rules(ForwardedHeader::XForwardedFor).client(ip(PEER), &both).address, ip(CLIENT));
    assert_eq!(rules(ForwardedHeader::Forwarded).client(ip(PEER), &both).address, ip("198.51.100.7"));
}

#[test]
fn a_chain_is_followed_so_far_and_no_farther() {
    let mut chain = vec![CLIENT];
    chain.extend(std::iter::repeat_n("10.9.9.9", FORWARDED_HOPS_MAX - 1));
    assert_eq!(by_xff(PEER, &[&chain.join(",")]), ip(CLIENT));
    chain.push("10.9.9.9");
    assert_eq!(by_xff(PEER, &[&chain.join(",")]), ip("10.9.9.9"));
}

#[test]
fn loopback_is_exempt_when_it_speaks_for_itself() {
    let none = HeaderMap::new();
    let passed_on = headers("x-forwarded-for", &[CLIENT.as_bytes()]);
    let unreadable = headers("x-forwarded-for", &[b"unknown"]);
    let mut rules = rules(ForwardedHeader::XForwardedFor);
    for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(rules.client(ip(peer), &none).limited(), None, "{peer}");
    }
    assert_eq!(rules.client(ip("127.0.0.1"), &passed_on).limited(), Some(ip(CLIENT)));
    assert_eq!(rules.client(ip("127.0.0.1"), &unreadable).limited(), Some(ip("127.0.0.1")));
    assert_eq!(rules.client(ip("::1"), &passed_on).limited(), None, "no proxy: its header is not read");
    assert_eq!(rules.client(ip(PEER), &none).limited(), Some(ip(PEER)));
    rules.limit_loopback = true;
    assert_eq!(rules.client(ip("::1"), &none).limited(), Some(ip("::1")));
}

proptest! {
    #[test]
    fn what_a_client_sends_never_changes_what_the_proxy_appends(
        sent in proptest::collection::vec(any::<u8>().prop_filter("visible", |b| (32..127).contains(b)), 0..200),
        is_forwarded in any::<bool>(),
    ) {
        let (header, name, appended) = if is_forwarded {
            (ForwardedHeader::Forwarded, "forwarded", &b"for=203.0.113.9"[..])
        } else {
            (ForwardedHeader::XForwardedFor, "x-forwarded-for", &b"203.0.113.9"[..])
        };
        let joined = [&sent[..], b", ", appended].concat();
        let address = rules(header).client(ip(PEER), &headers(name, &[&joined])).address;
        let unreadable = is_forwarded && sent.contains(&b'\\');
        prop_assert_eq!(address, ip(if unreadable { PEER } else { CLIENT }));
        let apart = rules(header).client(ip(PEER), &headers(name, &[&sent, appended])).address;
        prop_assert_eq!(apart, ip(CLIENT));
    }
}
