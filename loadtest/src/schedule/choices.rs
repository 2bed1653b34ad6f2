//! What an arrival is, chosen by its number: which persona, which drop, which sort of ticket.
//!
//! A choice is a hash of (seed, purpose, number) and of nothing else, so it is the same on every thread and worker and
//! needs no state. The hash is the output function of `SplitMix64` (Steele, Lea and Flood, *Fast splittable
//! pseudorandom number generators*, OOPSLA 2014), whose steps by an odd constant make neighbouring numbers unlike.

use crate::scenario::{Behaviour, Scenario, TicketMix};

/// 2^64 divided by the golden ratio, made odd: the step of `SplitMix64`.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a ticket is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TicketSort {
    /// A good one.
    Valid,
    /// Signed with a key that nobody trusts.
    Forged,
    /// Good once, over now.
    Expired,
    /// For another drop.
    Foreign,
    /// No ticket at all.
    Missing,
}

impl TicketSort {
    /// In the order of [`TicketMix`]'s fields.
    const ALL: [Self; 5] = [Self::Valid, Self::Forged, Self::Expired, Self::Foreign, Self::Missing];
}

/// What choices are for; each purpose draws from numbers of its own.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Persona = 1,
    Drop = 2,
    Ticket = 3,
}

/// The choices of one scenario.
#[derive(Debug, Clone)]
pub struct Choices {
    seed: u64,
    personas: Weights,
    drops: Weights,
    /// By persona; none for those who always have good tickets.
    tickets: Vec<Option<Weights>>,
}

impl Choices {
    /// The choices of a checked scenario.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let tickets = scenario.personas.iter().map(|persona| match &persona.behaviour {
            Behaviour::Bot { tickets, .. } => {
                let TicketMix { valid, forged, expired, foreign, missing } = *tickets;
                Some(Weights::new([valid, forged, expired, foreign, missing]))
            }
            _ => None,
        });
        Self {
            seed: scenario.seed,
            personas: Weights::new(scenario.personas.iter().map(|persona| persona.weight)),
            drops: Weights::new(scenario.drops.iter().map(|drop| drop.weight)),
            tickets: tickets.collect(),
        }
    }

    /// The place of arrival `n`'s persona in the scenario.
    #[must_use]
    pub fn persona(&self, n: u64) -> usize {
        self.personas.pick(self.hash(Purpose::Persona, n, 0))
    }

    /// The place of arrival `n`'s drop in the scenario.
    #[must_use]
    pub fn drop(&self, n: u64) -> usize {
        self.drops.pick(self.hash(Purpose::Drop, n, 0))
    }

    /// The sort of ticket that arrival `n` sends with its `request`-th request (from 0).
    #[must_use]
    pub fn ticket_sort(&self, n: u64, request: u32) -> TicketSort {
        let Some(Some(mix)) = self.tickets.get(self.persona(n)) else {
            return TicketSort::Valid;
        };
        let sort = mix.pick(self.hash(Purpose::Ticket, n, request));
        TicketSort::ALL.get(sort).copied().unwrap_or(TicketSort::Valid)
    }

    fn hash(&self, purpose: Purpose, n: u64, request: u32) -> u64 {
        let stream = mixed(self.seed.wrapping_add(STEP.wrapping_mul(purpose as u64)));
        let one = mixed(stream.wrapping_add(STEP.wrapping_mul(n.wrapping_add(1))));
        if request == 0 { one } else { mixed(one.wrapping_add(STEP.wrapping_mul(u64::from(request)))) }
    }
}

/// The output function of `SplitMix64`: each bit of the input moves every bit of the output.
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Weights as running sums.
#[derive(Debug, Clone)]
struct Weights {
    sums: Vec<u64>,
    total: u64,
}

impl Weights {
    fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let mut total = 0;
        let sum = |weight| {
            total += u64::from(weight);
            total
        };
        let sums = weights.into_iter().map(sum).collect();
        Self { sums, total }
    }

    /// The place that a hash falls on; a place without weight is never hit.
    fn pick(&self, hash: u64) -> usize {
        if self.sums.len() == 1 {
            return 0;
        }
        let scaled = (u128::from(hash) * u128::from(self.total)) >> 64;
        self.sums.partition_point(|sum| u128::from(*sum) <= scaled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Arrivals, Connections, DropShare, Persona, Service, Tickets};

    fn scenario(seed: u64) -> Scenario {
        let drop = |id: &str, weight| DropShare { id: id.into(), weight };
        let mix = TicketMix { valid: 5, forged: 3, expired: 0, foreign: 1, missing: 1 };
        let bot = Behaviour::Bot { requests: 4, addresses: Vec::new(), tickets: mix };
        Scenario {
            name: "choices".into(),
            about: String::new(),
            seed,
            service: Service::default(),
            drops: vec![drop("a", 6), drop("b", 0), drop("c", 3), drop("d", 1)],
            arrivals: Arrivals::Closed { duration: std::time::Duration::from_secs(1), people: None },
            connections: Connections::default(),
            tickets: Tickets::File { path: "tickets".into(), skip: 0, uses: None, repeat: false },
            personas: vec![
                Persona { weight: 3, ..Persona::honest() },
                Persona { weight: 1, behaviour: bot, ..Persona::honest() },
            ],
            thresholds: Vec::new(),
        }
    }

    fn shares<const KINDS: usize>(choose: impl Fn(u64) -> usize) -> [f64; KINDS] {
        let mut counts = [0.0; KINDS];
        for n in 0..200_000 {
            counts[choose(n)] += 1.0 / 200_000.0;
        }
        counts
    }

    fn near(shares: &[f64], expected: &[f64]) {
        // Five standard deviations of a share of 200,000.
        let far = shares.iter().zip(expected).find(|(share, expected)| (**share - **expected).abs() > 0.006);
        assert!(shares.len() == expected.len() && far.is_none(), "{shares:?} are not {expected:?}");
    }

    #[test]
    fn shares_follow_the_weights() {
        let choices = Choices::new(&scenario(3));
        near(&shares::<2>(|n| choices.persona(n)), &[0.75, 0.25]);
        let drops = shares::<4>(|n| choices.drop(n));
        near(&drops, &[0.6, 0.0, 0.3, 0.1]);
        assert!(drops[1] == 0.0, "a drop without weight is never chosen");
    }

    #[test]
    fn choices_do_not_depend_on_each_other() {
        let choices = Choices::new(&scenario(3));
        let both = shares::<8>(|n| choices.persona(n) * 4 + choices.drop(n));
        near(&both, &[0.45, 0.0, 0.225, 0.075, 0.15, 0.0, 0.075, 0.025]);
    }

    #[test]
    fn only_bots_mix_their_tickets_anew_with_each_request() {
        let choices = Choices::new(&scenario(3));
        let place = |sort| TicketSort::ALL.iter().position(|known| *known == sort).unwrap();
        for request in 0..3 {
            let sorts = shares::<5>(|n| match choices.persona(n) {
                0 => {
                    assert_eq!(choices.ticket_sort(n, request), TicketSort::Valid);
                    0
                }
                _ => place(choices.ticket_sort(n, request)),
            });
            near(&sorts, &[0.875, 0.075, 0.0, 0.025, 0.025]);
        }
        let bot = (0..1_000).find(|n| choices.persona(*n) == 1).unwrap();
        let sorts: std::collections::HashSet<_> =
            (0..100).map(|request| choices.ticket_sort(bot, request)).collect();
        assert_eq!(sorts.len(), 4, "one bot's requests differ");
    }

    #[test]
    fn the_seed_decides_everything() {
        let of = |seed| {
            let choices = Choices::new(&scenario(seed));
            (0..1_000)
                .map(|n| (choices.persona(n), choices.drop(n), choices.ticket_sort(n, 1)))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // The first outputs of SplitMix64 for the seed 1234567, as its reference implementation prints them.
        let outputs: Vec<u64> =
            (1..=3).map(|n| mixed(1_234_567_u64.wrapping_add(STEP.wrapping_mul(n)))).collect();
        assert_eq!(
            outputs,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }
}
