//! By which rules a ledger is written, beside the form of its tables.
//!
//! Owns their number. Two programs may know the same tables and not the same words in them: an older one that opened what a newer
//! one has written would call it broken, or write what the newer one holds for impossible. So the ledger says by which rules it is
//! written; a program brings it to its own when it opens it for writing, and opens none of later rules, not even for reading.
//!
//! The number goes up with whatever an older program cannot read, or would break: a word in a table or a record, a field of a
//! document, what has to add up. It never goes down. A new form of the tables is a schema version of its own.

use super::LedgerError;

/// The rules of this program.
pub(super) const RULES: u32 = 2;

/// By which rules a ledger is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) rules: u32,
    /// The version that brought them.
    pub(super) by: String,
}

impl Written {
    /// The version that brings a ledger to the present rules.
    pub(super) const BY: &'static str = env!("CARGO_PKG_VERSION");

    /// Whether the ledger has the present rules, and is not to be brought to them first.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`] when it has later ones.
    pub(super) fn is_present(&self) -> Result<bool, LedgerError> {
        if self.rules > RULES {
            let Self { rules, by } = self;
            return Err(LedgerError::Corrupt(format!(
                "it is written by rules {rules} of claimrush {by}, this program knows {RULES}: use a newer claimrush"
            )));
        }
        Ok(self.rules == RULES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::life::{State, Step};
    use crate::ledger::chain::Content;

    /// The words that stand in tables and records under these rules. Who adds one, or takes one away, raises [`RULES`].
    const WORDS: &str = "issued frozen redeemed lost expired void held confirmed cancelled lapsed redeemed reversed \
                         reversed_late refunded refunded_part refunded_late expired frozen released released_late voided \
                         recovered confirmed cancelled lapsed late_payment payment_refunded settled repaid moved contra campaign \
                         state ended loaded rebuilt bonds receipt document steps period journal";

    #[test]
    fn the_words_of_the_ledger_are_those_of_its_rules() {
        let states = State::ALL.iter().map(|state| state.as_str());
        let steps = Step::ALL.iter().map(|step| step.as_str());
        let refused =
            serde_json::from_str::<Content>(r#"{"kind":"?","payload":{}}"#).unwrap_err().to_string();
        // "unknown variant `?`, expected one of `campaign`, `state`, …"
        let kinds = refused.split('`').skip(3).step_by(2);
        let words = states.chain(steps).chain(kinds).collect::<Vec<_>>().join(" ");
        assert_eq!((RULES, words.as_str()), (2, WORDS));
    }

    #[test]
    fn later_rules_are_refused_by_name() {
        let written = |rules| Written { rules, by: "9.8.7".to_owned() };
        assert!(written(RULES).is_present().unwrap());
        assert!(!written(RULES - 1).is_present().unwrap());
        let refused = written(RULES + 1).is_present().unwrap_err().to_string();
        assert!(
            refused.ends_with(
                "written by rules 3 of claimrush 9.8.7, this program knows 2: use a newer claimrush"
            )
        );
    }
}
