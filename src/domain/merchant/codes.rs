//! Industries and regions: the national codes, a list of one's own, and which code covers which.

use std::collections::BTreeSet;

/// The sections of GB/T 4754-2017, each with its first and last division.
/// Source: 国民经济行业分类, <https://openstd.samr.gov.cn/> (GB/T 4754-2017).
const SECTIONS: [(char, u32, u32); 20] = [
    ('A', 1, 5),
    ('B', 6, 12),
    ('C', 13, 43),
    ('D', 44, 46),
    ('E', 47, 50),
    ('F', 51, 52),
    ('G', 53, 60),
    ('H', 61, 62),
    ('I', 63, 65),
    ('J', 66, 69),
    ('K', 70, 70),
    ('L', 71, 72),
    ('M', 73, 75),
    ('N', 76, 79),
    ('O', 80, 82),
    ('P', 83, 83),
    ('Q', 84, 85),
    ('R', 86, 90),
    ('S', 91, 96),
    ('T', 97, 97),
];

/// The provinces of GB/T 2260, by the two digits with which their codes begin.
/// Source: 中华人民共和国行政区划代码 (GB/T 2260-2007).
const PROVINCES: [u32; 34] = [
    11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54,
    61, 62, 63, 64, 65, 71, 81, 82,
];

/// The categories that a merchant may be of: codes of GB/T 4754, and words of one's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Categories(BTreeSet<String>);

impl Categories {
    /// The codes, and these words.
    #[must_use]
    pub fn with(words: &[String]) -> Self {
        Self(words.iter().cloned().collect())
    }

    /// Whether a merchant may be of this category.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, category: &str) -> Result<(), String> {
        if is_industry(category) || self.0.contains(category) {
            return Ok(());
        }
        Err("must be a code of GB/T 4754, as in F5211 or 62, or a word of backoffice.categories".to_owned())
    }
}

/// Whether a text is a code of GB/T 4754: a section's letter, or two to four digits that begin with a division, after
/// its section's letter or alone.
fn is_industry(code: &str) -> bool {
    let letter = code.chars().next().filter(char::is_ascii_uppercase);
    let digits = code.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or(code);
    if digits.is_empty() {
        return letter.is_some_and(|letter| SECTIONS.iter().any(|(known, ..)| *known == letter));
    }
    if !(2..=4).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let division = digits.get(..2).and_then(|two| two.parse::<u32>().ok()).unwrap_or(0);
    let section = SECTIONS.iter().find(|(_, first, last)| (*first..=*last).contains(&division));
    section.is_some_and(|(known, ..)| letter.is_none_or(|letter| letter == *known))
}

/// Whether a text is a code of GB/T 2260: six digits that begin with a province.
///
/// # Errors
/// What is wrong with it.
pub fn check_region(code: &str) -> Result<(), String> {
    let six = code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit());
    let province = code.get(..2).and_then(|two| two.parse().ok()).unwrap_or(0);
    if six && PROVINCES.contains(&province) {
        return Ok(());
    }
    Err("must be a code of GB/T 2260, six digits as in 530102".to_owned())
}

/// Whether a rule of a campaign covers a merchant's category or region: it is the same, or it is a code of which the
/// other is a part. `53`, `530000` and `5301` cover `530102`; `F`, `52` and `F52` cover `F5211`.
#[must_use]
pub fn covers(rule: &str, value: &str) -> bool {
    if rule == value {
        return true;
    }
    let bare = |code: &str| code.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or(code).to_owned();
    if rule.len() == 1 && rule.chars().all(|c| c.is_ascii_uppercase()) {
        return is_industry(value) && section_of(value) == rule.chars().next();
    }
    if rule.len() == 6 && check_region(rule).is_ok() {
        // A province ends in four zeros, a city in two.
        let stem = rule.trim_end_matches("00");
        return check_region(value).is_ok() && value.starts_with(stem) && stem.len() >= 2;
    }
    if is_industry(rule) && is_industry(value) {
        return bare(value).starts_with(&bare(rule));
    }
    let digits = !rule.is_empty() && rule.len() < 6 && rule.bytes().all(|byte| byte.is_ascii_digit());
    digits && check_region(value).is_ok() && value.starts_with(rule)
}

fn section_of(code: &str) -> Option<char> {
    let digits = code.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or(code);
    let Some(division) = digits.get(..2).and_then(|two| two.parse::<u32>().ok()) else {
        return code.chars().next();
    };
    SECTIONS.iter().find(|(_, first, last)| (*first..=*last).contains(&division)).map(|(known, ..)| *known)
}
