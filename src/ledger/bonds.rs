//! Bonds: what a person is known by in a campaign, beside their account, belongs to whoever showed it first.
//!
//! Owns the requests and their outcomes, and how a row is named. Values come as keyed hashes; nothing here can tell what
//! they stand for.

use crate::domain::ids::{CampaignId, DropId};

/// A person, and what they are known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Where.
    pub campaign: CampaignId,
    /// Who, as in tickets.
    pub person: String,
    /// Phone, identity card, payment account and so on, each a keyed hash after its kind.
    pub dimensions: Vec<String>,
    /// Where a person may take part in one drop of the campaign at a time: which one it shall be.
    pub choice: Option<Choice>,
}

/// Which drop a person takes part in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The drop.
    pub drop: DropId,
    /// Drops that they may leave for it: over, and without a claim of theirs.
    pub may_leave: Vec<DropId>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// All of it is the person's, now or before.
    Theirs,
    /// This dimension, an index into the request's, is another person's.
    Anothers(usize),
    /// They take part in another drop.
    Elsewhere(String),
    /// There is no such campaign.
    NoCampaign,
}

impl Bind {
    /// The name under which a person's choice stands. No dimension begins like it.
    pub(super) fn choice_field(&self) -> String {
        format!("={}", self.person)
    }

    /// The rows that have to be added, given what stands under a name: (name, value). Or why nothing is.
    pub(super) fn rows(
        &self,
        stands: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<(String, String)>, Bound> {
        let mut rows = Vec::new();
        for (index, dimension) in self.dimensions.iter().enumerate() {
            match stands(dimension) {
                Some(person) if person != self.person => return Err(Bound::Anothers(index)),
                Some(_) => {}
                None if rows.iter().any(|(name, _)| name == dimension) => {}
                None => rows.push((dimension.clone(), self.person.clone())),
            }
        }
        if let Some(choice) = &self.choice {
            let field = self.choice_field();
            match stands(&field) {
                Some(drop) if drop == choice.drop.as_str() => {}
                Some(drop) if !choice.may_leave.iter().any(|left| left.as_str() == drop) => {
                    return Err(Bound::Elsewhere(drop));
                }
                _ => rows.push((field, choice.drop.to_string())),
            }
        }
        Ok(rows)
    }

    /// Every name that it is about.
    pub(super) fn fields(&self) -> impl Iterator<Item = String> {
        self.dimensions.iter().cloned().chain(self.choice.is_some().then(|| self.choice_field()))
    }
}
