//! Numbers with the words that they count.

/// A number with what it counts, which is called otherwise where it is one: `counted(1, "claim", "claims")` is `1 claim`.
#[must_use]
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// [`counted`] for what is counted in memory.
#[must_use]
pub fn counted_of(count: usize, one: &str, many: &str) -> String {
    counted(u64::try_from(count).unwrap_or(u64::MAX), one, many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_called_otherwise() {
        assert_eq!(
            [0, 1, 2].map(|n| counted(n, "entry is", "entries are")),
            ["0 entries are", "1 entry is", "2 entries are"]
        );
        assert_eq!(counted_of(1, "drop", "drops"), "1 drop");
    }
}
