//! What is kept of a decision of staff: why, who made it, and by what it is found again elsewhere.
//!
//! Owns the text that stands with a step in the ledger, under the audit chain.

use serde::{Deserialize, Serialize};

use crate::domain::access::Actor;

/// Kept as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    /// Why.
    pub(super) reason: String,
    /// A number of a bank, a file, a case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<String>,
    /// Who.
    pub(super) by: Actor,
    /// Who else, where two persons had to say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) also: Option<Actor>,
}

impl Decision {
    /// The text to keep.
    pub(super) fn to_text(&self) -> Result<String, String> {
        serde_json::to_string(self).map_err(|error| error.to_string())
    }

    /// Who made it: both, where two did.
    pub(super) fn made_by(&self) -> String {
        match &self.also {
            Some(also) => format!("{}, {also}", self.by),
            None => self.by.to_string(),
        }
    }

    /// What is kept with a step; nothing where that was no decision of staff.
    pub(super) fn read(detail: Option<&str>) -> Option<Self> {
        serde_json::from_str(detail?).ok()
    }
}

/// A text from outside without blanks around it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn checked(name: &str, text: &str, bytes_max: usize) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > bytes_max || text.chars().any(char::is_control) {
        return Err(format!("{name}: must have 1 to {bytes_max} bytes and no control characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_read_back_and_other_details_are_none() {
        let by = Actor { key: Some("01".to_owned()), name: "Ann".to_owned() };
        let made = Decision { reason: "黄牛".to_owned(), reference: None, by, also: None };
        let text = made.to_text().unwrap();
        assert_eq!(
            (Decision::read(Some(&text)), made.made_by()),
            (Some(made.clone()), "Ann (crk_01)".to_owned())
        );
        let both = Decision { also: Some(Actor::admin_token()), ..made };
        assert_eq!(both.made_by(), "Ann (crk_01), admin token");
        for other in [None, Some(""), Some("a broker's"), Some(r#"{"order_id":"o"}"#)] {
            assert_eq!(Decision::read(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_text_says_something() {
        assert_eq!(checked("reason", "  why ", 3), Ok("why".to_owned()));
        for wrong in ["", "  ", "long", "a\nb"] {
            assert!(checked("reason", wrong, 3).unwrap_err().starts_with("reason: must have 1 to 3"));
        }
    }
}
