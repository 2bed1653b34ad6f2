//! W3C Trace Context: who asks within which distributed trace.
//!
//! Reads `traceparent` as <https://www.w3.org/TR/trace-context/> has it: strictly for version 00, and for later versions the part
//! that they must share with it. Pure and bounded; a header that is malformed is as good as none. `tracestate` is for
//! those who call further services by HTTP, which this program does not do for a request.

use std::fmt::Write as _;
use std::time::Duration;

/// The name of the header.
pub const TRACEPARENT: &str = "traceparent";
/// The length of a header of version 00, and of the part that later versions share with it.
const LENGTH: usize = 55;
/// The bit of the flags that says that the caller records the trace.
const SAMPLED: u8 = 1;

/// A trace, as its caller names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    flags: u8,
}

impl TraceParent {
    /// Reads the value of a `traceparent` header.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (own, rest) = value.split_at_checked(LENGTH)?;
        let [version] = hex(own.get(..2)?)?;
        let goes_on = match version {
            0xff => return None,
            0 => rest.is_empty(),
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        let dashes = [2, 35, 52].iter().all(|place| own.get(*place) == Some(&b'-'));
        if !goes_on || !dashes {
            return None;
        }
        let (trace_id, parent_id) = (hex(own.get(3..35)?)?, hex(own.get(36..52)?)?);
        let [flags] = hex(own.get(53..55)?)?;
        (trace_id != [0; 16] && parent_id != [0; 8]).then_some(Self { trace_id, parent_id, flags })
    }

    /// The trace.
    #[must_use]
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The caller's span.
    #[must_use]
    pub fn parent_id(&self) -> [u8; 8] {
        self.parent_id
    }

    /// Whether the caller records the trace.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// A span of this program's in somebody's trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Who asked.
    pub parent: TraceParent,
    span_id: [u8; 8],
}

impl Span {
    /// A new one below `parent`.
    #[must_use]
    pub fn below(parent: TraceParent) -> Self {
        let random: u64 = rand::random();
        // An id of zero is none.
        Self { parent, span_id: random.max(1).to_be_bytes() }
    }

    /// Its id.
    #[must_use]
    pub fn span_id(&self) -> [u8; 8] {
        self.span_id
    }

    /// The same as the value of a `traceparent`, for whoever is told of it: version 00, and of the flags what this program knows.
    #[must_use]
    pub fn to_traceparent(&self) -> String {
        let mut text = String::with_capacity(LENGTH);
        text.push_str("00-");
        push_hex(&mut text, &self.parent.trace_id);
        text.push('-');
        push_hex(&mut text, &self.span_id);
        text.push_str(if self.parent.is_sampled() { "-01" } else { "-00" });
        text
    }
}

/// A span that has come to its end.
#[derive(Debug)]
pub struct EndedSpan {
    /// Its ids.
    pub span: Span,
    /// What was asked.
    pub call: &'static str,
    /// The drop, where there is one.
    pub drop: Option<String>,
    /// What came out: the problem's code, or the word for a good answer.
    pub outcome: &'static str,
    /// Whether it was refused.
    pub refused: bool,
    /// When it ended, in milliseconds since the Unix epoch.
    pub ended_ms: i64,
    /// How long it took.
    pub took: Duration,
}

/// Where spans go whose callers record their trace.
pub trait SpanSink: Send + Sync {
    /// Takes a span. Never waits: what cannot be taken now is lost.
    fn ended(&self, span: EndedSpan);
    /// Hands on what was taken, within a few seconds. Waits.
    fn close(&self);
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
}

/// Bytes from lower-case hex digits; upper-case ones are malformed here.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = *byte << 4 | value;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parse(text: &str) -> Option<TraceParent> {
        TraceParent::parse(text.as_bytes())
    }

    #[test]
    fn what_the_specification_shows_is_read() {
        let parent = parse(GOOD).unwrap();
        let hex = |id: &[u8]| data_encoding::HEXLOWER.encode(id);
        assert_eq!(hex(&parent.trace_id()), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(hex(&parent.parent_id()), "b7ad6b7169203331");
        assert!(parent.is_sampled());
        for (flags, sampled) in [("00", false), ("02", false), ("03", true), ("ff", true)] {
            assert_eq!(
                parse(&GOOD.replace("-01", &format!("-{flags}"))).unwrap().is_sampled(),
                sampled,
                "{flags}"
            );
        }
    }

    #[test]
    fn later_versions_share_their_beginning() {
        for good in [
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-ever",
        ] {
            assert_eq!(parse(good), parse(GOOD), "{good}");
        }
        for bad in [
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_malformed_is_none() {
        assert_eq!(parse(""), None);
        for cut in 0..GOOD.len() {
            assert_eq!(parse(&GOOD[..cut]), None, "{cut}");
        }
        for (place, byte) in (0..GOOD.len()).flat_map(|place| b"-gG .AZ\0".map(|byte| (place, byte))) {
            let mut bytes = GOOD.as_bytes().to_vec();
            if bytes[place] != byte {
                bytes[place] = byte;
                assert_eq!(TraceParent::parse(&bytes), None, "{}", String::from_utf8_lossy(&bytes));
            }
        }
        for bad in [
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_span_keeps_the_trace_and_has_an_id_of_its_own() {
        let parent = parse(GOOD).unwrap();
        let span = Span::below(parent);
        let told = parse(&span.to_traceparent()).unwrap();
        assert_eq!((told.trace_id(), told.is_sampled()), (parent.trace_id(), true));
        assert_eq!(told.parent_id(), span.span_id());
        assert_ne!(span.span_id(), parent.parent_id());
        let unsampled = Span::below(parse(&GOOD.replace("-01", "-02")).unwrap());
        assert!(unsampled.to_traceparent().ends_with("-00"));
    }
}
