//! The colour of each kind of answer: the same in every chart and bar of a page.

use crate::results::{CountResult, kind_name};

/// Colours of one family, as names of CSS variables; a family that is used up starts again.
const fn family(status: u16) -> &'static [&'static str] {
    match status {
        201 => &["granted"],
        100..=299 => &["again"],
        410 => &["gone", "gone-2"],
        409 => &["limit"],
        425 => &["early"],
        429 => &["busy"],
        401 | 403 => &["denied", "denied-2"],
        500..=599 => &["failed", "failed-2", "failed-3"],
        _ => &["other", "other-2"],
    }
}

/// Which colour stands for which kind of answer.
pub(crate) struct Palette(Vec<(String, &'static str)>);

impl Palette {
    /// The colours of these kinds of answers, the same whatever their order of frequency is.
    pub(crate) fn new(counts: &[CountResult]) -> Self {
        let mut kinds: Vec<_> = counts.iter().map(|count| (count.status, count.code.as_str())).collect();
        kinds.sort_unstable();
        let mut colors: Vec<(String, &'static str)> = Vec::with_capacity(kinds.len());
        for (status, code) in kinds {
            let family = family(status);
            let used = colors.iter().filter(|(_, color)| family.contains(color)).count();
            let color = family.iter().cycle().nth(used % family.len().max(1)).copied().unwrap_or("other");
            colors.push((kind_name(status, code), color));
        }
        Self(colors)
    }

    /// The colour of a kind, as in `410 sold_out`.
    pub(crate) fn color(&self, kind: &str) -> &'static str {
        self.0.iter().find(|(known, _)| known == kind).map_or("other", |(_, color)| *color)
    }
}

/// What a kind of answer is called on a page.
pub(crate) fn label(status: u16, code: &str) -> String {
    match (status, code) {
        (201, "") => "201 granted".into(),
        (200, "") => "200 ok".into(),
        _ => kind_name(status, code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_one_family_are_told_apart() {
        let count = |status, code: &str| CountResult { status, code: code.into(), answers: 1 };
        let palette =
            Palette::new(&[count(503, "paused"), count(201, ""), count(503, "overloaded"), count(410, "x")]);
        assert_eq!(palette.color("201"), "granted");
        assert_eq!(palette.color("503 overloaded"), "failed");
        assert_eq!(palette.color("503 paused"), "failed-2");
        assert_eq!(palette.color("410 x"), "gone");
        assert_eq!(palette.color("never seen"), "other");
        assert_eq!([label(201, ""), label(410, "sold_out")], ["201 granted", "410 sold_out"]);
    }
}
