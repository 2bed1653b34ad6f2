//! Packs the claim page into the binary: joins its scripts and styles, names them by what they hold, and compresses them.
//!
//! Scripts are ES modules that import only from files beside them, by `import … from "./x.js";` and `export` at the
//! beginning of a line. They are joined into one file, in the order of their imports: a phone opens few connections then,
//! and at the release each of them counts.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

type Done<T> = Result<T, Box<dyn Error>>;

/// Where the sources are.
const SOURCES: &str = "src/web/page";
/// How much of a file's hash stands in its name.
const HASH_DIGITS: usize = 16;

fn main() -> Done<()> {
    println!("cargo::rerun-if-changed={SOURCES}");
    println!("cargo::rerun-if-changed=build.rs");
    let from = Path::new(SOURCES);
    let mut packed = Packed { out: PathBuf::from(std::env::var("OUT_DIR")?), table: String::new() };
    let app = packed.add("app", "js", joined(&from.join("app/main.js"))?.as_bytes())?;
    let work = packed.add("work", "js", joined(&from.join("work/main.js"))?.as_bytes())?;
    let css = packed.add("page", "css", styles(&from.join("css"))?.as_bytes())?;
    let icon = packed.add("icon", "svg", &fs::read(from.join("icon.svg"))?)?;
    let mut languages = Vec::new();
    for path in files(&from.join("lang"))? {
        let word = path.file_stem().and_then(|stem| stem.to_str()).ok_or("a language's file has no name")?;
        let text = fs::read_to_string(&path)?;
        let name = text.split_once("\"language.name\": \"").and_then(|(_, rest)| rest.split('"').next());
        let name = name.ok_or_else(|| format!("{}: language.name is missing", path.display()))?;
        languages.push(format!("{word}={name}={}", packed.add(word, "json", text.as_bytes())?));
    }
    let index = fs::read_to_string(from.join("index.html"))?
        .replace("{{app}}", &app)
        .replace("{{work}}", &work)
        .replace("{{css}}", &css)
        .replace("{{icon}}", &icon)
        .replace("{{languages}}", &languages.join(";"));
    fs::write(packed.out.join("index.html"), index)?;
    let table = format!("static ASSETS: &[Asset] = &[\n{}];\n", packed.table);
    Ok(fs::write(packed.out.join("assets.rs"), table)?)
}

/// The files that are packed, and the table of them that the program includes.
struct Packed {
    out: PathBuf,
    table: String,
}

impl Packed {
    /// Adds a file; its path on the server, with its hash in its name.
    fn add(&mut self, name: &str, kind: &str, bytes: &[u8]) -> Done<String> {
        let digest = Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _infallible = write!(hex, "{byte:02x}");
            hex
        });
        let hash = digest.get(..HASH_DIGITS).ok_or("a hash is short")?;
        let path = format!("/assets/{name}.{hash}.{kind}");
        let content_type = match kind {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "json" => "application/json",
            "svg" => "image/svg+xml",
            other => return Err(format!("nobody knows what {other} is").into()),
        };
        let plain = format!("{name}.{kind}");
        fs::write(self.out.join(&plain), bytes)?;
        fs::write(self.out.join(format!("{plain}.gz")), gzip(bytes)?)?;
        fs::write(self.out.join(format!("{plain}.br")), brotli(bytes)?)?;
        let place =
            |ending: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{plain}{ending}\"))");
        writeln!(
            self.table,
            "    Asset {{ path: {path:?}, etag: {:?}, content_type: {content_type:?}, plain: {}, gzip: {}, brotli: {} }},",
            format!("\"{hash}\""),
            place(""),
            place(".gz"),
            place(".br"),
        )?;
        Ok(path)
    }
}

fn gzip(bytes: &[u8]) -> Done<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn brotli(mut bytes: &[u8]) -> Done<Vec<u8>> {
    let parameters = brotli::enc::BrotliEncoderParams { quality: 10, ..Default::default() };
    let mut packed = Vec::new();
    brotli::BrotliCompress(&mut bytes, &mut packed, &parameters)?;
    Ok(packed)
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Done<Vec<PathBuf>> {
    let mut found = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Done<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

fn styles(folder: &Path) -> Done<String> {
    files(folder)?.iter().try_fold(String::new(), |all, path| Ok(all + &fs::read_to_string(path)?))
}

/// A script and all that it imports, in one.
fn joined(main: &Path) -> Done<String> {
    let (mut all, mut seen) = (String::new(), BTreeSet::new());
    join(main, &mut seen, &mut all).map_err(|error| format!("{}: {error}", main.display()))?;
    Ok(all)
}

fn join(path: &Path, seen: &mut BTreeSet<PathBuf>, all: &mut String) -> Done<()> {
    if !seen.insert(path.to_path_buf()) {
        return Ok(());
    }
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let folder = path.parent().ok_or("a script has no folder")?;
    let (mut own, mut import) = (String::new(), None::<String>);
    for line in text.lines() {
        if import.is_none() && line.starts_with("import ") {
            import = Some(String::new());
        }
        if let Some(so_far) = &mut import {
            so_far.push_str(line);
            if line.ends_with(';') {
                let name = so_far.split('"').nth(1).and_then(|name| name.strip_prefix("./"));
                let name = name.ok_or_else(|| format!("{}: cannot follow {so_far}", path.display()))?;
                join(&folder.join(name), seen, all)?;
                import = None;
            }
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        // Comments of whole lines are for us.
        if !line.trim_start().starts_with("//") {
            own.push_str(line);
            own.push('\n');
        }
    }
    all.push_str(&own);
    Ok(())
}
