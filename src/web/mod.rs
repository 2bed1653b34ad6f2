//! The claim page: its files, packed into the binary by `build.rs`, and which of them an address means.
//!
//! Owns what is served and under which policy, and knows no HTTP beyond the words of its headers. `page/` holds the
//! sources: `app/` the script, `work/` the worker that solves challenges, `lang/` one file a language.

use std::borrow::Cow;
use std::io::Write as _;

use bytes::Bytes;
use sha2::{Digest, Sha256};

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

const INDEX: &str = include_str!(concat!(env!("OUT_DIR"), "/index.html"));
/// Where a file stands whose name changes with its content.
pub const ASSETS_PATH: &str = "/assets/";

/// A file that is named by its content.
struct Asset {
    path: &'static str,
    etag: &'static str,
    content_type: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
    brotli: &'static [u8],
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Plain,
    /// gzip.
    Gzip,
    /// Brotli.
    Brotli,
}

impl Encoding {
    /// The word of `Content-Encoding`, where there is one.
    #[must_use]
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }

    /// The smallest that a client takes, by its `Accept-Encoding`.
    #[must_use]
    pub fn choose(accepted: Option<&str>) -> Self {
        let takes = |word: &str| {
            accepted.unwrap_or_default().split(',').any(|one| {
                let (name, quality) = one.split_once(';').unwrap_or((one, ""));
                let refused = quality.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32));
                name.trim().eq_ignore_ascii_case(word) && !refused
            })
        };
        match (takes("br"), takes("gzip")) {
            (true, _) => Self::Brotli,
            (_, true) => Self::Gzip,
            _ => Self::Plain,
        }
    }
}

/// A file as it is to be sent.
#[derive(Debug, Clone)]
pub struct Served<'a> {
    /// What it is.
    pub content_type: &'static str,
    /// How its bytes are compressed.
    pub encoding: Encoding,
    /// Its bytes.
    pub bytes: Bytes,
    /// Changes with its content, however that is compressed; quoted.
    pub etag: &'a str,
    /// Whether what stands under this name never changes.
    pub immutable: bool,
}

impl Served<'_> {
    /// The tag of these very bytes: what is compressed in two ways is two things, and a cache that took one for the other
    /// would hand out half of each.
    /// Source: RFC 9110, section 8.8.3
    #[must_use]
    pub fn tag(&self) -> Cow<'_, str> {
        match self.encoding.word() {
            None => self.etag.into(),
            Some(word) => format!("{}-{word}\"", self.etag.trim_end_matches('"')).into(),
        }
    }
}

/// What the page is told by the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageSettings {
    /// Where the API is, as in `https://api.example`; empty for where the page is.
    pub api_origin: String,
    /// Where people sign in, with `{drop}` in it where the drop's id is to stand; empty if the page cannot say.
    pub login_url: String,
    /// Whether anybody may be anybody.
    pub demo: bool,
}

/// The page, ready to be served.
#[derive(Debug)]
pub struct Pages {
    plain: Bytes,
    gzip: Bytes,
    etag: String,
    /// The content security policy of the document.
    policy: String,
}

impl Pages {
    /// The page with these settings.
    #[must_use]
    pub fn new(settings: &PageSettings) -> Self {
        let html = INDEX
            .replace("{{api}}", &settings.api_origin)
            .replace("{{login}}", &settings.login_url.replace('&', "&amp;"))
            .replace("{{demo}}", if settings.demo { "1" } else { "" });
        let etag = format!("\"{}\"", hash(html.as_bytes()));
        Self { gzip: gzip(html.as_bytes()), plain: html.into(), etag, policy: policy(&settings.api_origin) }
    }

    /// The document, the same for every address of the page.
    #[must_use]
    pub fn document(&self, accepted: Option<&str>) -> Served<'_> {
        let (encoding, bytes) = match Encoding::choose(accepted) {
            Encoding::Plain => (Encoding::Plain, &self.plain),
            _ => (Encoding::Gzip, &self.gzip),
        };
        let content_type = "text/html; charset=utf-8";
        Served { content_type, encoding, bytes: bytes.clone(), etag: &self.etag, immutable: false }
    }

    /// What a document may load and reach: what comes from here, and the API.
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// A file by its path, as in `/assets/app.1b2c….js`.
    #[must_use]
    pub fn asset(&self, path: &str, accepted: Option<&str>) -> Option<Served<'static>> {
        let asset = ASSETS.iter().find(|asset| asset.path == path)?;
        let encoding = Encoding::choose(accepted);
        let bytes = match encoding {
            Encoding::Plain => asset.plain,
            Encoding::Gzip => asset.gzip,
            Encoding::Brotli => asset.brotli,
        };
        let (content_type, bytes) = (asset.content_type, Bytes::from_static(bytes));
        Some(Served { content_type, encoding, bytes, etag: asset.etag, immutable: true })
    }
}

/// The beginning of a hash, in hex.
fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    data_encoding::HEXLOWER.encode(digest.first_chunk::<8>().map_or(&[][..], |first| first))
}

fn policy(api_origin: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; worker-src 'self'; \
         connect-src 'self' {api_origin}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    .replace(" ;", ";")
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // Writing to memory cannot fail.
    let _infallible = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default().into()
}

#[cfg(test)]
mod tests;
