//! What the people of all rounds were told, and its comparison with the ledger.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use rand::RngExt;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

use crate::scene::Scene;
use crate::support::campaign::{DropFile, campaign};
use crate::support::crowd::{Crowd, Told, Wish};
use crate::support::ledger::{assert_numbered_and_unique, rows};
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// The drop of all rounds; its stock grows with each.
const DROP: &str = "kill-rush";
/// New wishes in each round, and new units for them: some go away empty-handed.
const WISHES_NEW: usize = 600;
const STOCK_NEW: u32 = 450;
/// Wishes of earlier rounds that come again, granted and others.
const WISHES_AGAIN: usize = 40;
/// The idempotency keys of a person.
const KEYS: [&str; 2] = ["first", "second"];
/// Connections of the crowd.
pub(super) const CONNECTIONS: usize = 24;

/// How the drop is sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sale {
    /// One to a person, who is the key.
    OneEach,
    /// Two to a person, each with a key of its own.
    TwoEach,
}

impl Sale {
    /// A number of wishes of one round.
    fn wishes(self, round: u64) -> Vec<Wish> {
        let person = |n| format!("r{round}-p{n}");
        match self {
            Self::OneEach => (0..WISHES_NEW).map(|n| Wish::of(person(n))).collect(),
            Self::TwoEach => {
                let twice = |n| [Wish::keyed(person(n), KEYS[0]), Wish::keyed(person(n), KEYS[1])];
                (0..WISHES_NEW / 2).flat_map(twice).collect()
            }
        }
    }

    fn limit(self) -> u32 {
        match self {
            Self::OneEach => 1,
            Self::TwoEach => 2,
        }
    }
}

/// The history of all rounds so far.
pub(super) struct History {
    sale: Sale,
    drop: DropFile,
    stock: u32,
    wishes: Vec<Wish>,
    claims: HashMap<Wish, String>,
    crowd: Crowd,
}

impl History {
    /// Nobody has asked yet.
    pub(super) fn begin(scene: &Scene, sale: Sale) -> Self {
        let crowd = Crowd::new(DROP, scene.service.mint(), scene.service.address());
        let drop = DropFile::open(DROP, 1).limit(sale.limit());
        Self { sale, drop, stock: 0, wishes: Vec::new(), claims: HashMap::new(), crowd }
    }

    /// The crowd that asks.
    pub(super) fn crowd(&self) -> &Crowd {
        &self.crowd
    }

    /// How many answers have come so far.
    pub(super) fn answers(&self) -> usize {
        self.crowd.answers()
    }

    /// How many claims people know of.
    pub(super) fn claimed(&self) -> usize {
        self.claims.len()
    }

    /// Puts new units on sale, and gives who comes for them: new wishes, and some that came before.
    pub(super) fn next_wishes(&mut self, scene: &Scene, round: u64, random: &mut StdRng) -> Vec<Wish> {
        self.stock += STOCK_NEW;
        scene.service.apply_ok(&campaign("kill-campaign", &[self.drop.clone().stock(self.stock)]));
        let new = self.sale.wishes(round);
        let mut wishes = new.clone();
        if !self.wishes.is_empty() {
            for _ in 0..WISHES_AGAIN {
                let wish = &self.wishes[random.random_range(0..self.wishes.len())];
                wishes.insert(random.random_range(0..=wishes.len()), wish.clone());
            }
        }
        self.wishes.extend(new);
        wishes
    }

    /// Waits until this many answers have come, over all rounds.
    pub(super) fn wait_answers(&self, count: usize) {
        wait_for(&format!("{count} answers"), PATIENCE, || (self.crowd.answers() >= count).then_some(()));
    }

    /// Notes what a round's people were told. Whoever had a claim must have been told of it again.
    pub(super) fn note(&mut self, told: HashMap<Wish, Told>) {
        for (wish, told) in told {
            let before = self.claims.get(&wish);
            match told {
                Told::Claimed(id) => {
                    assert!(before.is_none_or(|before| *before == id), "{wish:?} has {before:?} and {id}");
                    self.claims.insert(wish, id);
                }
                Told::SoldOut => assert_eq!(before, None, "{wish:?} has a claim and was told sold out"),
            }
        }
    }

    /// Compares the drained ledger, and Redis, with what everybody was told.
    pub(super) fn assert_in_ledger(&self, scene: &Scene) {
        let rows = rows(&scene.service.data(), DROP);
        assert_numbered_and_unique(&rows);
        for row in &rows {
            let key =
                row.mark.as_ref().map(|mark| *KEYS.iter().find(|key| mark_of(key) == *mark).expect("ours"));
            // Everybody asked until there was an answer, so there is nobody who holds a claim unknowingly.
            let known = self.claims.get(&Wish { person: row.person.clone(), key });
            assert_eq!(known, Some(&row.claim_id), "{row:?} is what its person knows");
        }
        assert_eq!(rows.len(), self.claims.len(), "every claim that anybody was told of has its row");
        let left = scene.service.redis_stock_left(DROP);
        assert_eq!(left + rows.len() as u64, u64::from(self.stock), "left and claimed are all there is");
        assert_eq!(left, 0, "more people than units came, so that all are gone");
    }
}

/// An idempotency key as the ledger keeps it: the first eight bytes of its SHA-256 in hex.
fn mark_of(key: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(key)[..8])
}
