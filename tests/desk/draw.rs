//! A programme whose vouchers are drawn: the sample of Shanghai, with the draw made outside.

use sha2::{Digest, Sha256};

use super::*;

#[test]
fn who_has_drawn_a_win_takes_one_voucher_and_nobody_else_any() {
    let lists = tempfile::tempdir().expect("a folder");
    let won = ["ann", "bob"].map(|account| data_encoding::HEXLOWER.encode(&Sha256::digest(account)));
    std::fs::write(lists.path().join("shanghai-2025.csv"), won.join("\n")).expect("it is written");
    let folder = lists.path().to_str().expect("a path");
    let (_folder, service) = desk(&[("desk.lists_dir", folder), ("desk.person_per_minute", "600")]);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/campaigns/shanghai-2025.toml");
    let (exit, out, err) = service.campaign(&["apply", sample, "--opens-at", "+0"]);
    assert_eq!((exit, err.as_str()), (0, ""), "{out}");
    let drops = ["shanghai-2025-300-90", "shanghai-2025-500-180", "shanghai-2025-1000-400"];
    for drop in drops {
        let lost = ask(&service, drop, &identity("cid", &json!({})));
        assert_eq!(said(&lost), refused(403, "not_eligible"), "drew nothing");
    }
    let ann = identity("ann", &json!({}));
    let ticket = ask(&service, drops[1], &ann).text("ticket");
    assert_eq!(said(&service.claim(drops[1], &ticket)), given());
    // One a person: no ticket for the others, and no claim by one from elsewhere either.
    for drop in [drops[0], drops[2]] {
        assert_eq!(said(&ask(&service, drop, &ann)), refused(403, "not_eligible"));
    }
    let person =
        data_encoding::BASE64URL_NOPAD.decode(ticket.split('.').nth(1).expect("a payload").as_bytes());
    let person: Value = serde_json::from_slice(&person.expect("base64url")).expect("JSON");
    let by_partner = service.ticket(drops[0], person["sub"].as_str().expect("a person"));
    assert_eq!(said(&service.claim(drops[0], &by_partner)), refused(409, "limit_reached"));
    let bob = ask(&service, drops[0], &identity("bob", &json!({}))).text("ticket");
    assert_eq!(said(&service.claim(drops[0], &bob)), given());
}
