//! What a check found wrong, named as far as anybody reads on, and counted beyond.

use crate::{client::answer::harmless, results::AuditCheck};

/// Findings that are named; the others are counted.
const SHOWN_MAX: usize = 10;

/// What one check found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    shown: Vec<String>,
    more: u64,
}

impl Findings {
    /// Adds one; its words are made only if they will be shown.
    pub(super) fn add(&mut self, words: impl FnOnce() -> String) {
        if self.shown.len() < SHOWN_MAX {
            // A claim's id is whatever the service says.
            self.shown.push(harmless(words().chars()));
        } else {
            self.more += 1;
        }
    }

    /// The check that holds if nothing was found; then `otherwise` is its detail.
    pub(super) fn into_check(
        self,
        id: &str,
        promise: &str,
        compared: String,
        otherwise: String,
    ) -> AuditCheck {
        let ok = self.shown.is_empty();
        let detail = if ok { otherwise } else { joined(&self.shown, self.more) };
        AuditCheck { id: id.to_owned(), promise: promise.to_owned(), compared, ok, detail }
    }
}

/// All of these in one text, the first by name and the others counted.
pub(super) fn list(parts: impl IntoIterator<Item = String>) -> String {
    let mut list = Findings::default();
    for part in parts {
        list.add(|| part);
    }
    joined(&list.shown, list.more)
}

fn joined(shown: &[String], more: u64) -> String {
    let text = shown.join("; ");
    if more > 0 {
        return format!("{text}; and {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_named_and_the_rest_counted() {
        let mut found = Findings::default();
        for n in 1..=12 {
            found.add(|| format!("no {n}"));
        }
        let check = found.into_check("c", "p", "a with b".into(), "fine".into());
        assert!(!check.ok);
        assert!(check.detail.starts_with("no 1; no 2; "), "{}", check.detail);
        assert!(check.detail.ends_with("no 10; and 2 more"), "{}", check.detail);
        let mut found = Findings::default();
        found.add(|| "clm_\x1b[2J".into());
        assert_eq!(found.into_check("c", "p", String::new(), String::new()).detail, "clm_\u{fffd}[2J");
        let check = Findings::default().into_check("c", "p", "a with b".into(), "fine".into());
        assert_eq!((check.ok, check.detail.as_str()), (true, "fine"));
    }
}
