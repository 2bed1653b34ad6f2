//! The page's languages: every one has every text that the code names, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A text: one, or one for each plural of its language, by the names that Unicode gives them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    One(String),
    Plurals(BTreeMap<String, String>),
}

impl Text {
    /// Every form that it has.
    fn forms(&self) -> Vec<&String> {
        match self {
            Self::One(text) => vec![text],
            Self::Plurals(forms) => forms.values().collect(),
        }
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/page").join(folder);
    let mut found: Vec<_> =
        fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("a file").path()).collect();
    found.sort();
    found
}

fn languages() -> BTreeMap<String, BTreeMap<String, Text>> {
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("text");
        let texts = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.file_stem().expect("a name").to_string_lossy().into_owned(), texts)
    };
    files("lang").iter().map(read).collect()
}

/// The names of texts in the code: whatever stands in quotes behind `t(`, or is a name of a language's own.
fn named_in_code() -> BTreeSet<String> {
    let mut names = BTreeSet::from(["language.name".to_owned()]);
    for path in files("app") {
        let code = fs::read_to_string(path).expect("text");
        for begin in ["t(\"", "texts[\""] {
            let calls = code.match_indices(begin).filter(|(at, _)| {
                !code[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '.')
            });
            let named = calls.filter_map(|(at, _)| code[at + begin.len()..].split('"').next());
            names.extend(named.map(ToOwned::to_owned));
        }
    }
    names
}

/// What stands in braces.
fn places(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
}

#[test]
fn every_language_has_every_text_that_the_code_names_and_no_other() {
    let languages = languages();
    assert!(languages.contains_key("zh") && languages.contains_key("en"));
    let named = named_in_code();
    assert!(named.len() > 100, "{named:?}");
    for (language, texts) in &languages {
        let there: BTreeSet<_> = texts.keys().cloned().collect();
        let (missing, unused): (Vec<_>, Vec<_>) =
            (named.difference(&there).collect(), there.difference(&named).collect());
        assert!(
            missing.is_empty() && unused.is_empty(),
            "{language}: missing {missing:?}, unused {unused:?}"
        );
    }
}

#[test]
fn texts_say_something_and_have_the_same_gaps_in_every_language() {
    let languages = languages();
    let model = &languages["en"];
    for (language, texts) in &languages {
        for (name, text) in texts {
            for form in text.forms() {
                assert!(!form.trim().is_empty(), "{language}: {name} is empty");
                assert_eq!(places(form), places(model[name].forms()[0]), "{language}: {name}");
            }
            if let Text::Plurals(forms) = text {
                let known =
                    |form: &String| ["zero", "one", "two", "few", "many", "other"].contains(&form.as_str());
                assert!(forms.keys().all(known) && forms.contains_key("other"), "{language}: {name}");
            }
        }
    }
}
