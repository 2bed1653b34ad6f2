//! Tables of every kind and size of record, wrong ones, and what is known of addresses.

use std::net::IpAddr;

use proptest::prelude::*;

use super::mmdb::{Data, Table, coded, place, system};
use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn systems() -> Vec<(&'static str, Data)> {
    vec![
        ("192.0.2.0/24", system(64_496)),
        ("192.0.2.128/25", system(64_497)),
        ("198.51.100.7/32", coded("asn", "AS4200000000")),
        ("203.0.113.0/24", coded("name", "nobody's")),
        ("2001:db8::/32", system(64_496)),
        ("2001:db8:1:2::/64", coded("asn", 64_511)),
    ]
}

#[test]
fn autonomous_systems_are_found_in_both_families_and_all_sizes_of_tree() {
    for bits in [24, 28, 32] {
        let mut written = Table::new("GeoLite2-ASN", bits);
        for (network, data) in systems() {
            written.insert(network.parse().expect("a network"), &data);
        }
        let table = AsnTable::read(written.bytes()).expect("a table");
        for (from, asn) in [
            ("192.0.2.1", Some(64_496)),
            ("192.0.2.127", Some(64_496)),
            ("192.0.2.128", Some(64_497)),
            ("::ffff:192.0.2.200", Some(64_497)),
            ("198.51.100.7", Some(4_200_000_000)),
            ("198.51.100.8", None),
            ("203.0.113.1", None),
            ("127.0.0.1", None),
            ("2001:db8::1", Some(64_496)),
            ("2001:db8:1:2::1", Some(64_511)),
            ("2001:db8:1:3::1", Some(64_496)),
            ("2001:db9::1", None),
        ] {
            assert_eq!(table.asn(address(from)), asn.map(Asn), "{from}, {bits} bits");
        }
        // Inside a larger network a smaller one splits it: the /25, and the way down to the /64.
        assert_eq!(table.networks(), 1 + 1 + 1 + 32 + 1, "{bits} bits");
    }
}

#[test]
fn a_region_is_a_code_of_the_table_or_what_its_subdivision_stands_for() {
    let bytes = Table::of(
        "GeoLite2-City",
        &[
            ("1.0.0.0/8", place("CN", &["YN"])),
            ("2.0.0.0/8", place("CN", &["11"])),
            ("3.0.0.0/8", place("CN", &[])),
            ("4.0.0.0/8", place("US", &["CA"])),
            ("5.0.0.0/8", place("SD", &["SD"])),
            ("6.0.0.0/8", place("HK", &[])),
            ("7.0.0.0/8", coded("china_admin_code", "530102")),
            ("8.0.0.0/8", coded("adcode", 510_104)),
            ("9.0.0.0/8", coded("adcode", "")),
            ("2400::/12", place("CN", &["SC"])),
        ],
    );
    let table = RegionTable::read(bytes).expect("a table");
    for (from, region) in [
        ("1.2.3.4", Some("53")),
        ("2.2.3.4", Some("11")),
        ("3.2.3.4", Some("CN")),
        ("4.2.3.4", Some("US")),
        ("5.2.3.4", Some("SD")),
        ("6.2.3.4", Some("81")),
        ("7.2.3.4", Some("530102")),
        ("8.2.3.4", Some("510104")),
        ("9.2.3.4", None),
        ("10.0.0.1", None),
        ("2400::1", Some("51")),
        ("2600::1", None),
    ] {
        assert_eq!(table.region(address(from)).as_deref(), region, "{from}");
    }
    assert_eq!(table.networks(), 5);
}

#[test]
fn a_table_of_something_else_is_refused_by_name() {
    let asns = Table::of("GeoLite2-ASN", &systems());
    let cities = Table::of("GeoLite2-City", &[("1.0.0.0/8", place("CN", &["YN"]))]);
    let countries =
        Table::of("GeoLite2-Country", &[("1.0.0.0/8", place("CN", &[])), ("6.0.0.0/8", place("HK", &[]))]);
    let said = |flaw: TableFlaw| flaw.to_string();
    let wanted = "is a table of \"GeoLite2-ASN\", which names no region of China";
    assert_eq!(RegionTable::read(asns).map_err(said).unwrap_err(), wanted);
    let wanted = "is a table of \"GeoLite2-Country\", which names no region of China";
    assert_eq!(RegionTable::read(countries).map_err(said).unwrap_err(), wanted);
    let wanted = "is a table of \"GeoLite2-City\", which names no autonomous system";
    assert_eq!(AsnTable::read(cities).map_err(said).unwrap_err(), wanted);
    let odd = Table::of("odd", &[("1.0.0.0/8", coded("asn", "AS-1"))]);
    assert!(matches!(AsnTable::read(odd), Err(TableFlaw::Record(_))));
    let odd = Table::of("odd", &[("1.0.0.0/8", coded("subdivisions", "YN"))]);
    assert!(matches!(RegionTable::read(odd), Err(TableFlaw::Record(_))));
}

#[test]
fn half_a_table_is_none() {
    let whole = Table::of("GeoLite2-ASN", &systems());
    assert!(AsnTable::read(whole.clone()).is_ok());
    // The last bytes are spare only where the last field could be shorter: there is no such field.
    for length in 0..whole.len() {
        assert!(AsnTable::read(whole[..length].to_vec()).is_err(), "{length} of {} bytes", whole.len());
    }
    assert!(matches!(AsnTable::read(b"person,until,reason\n".to_vec()), Err(TableFlaw::Format(_))));
}

#[test]
fn a_tree_that_goes_round_in_circles_ends() {
    // Both sides of the only node lead back to it.
    let mut bytes = Table::of("circle", &[("::/1", system(1))]);
    bytes[..7].fill(0);
    assert!(AsnTable::read(bytes).is_err());
}

#[test]
fn numbers_of_systems_have_one_form() {
    for text in ["AS4134", "4134"] {
        assert_eq!(text.parse(), Ok(Asn(4_134)));
    }
    assert_eq!(Asn(4_134).to_string(), "AS4134");
    for text in ["", "AS", "as1", "AS+1", "AS4294967296", "-1", "ASAS1", " 1"] {
        assert_eq!(text.parse::<Asn>(), Err(AsnError), "{text:?}");
    }
}

#[test]
fn tables_take_each_others_place() {
    let tables = AddressTables::default();
    let shared = tables.clone();
    assert_eq!((tables.has_regions(), tables.asn(address("192.0.2.1"))), (false, None));
    shared.replace_asns(AsnTable::read(Table::of("a", &systems())).expect("a table"));
    assert_eq!(tables.asn(address("192.0.2.1")), Some(Asn(64_496)));
    let other = Table::of("a", &[("192.0.2.0/24", system(1))]);
    shared.replace_asns(AsnTable::read(other).expect("a table"));
    assert_eq!(tables.asn(address("192.0.2.1")), Some(Asn(1)));
    let regions = Table::of("r", &[("192.0.2.0/24", place("CN", &["YN"]))]);
    shared.replace_regions(RegionTable::read(regions).expect("a table"));
    assert_eq!((tables.has_regions(), tables.region(address("192.0.2.1")).as_deref()), (true, Some("53")));
}

proptest! {
    #[test]
    fn a_spoilt_table_is_refused_or_answers(at in 0_usize..2_000, byte: u8, ask: u32) {
        let mut bytes = Table::of("GeoLite2-ASN", &systems());
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(table) = AsnTable::read(bytes) {
            let _ = table.asn(IpAddr::from(ask.to_be_bytes()));
            let _ = table.asn(address("2001:db8:1:2::1"));
        }
    }
}
