//! Which series an expression of Prometheus asks for.

/// Words of the language, and labels by which is grouped.
fn is_metric(word: &str, selected: bool) -> bool {
    word.contains(':')
        || ["claimrush_", "process_"].iter().any(|start| word.starts_with(start))
        || selected && ["up", "ALERTS"].contains(&word)
}

/// The name of every metric in an expression, with its selector in braces, where there is one.
pub(crate) fn selectors(expr: &str) -> Vec<(String, String)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = expr;
    while let Some(start) = rest.find(|c: char| is_word(c) || c == '"') {
        rest = &rest[start..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.find('"').map_or("", |end| &text[end + 1..]);
            continue;
        }
        let (word, after) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
        rest = after;
        let braces = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')).map(|(inner, _)| inner);
        if is_metric(word, braces.is_some()) {
            found.push((word.to_owned(), braces.map(|inner| format!("{{{inner}}}")).unwrap_or_default()));
            rest = braces.map_or(rest, |inner| &rest[inner.len() + 2..]);
        }
    }
    found
}

#[test]
fn selectors_are_found() {
    let found = selectors(
        r#"sum by (job) (rate(claimrush_a_total{code="x:y"}[1m])) / on (job) job:b:rate1m > up{job="c"}"#,
    );
    let names: Vec<_> = found.iter().map(|(name, braces)| (name.as_str(), braces.as_str())).collect();
    assert_eq!(
        names,
        [("claimrush_a_total", r#"{code="x:y"}"#), ("job:b:rate1m", ""), ("up", r#"{job="c"}"#)]
    );
}
