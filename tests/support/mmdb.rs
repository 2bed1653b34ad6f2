//! Writes small tables in MaxMind's format, so that tests and measurements need none from elsewhere.
//!
//! Format: <https://maxmind.github.io/MaxMind-DB/>

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What a record is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Data {
    Text(String),
    Short(u16),
    Number(u32),
    Long(u64),
    List(Vec<Data>),
    Map(Vec<(&'static str, Data)>),
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u32> for Data {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

/// A record of GeoLite2-ASN.
pub(crate) fn system(number: u32) -> Data {
    Data::Map(vec![
        ("autonomous_system_number", number.into()),
        ("autonomous_system_organization", format!("Carrier {number}").as_str().into()),
    ])
}

/// A table of autonomous systems with so many networks of all sizes, one in nine of IPv6, and an address of each.
pub(crate) fn systems(networks: u32) -> (Vec<u8>, Vec<IpAddr>) {
    let mut table = Table::new("GeoLite2-ASN", 24);
    let mut addresses = Vec::new();
    // Each network has another size, each third one another system than the one before.
    for n in 0..networks {
        let data = system(1_000 + n / 3 % 80_000);
        let bits = (n + 1).wrapping_mul(0x9e37_79b9);
        let network = if n % 9 == 0 {
            let bits = 0x2000 << 112 | u128::from(bits) << 88;
            let length = u8::try_from(32 + n % 17).expect("it is below 49");
            IpNet::V6(Ipv6Net::new(Ipv6Addr::from_bits(bits), length).expect("a length of IPv6"))
        } else {
            let length = u8::try_from(16 + n % 9).expect("it is below 25");
            IpNet::V4(Ipv4Net::new(Ipv4Addr::from_bits(bits), length).expect("a length of IPv4"))
        };
        table.insert(network.trunc(), &data);
        addresses.push(network.addr());
    }
    (table.bytes(), addresses)
}

/// A record of GeoLite2-City: a country and its subdivisions.
pub(crate) fn place(country: &str, subdivisions: &[&str]) -> Data {
    let iso = |code: &str| Data::Map(vec![("iso_code", code.into())]);
    let subdivisions = subdivisions.iter().map(|code| iso(code)).collect();
    Data::Map(vec![("country", iso(country)), ("subdivisions", Data::List(subdivisions))])
}

/// A record that has a code of GB/T 2260.
pub(crate) fn coded(key: &'static str, code: impl Into<Data>) -> Data {
    Data::Map(vec![(key, code.into())])
}

#[derive(Clone, Copy)]
enum Slot {
    Empty,
    Node(usize),
    Record(usize),
}

/// A table that is being written.
pub(crate) struct Table {
    kind: &'static str,
    record_bits: u8,
    nodes: Vec<[Slot; 2]>,
    records: Vec<u8>,
    known: HashMap<Data, usize>,
}

impl Table {
    /// An empty table for IPv4 and IPv6 that says it is of this kind, with 24, 28 or 32 bits a record of its tree.
    pub(crate) fn new(kind: &'static str, record_bits: u8) -> Self {
        let nodes = vec![[Slot::Empty; 2]];
        Self { kind, record_bits, nodes, records: Vec::new(), known: HashMap::new() }
    }

    /// A table of these networks. A network inside another one comes after it.
    pub(crate) fn of(kind: &'static str, networks: &[(&str, Data)]) -> Vec<u8> {
        let mut table = Self::new(kind, 28);
        for (network, data) in networks {
            table.insert(network.parse().expect("a network"), data);
        }
        table.bytes()
    }

    pub(crate) fn insert(&mut self, network: IpNet, data: &Data) {
        let record = *self.known.entry(data.clone()).or_insert_with(|| {
            let at = self.records.len();
            encode(data, &mut self.records);
            at
        });
        // IPv4 lives in the first of the /96.
        let (bits, length) = match network {
            IpNet::V4(network) => {
                (u128::from(network.network().to_bits()), 96 + u32::from(network.prefix_len()))
            }
            IpNet::V6(network) => (network.network().to_bits(), u32::from(network.prefix_len())),
        };
        let mut node = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                *self.slot(node, side) = Slot::Record(record);
                break;
            }
            node = match *self.slot(node, side) {
                Slot::Node(next) => next,
                above => {
                    self.nodes.push([above; 2]);
                    let next = self.nodes.len() - 1;
                    *self.slot(node, side) = Slot::Node(next);
                    next
                }
            };
        }
    }

    fn slot(&mut self, node: usize, side: usize) -> &mut Slot {
        self.nodes.get_mut(node).and_then(|node| node.get_mut(side)).expect("a node that was made")
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let count = self.nodes.len();
        let number = |slot: Slot| match slot {
            Slot::Empty => count,
            Slot::Node(node) => node,
            Slot::Record(at) => count + 16 + at,
        };
        let mut out = Vec::new();
        for [left, right] in &self.nodes {
            let (left, right) = (number(*left).to_be_bytes(), number(*right).to_be_bytes());
            match self.record_bits {
                24 => out.extend([&left[5..], &right[5..]].concat()),
                28 => {
                    out.extend(&left[5..]);
                    out.push(left[4] << 4 | right[4]);
                    out.extend(&right[5..]);
                }
                _ => out.extend([&left[4..], &right[4..]].concat()),
            }
        }
        out.extend([0; 16]);
        out.extend(&self.records);
        out.extend(b"\xab\xcd\xefMaxMind.com");
        encode(&self.metadata(), &mut out);
        out
    }

    fn metadata(&self) -> Data {
        Data::Map(vec![
            ("binary_format_major_version", Data::Short(2)),
            ("binary_format_minor_version", Data::Short(0)),
            ("build_epoch", Data::Long(1_700_000_000)),
            ("database_type", self.kind.into()),
            ("description", Data::Map(vec![("en", "made by a test".into())])),
            ("ip_version", Data::Short(6)),
            ("languages", Data::List(vec!["en".into()])),
            ("node_count", u32::try_from(self.nodes.len()).expect("a small table").into()),
            ("record_size", Data::Short(self.record_bits.into())),
        ])
    }
}

fn encode(data: &Data, out: &mut Vec<u8>) {
    match data {
        Data::Text(text) => {
            control(2, text.len(), out);
            out.extend(text.as_bytes());
        }
        Data::Short(number) => unsigned(5, &number.to_be_bytes(), out),
        Data::Number(number) => unsigned(6, &number.to_be_bytes(), out),
        Data::Long(number) => unsigned(9, &number.to_be_bytes(), out),
        Data::List(items) => {
            control(11, items.len(), out);
            for item in items {
                encode(item, out);
            }
        }
        Data::Map(fields) => {
            control(7, fields.len(), out);
            for (key, value) in fields {
                encode(&(*key).into(), out);
                encode(value, out);
            }
        }
    }
}

/// A number without the zeros that it begins with.
fn unsigned(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    control(kind, bytes.len() - zeros, out);
    out.extend(bytes.iter().skip(zeros));
}

/// Type and size of what follows; sizes up to 284.
fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (short, more) = if size < 29 { (size, None) } else { (29, Some(size - 29)) };
    let size_bits = u8::try_from(short).expect("five bits");
    if kind <= 7 {
        out.push(kind << 5 | size_bits);
    } else {
        out.extend([size_bits, kind - 7]);
    }
    out.extend(more.map(|more| u8::try_from(more).expect("texts are short")));
}
