//! What the packed page says of itself: its files, their names, and what an address means.

use super::*;

#[test]
fn a_client_gets_the_smallest_that_it_takes() {
    for (accepted, encoding) in [
        (None, Encoding::Plain),
        (Some("identity"), Encoding::Plain),
        (Some("gzip"), Encoding::Gzip),
        (Some("gzip, deflate, br, zstd"), Encoding::Brotli),
        (Some("br;q=0, GZIP;q=0.5"), Encoding::Gzip),
        (Some("br; q=0.0"), Encoding::Plain),
    ] {
        assert_eq!(Encoding::choose(accepted), encoding, "{accepted:?}");
    }
}

#[test]
fn the_document_names_files_that_are_there_and_loads_nothing_from_elsewhere() {
    let pages = Pages::new(&PageSettings::default());
    let html = String::from_utf8(pages.document(None).bytes.to_vec()).expect("text");
    assert!(!html.contains("{{") && !html.contains("://"), "{html}");
    let named: Vec<_> = html.split(['"', '=', ';']).filter(|word| word.starts_with(ASSETS_PATH)).collect();
    for path in &named {
        assert!(pages.asset(path, None).is_some(), "{path}");
    }
    assert!(ASSETS.iter().all(|asset| named.contains(&asset.path)), "{named:?}");
    assert!(pages.asset("/assets/app.js", None).is_none(), "without its hash");
}

#[test]
fn settings_reach_the_page_and_its_policy_and_change_its_tag() {
    let plain = Pages::new(&PageSettings::default());
    let settings = PageSettings {
        api_origin: "https://api.example".to_owned(),
        login_url: "https://app.example/login?to={drop}".to_owned(),
        demo: true,
    };
    let elsewhere = Pages::new(&settings);
    let html = String::from_utf8(elsewhere.document(None).bytes.to_vec()).expect("text");
    assert!(html.contains(r#"<meta name="claimrush-api" content="https://api.example">"#), "{html}");
    assert!(html.contains(r#"content="https://app.example/login?to={drop}">"#), "{html}");
    assert!(html.contains(r#"<meta name="claimrush-demo" content="1">"#), "{html}");
    assert!(elsewhere.policy().contains("connect-src 'self' https://api.example;"));
    assert!(plain.policy().contains("connect-src 'self';") && !plain.policy().contains("unsafe"));
    assert_ne!(plain.document(None).etag, elsewhere.document(None).etag);
}

#[test]
fn what_is_packed_unpacks_to_the_same() {
    use std::io::Read as _;
    for asset in ASSETS {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(asset.gzip).read_to_end(&mut unpacked).expect("it unpacks");
        assert_eq!(unpacked, asset.plain, "{}", asset.path);
        assert!(asset.brotli.len() <= asset.gzip.len() && !asset.brotli.is_empty(), "{}", asset.path);
    }
}
