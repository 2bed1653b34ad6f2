//! Claims as minters write them, read in one pass: what nearly every ticket of a rush says.
//!
//! Owns one form of JSON alone: an object without blanks, of texts without escapes and of whole numbers. Whatever else a
//! ticket may say is left to the JSON library, and what is read here reads the same there.

use memchr::memchr2;

use super::claims::{Claims, NumericDate, Text};

/// Digits of the longest number read here: it has no sign, no fraction, and fits many times over.
const DIGITS_MAX: usize = 15;

/// The claims in `json`, or nothing if it is written in another form, right or wrong.
pub(super) fn read(json: &str) -> Option<Claims<'_>> {
    // Control characters stand in no text. The least of all bytes is found with vector instructions.
    if json.bytes().min()? < b' ' {
        return None;
    }
    let mut claims = Claims::default();
    let mut rest = json.strip_prefix('{')?;
    loop {
        let (name, after) = text(rest)?;
        let value = after.strip_prefix(':')?;
        rest = match name {
            "sub" => take_text(&mut claims.sub, value)?,
            "drop" => take_text(&mut claims.drop, value)?,
            "jti" => take_text(&mut claims.jti, value)?,
            "dev" => take_text(&mut claims.dev, value)?,
            "region" => take_text(&mut claims.region, value)?,
            "exp" => take_date(&mut claims.exp, value)?,
            "nbf" => take_date(&mut claims.nbf, value)?,
            _ => text(value).map(|(_, after)| after).or_else(|| number(value).map(|(_, after)| after))?,
        };
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (rest == "}").then_some(claims),
        }
    }
}

/// Takes a text into a place that is still empty; gives what follows.
fn take_text<'a>(place: &mut Option<Text<'a>>, value: &'a str) -> Option<&'a str> {
    let (text, after) = text(value)?;
    place.replace(Text(text.into())).is_none().then_some(after)
}

/// Takes a date into a place that is still empty; gives what follows.
fn take_date<'a>(place: &mut Option<NumericDate>, value: &'a str) -> Option<&'a str> {
    let (seconds, after) = number(value)?;
    place.replace(NumericDate::from_seconds(seconds)?).is_none().then_some(after)
}

/// A text at the start, and what follows it.
fn text(json: &str) -> Option<(&str, &str)> {
    let inner = json.strip_prefix('"')?;
    let end = memchr2(b'"', b'\\', inner.as_bytes())?;
    Some((inner.get(..end)?, inner.get(end..)?.strip_prefix('"')?))
}

/// A whole number at the start, and what follows it.
fn number(json: &str) -> Option<(u64, &str)> {
    let (mut number, mut digits) = (0_u64, 0);
    for byte in json.bytes().take_while(u8::is_ascii_digit).take(DIGITS_MAX) {
        number = number * 10 + u64::from(byte - b'0');
        digits += 1;
    }
    let starts_well = digits == 1 || (digits > 1 && !json.starts_with('0'));
    // A longer one goes on with a digit, which nothing that may follow a number is.
    starts_well.then_some((number, json.get(digits..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_library(json: &str) -> Option<Claims<'_>> {
        serde_json::from_str(json).ok()
    }

    #[test]
    fn what_minters_write_is_read() {
        let json = r#"{"sub":"p-1","drop":"d-1","iat":0,"exp":1700000600,"nbf":1700000000,"jti":"j","region":"330100","dev":"h","iss":"券"}"#;
        let claims = read(json).expect("the usual form");
        assert_eq!(claims.nbf, Some(NumericDate(1_700_000_000_000)));
        assert_eq!(Some(claims), by_library(json));
    }

    #[test]
    fn other_forms_are_left_to_the_library() {
        for json in [
            "",
            "{",
            "{}",
            r#"{"sub":"a"} "#,
            r#"{ "sub":"a"}"#,
            r#"{"sub":"a",}"#,
            r#"{"sub":"a\u0062"}"#,
            r#"{"s\u0075b":"a"}"#,
            "{\"sub\":\"a\nb\"}",
            r#"{"sub":"a","sub":"b"}"#,
            r#"{"sub":1}"#,
            r#"{"sub":null}"#,
            r#"{"exp":01}"#,
            r#"{"exp":1.5}"#,
            r#"{"exp":1e3}"#,
            r#"{"exp":-1}"#,
            r#"{"exp":}"#,
            r#"{"exp":253402300800}"#,
            r#"{"exp":1,"exp":1}"#,
            r#"{"aud":["a"]}"#,
            r#"{"iat":1234567890123456}"#,
            r#"{"sub":"a"#,
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    /// Mostly what a minter writes, with something odd here and there.
    fn members() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec![
            "sub", "drop", "exp", "nbf", "jti", "dev", "region", "iat", "", "a\\u0062",
        ]);
        let value = prop_oneof![
            4 => r#""[ -~]{0,6}""#,
            4 => "[0-9]{1,13}",
            1 => prop::sample::select(vec!["null", "true", "{}", "[1]", "-1", "1.5", "1e3", "\"a\\n\"", "\"a\tb\"", "\"券\"", ""]).prop_map(str::to_owned),
        ];
        let member = (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        let separator = prop::sample::select(vec![",", ",", ",", ",", ", ", ",,", ""]);
        let ends = prop::sample::select(vec![
            ("{", "}"),
            ("{", "}"),
            ("{", "}"),
            (" {", "}"),
            ("{", "} "),
            ("[", "]"),
            ("{", ",}"),
            ("{", ""),
        ]);
        (prop::collection::vec(member, 0..6), separator, ends)
            .prop_map(|(members, separator, (start, end))| format!("{start}{}{end}", members.join(separator)))
    }

    proptest! {
        #[test]
        fn what_is_read_here_reads_the_same_in_the_library(json in members()) {
            if let Some(claims) = read(&json) {
                prop_assert_eq!(Some(claims), by_library(&json));
            }
        }
    }
}
