//! In which line of a text something stands, as an editor counts them: whatever ends a line, LF, CR LF or CR alone.

/// Counts lines while it goes along a text, once.
pub(super) struct LineCount<'t> {
    /// What is still to come.
    rest: &'t [u8],
    /// Where that begins.
    at: u64,
    /// Its line, from 1.
    line: u64,
}

impl<'t> LineCount<'t> {
    /// At the beginning.
    pub(super) fn new(text: &'t str) -> Self {
        Self { rest: text.as_bytes(), at: 0, line: 1 }
    }

    /// The line of the first byte from `byte` on that ends no line. Places come in their order.
    pub(super) fn line_from(&mut self, byte: u64) -> u64 {
        while let Some((first, rest)) = self.rest.split_first() {
            let ends = matches!(first, b'\r' | b'\n');
            if self.at >= byte && !ends {
                break;
            }
            // Of CR LF the LF counts.
            let is_half = *first == b'\r' && rest.first() == Some(&b'\n');
            self.line += u64::from(ends && !is_half);
            self.rest = rest;
            self.at += 1;
        }
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_line_counts_once() {
        let mut count = LineCount::new("ab\r\nc\n\n\r\n\rd\r");
        let lines: Vec<_> = [0, 1, 3, 5, 6, 11].into_iter().map(|byte| count.line_from(byte)).collect();
        assert_eq!(lines, [1, 1, 2, 6, 6, 7]);
        assert_eq!(count.line_from(99), 7, "behind the end it is the last");
    }
}
