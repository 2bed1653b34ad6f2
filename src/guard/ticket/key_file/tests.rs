//! Tests of how key files are made, read and refused.

use super::*;

const A: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const B: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8";
const C: &str = "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8";

fn file(keys: &[(&str, &str, &str)]) -> String {
    keys.iter().fold(format!("voucher_secret = \"{C}\"\n"), |text, (kid, secret, rest)| {
        format!("{text}[[key]]\nkid = \"{kid}\"\nsecret = \"{secret}\"\n{rest}\n")
    })
}

fn refused(text: &str) -> String {
    KeyFile::parse(text).expect_err(text).to_string()
}

#[test]
fn the_first_key_signs_unless_another_says_so() {
    let hs = "alg = \"HS256\"";
    let plain = KeyFile::parse(&file(&[("k1", A, hs), ("k2", B, hs)])).expect("good");
    assert_eq!(plain.signing().kid(), "k1");
    let signing = format!("{hs}\nsign = true");
    let marked = KeyFile::parse(&file(&[("k1", A, hs), ("k2", B, &signing)])).expect("good");
    assert_eq!((marked.signing().kid(), marked.keys().len()), ("k2", 2));
    assert_eq!(
        refused(&file(&[("k1", A, &signing), ("k2", B, &signing)])),
        "key \"k2\": sign = true stands at more than one key"
    );
}

#[test]
fn a_bad_key_is_named_with_its_cause() {
    let hs = "alg = \"HS256\"";
    for (text, message) in [
        (file(&[]), "has 0 keys, takes 1 to 16"),
        (file(&[("k1", "AAAA", hs)]), "key \"k1\": secret has 3 bytes, needs at least 32"),
        (file(&[("k1", "secret!", hs)]), "key \"k1\": secret is not base64url"),
        (
            file(&[("k1", A, "alg = \"none\"")]),
            "key \"k1\": alg \"none\" is unknown, takes \"HS256\" or \"EdDSA\"",
        ),
        (file(&[("k1", A, hs), ("k1", B, hs)]), "key \"k1\": kid is used twice"),
        (
            file(&[("k1", A, hs), ("k2", A, hs)]),
            "key \"k2\": secret is used twice; every key and voucher_secret need one of their own",
        ),
        (
            file(&[("k1", C, hs)]),
            "key \"k1\": secret is used twice; every key and voucher_secret need one of their own",
        ),
        (file(&[("a b", A, hs)]), "key \"a b\": kid must have 1 to 64 letters, digits, '-', '_', '.' or ':'"),
        (
            file(&[("k1", A, hs)]).replace("voucher_secret", "voucher_secrte"),
            "line 1: unknown field `voucher_secrte`, expected one of `voucher_secret`, `voucher_secrets_old`, `identity_secret`, `key`",
        ),
        (file(&[("k1", A, "")]), "line 2: missing field `alg`"),
        (
            file(&[("k1", A, hs)]).replacen(&format!("\"{C}\""), "7", 1),
            "voucher_secret: secret is not base64url",
        ),
        ("[[key]]\nkid = \"k1\"\nalg = \"HS256\"\n".into(), "voucher_secret: secret is missing"),
        (
            format!("voucher_secrets_old = [\"AAAA\"]\n{}", file(&[("k1", A, hs)])),
            "voucher_secrets_old: secret has 3 bytes, needs at least 32",
        ),
        (
            format!("voucher_secrets_old = \"{B}\"\n{}", file(&[("k1", A, hs)])),
            "line 1: invalid type: a text, expected a sequence",
        ),
    ] {
        assert_eq!(refused(&text), message, "{text}");
    }
}

#[test]
fn no_error_quotes_a_secret() {
    let good = file(&[("k1", A, "alg = \"HS256\"")]);
    for text in [
        good.replace(&format!("\"{A}\""), A),
        good.replace(&format!("{A}\""), A),
        good.replace("alg", &format!("x = \"{B}\"\nalg")),
        good.replace("[[key]]", ""),
        good.replace("secret = ", "secret "),
        format!("voucher_secrets_old = \"{B}\"\n{good}"),
        format!("{good}sign = \"{B}\\\"{C}\"\n"),
    ] {
        let message = refused(&text);
        assert!(![A, B, C].iter().any(|secret| message.contains(&secret[..8])), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
    let debug = format!("{:?}", KeyFile::parse(&good).expect("good"));
    assert!(debug.contains("Secret(hidden)") && !debug.contains("[0, 1"), "{debug}");
}

#[test]
fn a_missing_file_is_made_once_and_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(KEY_FILE_NAME);
    let files: Vec<KeyFile> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..8).map(|_| scope.spawn(|| KeyFile::load_or_create(&path))).collect();
        racers.into_iter().map(|racer| racer.join().expect("no panic").expect("a key file")).collect()
    });
    assert!(files.iter().all(|file| *file == files[0]), "all read the first one's file");
    assert_eq!(KeyFile::load(&path).expect("a key file"), files[0]);
    assert_ne!(Some(files[0].voucher_secret()), files[0].signing().secret());
    assert_eq!(fs::metadata(&path).expect("a file").mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left over");
}

#[test]
fn a_file_open_to_others_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(KEY_FILE_NAME);
    KeyFile::load_or_create(&path).expect("a key file");
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("own file");
        let error = KeyFile::load_or_create(&path).expect_err("open to others").to_string();
        let shown = path.display();
        assert_eq!(error, format!("{shown}: mode {mode:04o} lets others at it; run: chmod 600 {shown}"));
    }
}

#[test]
fn files_that_cannot_be_read_or_made_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("no/such/folder.key");
    let error = KeyFile::load_or_create(&missing).expect_err("there is no folder for it");
    assert!(matches!(&error, KeyFileError { cause: KeyFileCause::Make(_), path } if *path == missing));
    let shown = missing.display();
    assert_eq!(error.to_string(), format!("{shown}: cannot be made: No such file or directory (os error 2)"));
    let long = folder.path().join("long.key");
    create_private(&long, &"#".repeat(70_000)).expect("own folder");
    assert!(matches!(KeyFile::load(&long), Err(KeyFileError { cause: KeyFileCause::TooLong, .. })));
    // What could not be read may be read at the next look; what was read stays wrong until it changes.
    let may_pass = |path: &Path| KeyFile::load(path).expect_err("no key file").may_pass();
    let bytes = folder.path().join("bytes.key");
    fs::write(&bytes, [0xff, 0xfe]).expect("own folder");
    fs::set_permissions(&bytes, Permissions::from_mode(0o600)).expect("own file");
    assert_eq!([&missing, &long, &bytes].map(|path| may_pass(path)), [true, false, false]);
    assert!(may_pass(Path::new("/proc/self/mem")), "reading it gives EIO");
}
