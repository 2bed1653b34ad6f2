//! The Prometheus text format, as much of it as gauges and counters need.
//!
//! Owns the reading of `/metrics` and knows no metric's name. What is no sample is passed over: a service that
//! exposes more, or newer, things is read all the same.

/// The value of a metric, added up over its series; `None` if the text has no such sample.
pub(crate) fn sum(text: &str, name: &str) -> Option<f64> {
    samples(text, name).map(|sample| sample.value).fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

/// The value of the series with this label.
pub(crate) fn labelled(text: &str, name: &str, label: &str, wanted: &str) -> Option<f64> {
    samples(text, name)
        .find(|sample| label_of(sample.labels, label).as_deref() == Some(wanted))
        .map(|s| s.value)
}

struct Sample<'text> {
    /// What stands between the braces.
    labels: &'text str,
    value: f64,
}

fn samples<'text>(text: &'text str, name: &str) -> impl Iterator<Item = Sample<'text>> {
    text.lines().filter_map(move |line| sample(line.trim_start().strip_prefix(name)?))
}

/// Reads what follows the name: `{labels} value timestamp`, braces and timestamp being optional.
fn sample(rest: &str) -> Option<Sample<'_>> {
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => {
            let end = end_of_labels(rest)?;
            (rest.get(..end)?, rest.get(end + 1..)?)
        }
        // Without the blank it is another metric whose name starts alike.
        None if rest.starts_with([' ', '\t']) => ("", rest),
        None => return None,
    };
    let value: f64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
    value.is_finite().then_some(Sample { labels, value })
}

/// Where the closing brace stands; braces within a quoted value do not count.
fn end_of_labels(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// The value of one label among `a="x",b="y"`, unescaped.
fn label_of(labels: &str, name: &str) -> Option<String> {
    let mut rest = labels;
    loop {
        let (found, after) = rest.split_once('=')?;
        let mut value = String::new();
        let mut letters = after.trim_start().strip_prefix('"')?.chars();
        loop {
            match letters.next()? {
                '"' => break,
                '\\' => match letters.next()? {
                    'n' => value.push('\n'),
                    letter => value.push(letter),
                },
                letter => value.push(letter),
            }
        }
        if found.trim_matches([' ', ',']) == name {
            return Some(value);
        }
        rest = letters.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# HELP queue_claims Claims that wait.
# TYPE queue_claims gauge
queue_claims{core="0"} 3
queue_claims{core="1"} 4 1700000000000
queue_claims_max 99
lag_seconds 0.25
broken{ 1
worse{a="b"}
nothing NaN
far +Inf
left{drop="odd \"}\" name",kind = "a"} 7
left{kind="b", drop="d1"} 12345
"#;

    #[test]
    fn sums_over_series_and_only_of_the_very_name() {
        assert_eq!(sum(TEXT, "queue_claims"), Some(7.0));
        assert_eq!(sum(TEXT, "lag_seconds"), Some(0.25));
        assert_eq!(sum(TEXT, "queue"), None);
        assert_eq!(sum(TEXT, "absent"), None);
        assert_eq!(sum("", "queue_claims"), None);
    }

    #[test]
    fn labels_are_found_in_any_order_and_unescaped() {
        assert_eq!(labelled(TEXT, "left", "drop", "d1"), Some(12_345.0));
        assert_eq!(labelled(TEXT, "left", "drop", "odd \"}\" name"), Some(7.0));
        assert_eq!(labelled(TEXT, "left", "drop", "d2"), None);
        assert_eq!(labelled(TEXT, "left", "shop", "d1"), None);
    }

    #[test]
    fn what_is_no_number_is_passed_over() {
        for name in ["broken", "worse", "nothing", "far"] {
            assert_eq!(sum(TEXT, name), None, "{name}");
        }
    }
}
