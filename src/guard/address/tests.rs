//! Tests of whose word about an address is believed.

use hyper::header::HeaderValue;
use proptest::prelude::*;

use super::*;

const CLIENT: &str = "203.0.113.9";
const PEER: &str = "10.0.0.1";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn rules() -> AddressRules {
    let trusted = ["10.0.0.0/8", "2001:db8:ffff::/48", "127.0.0.1/32"];
    AddressRules {
        trusted_proxies: trusted.iter().map(|net| net.parse().expect("a network")).collect(),
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
    rules().client(ip(peer), &headers("x-forwarded-for", &lines)).address
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
    assert_eq!(rules().client(ip(PEER), &not_ascii).address, ip(PEER));
}

#[test]
fn another_header_is_not_read() {
    let mut both = headers("forwarded", &[b"for=198.51.100.7"]);
    assert_eq!(rules().client(ip(PEER), &both).address, ip(PEER));
    both.append("x-forwarded-for", HeaderValue::from_static(CLIENT));
    assert_eq!(rules().client(ip(PEER), &both).address, ip(CLIENT));
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
    let mut rules = rules();
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
    ) {
        let joined = [&sent[..], b", ", CLIENT.as_bytes()].concat();
        let address = rules().client(ip(PEER), &headers("x-forwarded-for", &[&joined])).address;
        prop_assert_eq!(address, ip(CLIENT));
        let apart = rules().client(ip(PEER), &headers("x-forwarded-for", &[&sent, CLIENT.as_bytes()])).address;
        prop_assert_eq!(apart, ip(CLIENT));
    }
}
