//! Regions of China as codes of GB/T 2260, and what ISO 3166 calls them.
//!
//! Owns the table of provinces. Pure.

/// The two letters of ISO 3166-2:CN (without `CN-`) and the first two digits of GB/T 2260.
/// Source: <https://www.iso.org/obp/ui/#iso:code:3166:CN>, which names both since 2017.
const PROVINCES: [(&str, &str); 34] = [
    ("AH", "34"),
    ("BJ", "11"),
    ("CQ", "50"),
    ("FJ", "35"),
    ("GD", "44"),
    ("GS", "62"),
    ("GX", "45"),
    ("GZ", "52"),
    ("HA", "41"),
    ("HB", "42"),
    ("HE", "13"),
    ("HI", "46"),
    ("HK", "81"),
    ("HL", "23"),
    ("HN", "43"),
    ("JL", "22"),
    ("JS", "32"),
    ("JX", "36"),
    ("LN", "21"),
    ("MO", "82"),
    ("NM", "15"),
    ("NX", "64"),
    ("QH", "63"),
    ("SC", "51"),
    ("SD", "37"),
    ("SH", "31"),
    ("SN", "61"),
    ("SX", "14"),
    ("TJ", "12"),
    ("TW", "71"),
    ("XJ", "65"),
    ("XZ", "54"),
    ("YN", "53"),
    ("ZJ", "33"),
];

/// The province of a subdivision of China: `YN` and `CN-YN`, or `53` and `CN-53` as before 2017, are `53`.
#[must_use]
pub fn province_of_subdivision(code: &str) -> Option<&'static str> {
    let code = code.strip_prefix("CN-").unwrap_or(code);
    let found = PROVINCES.iter().find(|(letters, digits)| *letters == code || *digits == code);
    found.map(|(_, digits)| *digits)
}

/// The code of what ISO 3166-1 lists by itself: `HK`, `MO` and `TW`.
#[must_use]
pub fn province_of_country(code: &str) -> Option<&'static str> {
    if matches!(code, "HK" | "MO" | "TW") { province_of_subdivision(code) } else { None }
}

/// Whether a text is a code of GB/T 2260, with or without what the statistics office adds to it, or how one begins: 1 to 12
/// digits.
#[must_use]
pub fn is_code(text: &str) -> bool {
    (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_province_has_letters_and_digits_of_its_own() {
        let letters: HashSet<_> = PROVINCES.iter().map(|(letters, _)| letters).collect();
        let digits: HashSet<_> = PROVINCES.iter().map(|(_, digits)| digits).collect();
        assert_eq!((letters.len(), digits.len()), (34, 34));
        // The digits count the provinces of each great region from one on.
        for (region, provinces) in [(1, 5), (2, 3), (3, 7), (4, 6), (5, 5), (6, 5), (7, 1), (8, 2)] {
            for province in 1..=provinces {
                // In the south-west they go on behind those of before 1997: Chongqing is 50, Sichuan 51.
                let code = if region == 5 { 49 + province } else { region * 10 + province };
                assert!(digits.contains(&code.to_string().as_str()), "{code}");
            }
        }
    }

    #[test]
    fn subdivisions_of_both_editions_are_known() {
        for (code, province) in
            [("YN", Some("53")), ("CN-YN", Some("53")), ("53", Some("53")), ("CN-11", Some("11"))]
        {
            assert_eq!(province_of_subdivision(code), province, "{code}");
        }
        for code in ["", "CN-", "CA", "99", "yn", "CN-CN-YN"] {
            assert_eq!(province_of_subdivision(code), None, "{code}");
        }
        assert_eq!((province_of_country("HK"), province_of_country("CN")), (Some("81"), None));
        assert_eq!(province_of_country("SD"), None, "Sudan is not Shandong");
    }

    #[test]
    fn codes_are_digits() {
        for (text, fits) in [("5", true), ("53", true), ("530102", true), ("530102001001", true), ("", false)]
        {
            assert_eq!(is_code(text), fits, "{text}");
        }
        assert!(!is_code("CN") && !is_code("5301020010011"));
    }
}
