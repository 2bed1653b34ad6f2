//! Ranges of addresses, each with a number, laid out for look-ups from a cold cache.
//!
//! A walk down a tree of networks loads some twenty nodes that nobody has used just before. Here an address' first
//! bits lead to the few ranges that begin with them, which lie side by side: two or three loads.

use std::net::IpAddr;

use bytemuck::Pod;
use ipnet::IpNet;
use prefetch_index::prefetch_index;

use crate::lines::Memory;

/// How many of an address' first bits choose where to look.
const INDEX_BITS: u32 = 16;
/// How many values they have.
const INDEX_VALUES: u32 = 1 << INDEX_BITS;

/// An address of either family as a number.
trait Address: Copy + Ord {
    /// An address at which a range starts, and the range's number.
    type Start: Pod;
    /// The first one.
    const ZERO: Self;
    /// The value of its first bits.
    fn index(self) -> usize;
    /// The first one whose first bits have this value.
    fn first_of(index: u32) -> Self;
    /// The one after it.
    fn next(self) -> Option<Self>;
    /// The start of a range.
    fn start(self, number: u32) -> Self::Start;
    /// Where that range starts, and its number.
    fn of(start: Self::Start) -> (Self, u32);
}

impl Address for u32 {
    type Start = [u32; 2];

    const ZERO: Self = 0;

    fn index(self) -> usize {
        (self >> (Self::BITS - INDEX_BITS)) as usize
    }

    fn first_of(index: u32) -> Self {
        index << (Self::BITS - INDEX_BITS)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn start(self, number: u32) -> [u32; 2] {
        [self, number]
    }

    fn of([from, number]: [u32; 2]) -> (Self, u32) {
        (from, number)
    }
}

impl Address for u128 {
    /// A u128 in two words: a table with one would have gaps.
    type Start = [u64; 3];

    const ZERO: Self = 0;

    fn index(self) -> usize {
        usize::try_from(self >> (Self::BITS - INDEX_BITS)).unwrap_or_default()
    }

    fn first_of(index: u32) -> Self {
        Self::from(index) << (Self::BITS - INDEX_BITS)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn start(self, number: u32) -> [u64; 3] {
        let word = |shift: u32| u64::try_from(self >> shift & Self::from(u64::MAX)).unwrap_or_default();
        [word(u64::BITS), word(0), u64::from(number)]
    }

    fn of([high, low, number]: [u64; 3]) -> (Self, u32) {
        (Self::from(high) << u64::BITS | Self::from(low), u32::try_from(number).unwrap_or_default())
    }
}

/// A network's first address, its last one and its number.
type Network<A> = (A, A, u32);

/// One family's ranges. Every address lies in one; the number 0 stands for none.
#[derive(Debug)]
struct Ranges<A: Address> {
    /// The first address of each range and its number, in order; the first range begins with the first address of all.
    starts: Memory<A::Start>,
    /// By the value of the first bits: the range in which the first address with that value lies. One entry more stands
    /// for the last range of all.
    index: Box<[u32]>,
}

impl<A: Address> Ranges<A> {
    /// Of networks that do not overlap.
    fn new(mut networks: Vec<Network<A>>) -> Self {
        networks.sort_unstable();
        let mut starts = vec![(A::ZERO, 0)];
        let mut begin = |from: A, number: u32| match starts.last_mut() {
            Some(last) if last.0 == from => last.1 = number,
            Some(last) if last.1 == number => {}
            _ => starts.push((from, number)),
        };
        for (first, last, number) in networks {
            begin(first, number);
            if let Some(after) = last.next() {
                begin(after, 0);
            }
        }
        let mut later = (1_u32..).zip(starts.iter().skip(1)).peekable();
        let mut range = 0;
        let mut index: Vec<u32> = (0..INDEX_VALUES)
            .map(|value| {
                while let Some((next, _)) = later.next_if(|(_, start)| start.0 <= A::first_of(value)) {
                    range = next;
                }
                range
            })
            .collect();
        index.push(later.last().map_or(range, |(last, _)| last));
        let starts: Vec<_> = starts.into_iter().map(|(from, number)| from.start(number)).collect();
        Self { starts: Memory::from(&*starts), index: index.into() }
    }

    /// The first and the last of the ranges that begin with an address' first bits, or before and go on there.
    fn near(&self, address: A) -> (usize, usize) {
        let at = address.index();
        let place = |at: usize| self.index.get(at).map_or(0, |place| *place as usize);
        (place(at), place(at + 1))
    }

    /// Has the place fetched from memory that says where the search for an address begins.
    fn prefetch_index(&self, address: A) {
        prefetch_index(&self.index, address.index());
    }

    /// Has that range fetched from memory at which the search for an address begins.
    fn prefetch(&self, address: A) {
        let (first, last) = self.near(address);
        prefetch_index(&*self.starts, first.midpoint(last));
    }

    /// The number of the range in which an address lies.
    fn number(&self, address: A) -> u32 {
        let (first, last) = self.near(address);
        let near = self.starts.get(first..=last).unwrap_or_default();
        let after = near.partition_point(|start| A::of(*start).0 <= address);
        near.get(after.saturating_sub(1)).map_or(0, |start| A::of(*start).1)
    }
}

/// Numbers by address, of both families. IPv4 addresses that come mapped into IPv6 are IPv4 addresses here.
#[derive(Debug)]
pub(super) struct NumbersByAddress {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// The numbers of networks while they come together.
#[derive(Debug, Default)]
pub(super) struct Collected {
    v4: Vec<Network<u32>>,
    v6: Vec<Network<u128>>,
}

impl Collected {
    /// One more network, which overlaps with none before. An IPv6 network in which all of `::/96` lies is one of IPv4
    /// addresses too, as tables in MaxMind's format have those there.
    pub(super) fn add(&mut self, network: IpNet, number: u32) {
        match network {
            IpNet::V4(network) => {
                self.v4.push((network.network().to_bits(), network.broadcast().to_bits(), number));
            }
            IpNet::V6(network) => {
                if network.prefix_len() <= 96 && network.network().is_unspecified() {
                    self.v4.push((0, u32::MAX, number));
                }
                self.v6.push((network.network().to_bits(), network.broadcast().to_bits(), number));
            }
        }
    }

    /// All of them, ready for look-ups.
    pub(super) fn finish(self) -> NumbersByAddress {
        NumbersByAddress { v4: Ranges::new(self.v4), v6: Ranges::new(self.v6) }
    }
}

impl NumbersByAddress {
    /// Has what [`NumbersByAddress::prefetch`] will need fetched from memory, and does not wait for it.
    pub(super) fn prefetch_index(&self, address: IpAddr) {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.prefetch_index(address.to_bits()),
            IpAddr::V6(address) => self.v6.prefetch_index(address.to_bits()),
        }
    }

    /// Has what [`NumbersByAddress::number`] will need fetched from memory, and does not wait for it.
    pub(super) fn prefetch(&self, address: IpAddr) {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.prefetch(address.to_bits()),
            IpAddr::V6(address) => self.v6.prefetch(address.to_bits()),
        }
    }

    /// The number of an address; nothing where it has none.
    pub(super) fn number(&self, address: IpAddr) -> Option<u32> {
        let number = match address.to_canonical() {
            IpAddr::V4(address) => self.v4.number(address.to_bits()),
            IpAddr::V6(address) => self.v6.number(address.to_bits()),
        };
        (number != 0).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(networks: &[(&str, u32)]) -> NumbersByAddress {
        let mut collected = Collected::default();
        for (network, number) in networks {
            collected.add(network.parse().expect("a network"), *number);
        }
        collected.finish()
    }

    fn ask(numbers: &NumbersByAddress, address: &str) -> Option<u32> {
        numbers.number(address.parse().expect("an address"))
    }

    #[test]
    fn nothing_is_known_of_no_networks() {
        let none = numbers(&[]);
        for address in ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
            assert_eq!(ask(&none, address), None, "{address}");
        }
    }

    #[test]
    fn ranges_end_where_their_networks_end() {
        let some = numbers(&[
            ("255.255.255.0/24", 9),
            ("0.0.0.0/32", 1),
            ("1.2.255.0/24", 2),
            ("1.3.0.0/24", 2),
            ("1.3.1.0/24", 3),
            ("ffff::/16", 7),
            ("2001:db8::/32", 8),
        ]);
        for (address, number) in [
            ("0.0.0.0", Some(1)),
            ("0.0.0.1", None),
            ("1.2.254.255", None),
            ("1.2.255.0", Some(2)),
            ("1.3.0.255", Some(2)),
            ("1.3.1.0", Some(3)),
            ("1.3.2.0", None),
            ("255.255.254.255", None),
            ("255.255.255.255", Some(9)),
            ("::ffff:1.3.1.9", Some(3)),
            ("2001:db7:ffff::1", None),
            ("2001:db8::", Some(8)),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Some(8)),
            ("2001:db9::", None),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some(7)),
        ] {
            assert_eq!(ask(&some, address), number, "{address}");
        }
    }

    #[test]
    fn a_network_around_all_of_ipv4_holds_it() {
        let all = numbers(&[("::/1", 5)]);
        assert_eq!(
            (ask(&all, "203.0.113.9"), ask(&all, "2001:db8::1"), ask(&all, "ffff::")),
            (Some(5), Some(5), None)
        );
    }

    proptest! {
        // Every case makes two indexes of 65,536 entries, which takes a debug build its time.
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_look_up_finds_what_a_search_of_all_networks_finds(
            bases in prop::collection::btree_map(any::<u8>(), (16_u8..=32, 0_u32..4), 0..40),
            addresses in prop::collection::vec((any::<u8>(), any::<u32>()), 1..40),
        ) {
            // One network each in another /8: they do not overlap.
            let networks: Vec<(ipnet::Ipv4Net, u32)> = bases
                .into_iter()
                .map(|(first, (length, number))| {
                    let base = u32::from(first) << 24 | 0x00fe_dcba;
                    (ipnet::Ipv4Net::new(base.into(), length).expect("a length").trunc(), number)
                })
                .collect();
            let mut collected = Collected::default();
            for (network, number) in &networks {
                collected.add((*network).into(), *number);
            }
            let numbers = collected.finish();
            let near = networks.iter().flat_map(|(network, _)| {
                let (first, last) = (network.network().to_bits(), network.broadcast().to_bits());
                [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
            });
            let far = addresses.iter().map(|(first, rest)| u32::from(*first) << 24 | rest >> 8);
            for address in near.chain(far) {
                let address = std::net::Ipv4Addr::from_bits(address);
                let found = networks.iter().find(|(network, _)| network.contains(&address));
                let number = found.map(|(_, number)| *number).filter(|number| *number != 0);
                prop_assert_eq!(numbers.number(address.into()), number, "{}", address);
            }
        }
    }
}
