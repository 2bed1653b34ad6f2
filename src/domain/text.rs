//! Taking long texts apart at an ASCII character, by vector instructions: `str::split_once` goes byte by byte, which tells in
//! what every claim goes through.

use memchr::{memchr, memrchr};

/// What stands before the first `separator`, which is an ASCII character, and what stands after it; `None` without one.
pub(crate) fn split_once(text: &str, separator: u8) -> Option<(&str, &str)> {
    without(text, memchr(separator, text.as_bytes())?)
}

/// The same at the last `separator`.
pub(crate) fn rsplit_once(text: &str, separator: u8) -> Option<(&str, &str)> {
    without(text, memrchr(separator, text.as_bytes())?)
}

/// The pieces between separators, of which there is one at least.
pub(crate) fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (piece, after) =
            split_once(text, separator).map_or((text, None), |(piece, after)| (piece, Some(after)));
        rest = after;
        Some(piece)
    })
}

/// What stands before and after the character at `at`.
fn without(text: &str, at: usize) -> Option<(&str, &str)> {
    Some((text.get(..at)?, text.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_taken_apart_as_the_standard_library_does() {
        let long = "x".repeat(300);
        let texts =
            ["", ".", "a", "a.", ".a", "a.b", "a..b", "券.码", "a.b.c", &format!("{long}.{long}.{long}")];
        for text in texts {
            assert_eq!(split_once(text, b'.'), text.split_once('.'), "{text:?}");
            assert_eq!(rsplit_once(text, b'.'), text.rsplit_once('.'), "{text:?}");
            assert!(split(text, b'.').eq(text.split('.')), "{text:?}");
        }
    }
}
