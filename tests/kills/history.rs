//! What the people of all rounds were told, and its comparison with the ledger.

use std::collections::HashMap;

use rand::RngExt;
use rand::rngs::StdRng;

use super::victims::Scene;
use crate::support::campaign::{DropFile, campaign};
use crate::support::crowd::{Crowd, Told};
use crate::support::ledger::{assert_numbered_and_unique, rows};
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// The drop of all rounds; its stock grows with each.
const DROP: &str = "kill-rush";
/// New people in each round, and new units for them: some go away empty-handed.
const PEOPLE_NEW: usize = 600;
const STOCK_NEW: u32 = 450;
/// People of earlier rounds who ask again, holders and others.
const PEOPLE_AGAIN: usize = 40;
/// Connections of the crowd.
pub(super) const CONNECTIONS: usize = 24;

/// The history of all rounds so far.
pub(super) struct History {
    drop: DropFile,
    stock: u32,
    people: Vec<String>,
    claims: HashMap<String, String>,
    crowd: Crowd,
}

impl History {
    /// Nobody has asked yet.
    pub(super) fn begin(scene: &Scene) -> Self {
        let crowd = Crowd::new(DROP, scene.service.mint(), scene.service.address());
        Self { drop: DropFile::open(DROP, 1), stock: 0, people: Vec::new(), claims: HashMap::new(), crowd }
    }

    /// The crowd that asks.
    pub(super) fn crowd(&self) -> &Crowd {
        &self.crowd
    }

    /// How many answers have come so far.
    pub(super) fn answers(&self) -> usize {
        self.crowd.answers()
    }

    /// How many people have a claim.
    pub(super) fn claimed(&self) -> usize {
        self.claims.len()
    }

    /// Puts new units on sale, and gives who comes for them: new people, and some who came before.
    pub(super) fn next_people(&mut self, scene: &Scene, round: u64, random: &mut StdRng) -> Vec<String> {
        self.stock += STOCK_NEW;
        scene.service.apply_ok(&campaign("kill-campaign", &[self.drop.clone().stock(self.stock)]));
        let new: Vec<_> = (0..PEOPLE_NEW).map(|n| format!("r{round}-p{n}")).collect();
        let mut people = new.clone();
        if !self.people.is_empty() {
            for _ in 0..PEOPLE_AGAIN {
                let person = &self.people[random.random_range(0..self.people.len())];
                people.insert(random.random_range(0..=people.len()), person.clone());
            }
        }
        self.people.extend(new);
        people
    }

    /// Waits until this many answers have come, over all rounds.
    pub(super) fn wait_answers(&self, count: usize) {
        wait_for(&format!("{count} answers"), PATIENCE, || (self.crowd.answers() >= count).then_some(()));
    }

    /// Notes what a round's people were told. Whoever had a claim must have been told of it again.
    pub(super) fn note(&mut self, told: HashMap<String, Told>) {
        for (person, told) in told {
            let before = self.claims.get(&person);
            match told {
                Told::Claimed(id) => {
                    assert!(before.is_none_or(|before| *before == id), "{person} has {before:?} and {id}");
                    self.claims.insert(person, id);
                }
                Told::SoldOut => assert_eq!(before, None, "{person} has a claim and was told sold out"),
            }
        }
    }

    /// Compares the drained ledger, and Redis, with what everybody was told.
    pub(super) fn assert_in_ledger(&self, scene: &Scene) {
        let rows = rows(&scene.service.data(), DROP);
        assert_numbered_and_unique(&rows);
        for row in &rows {
            // Everybody asked until there was an answer, so there is nobody who holds a claim unknowingly.
            assert_eq!(self.claims.get(&row.person), Some(&row.claim_id), "{row:?} is what its person knows");
        }
        assert_eq!(rows.len(), self.claims.len(), "every claim that anybody was told of has its row");
        let left = scene.service.redis_stock_left(DROP);
        assert_eq!(left + rows.len() as u64, u64::from(self.stock), "left and claimed are all there is");
        assert_eq!(left, 0, "more people than units came, so that all are gone");
    }
}
