//! The harness goes through the desk for many people, and what it brings back is good for claims.

use claimrush_loadtest::ticket_desk::{self, TicketsArgs};

use super::*;

#[test]
fn tickets_for_many_people_come_from_the_desk() {
    let (folder, service) = desk(&[("desk.address_per_minute", "600000")]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 50)]));
    // Thirty people, and ten accounts of one more.
    let mut identities: Vec<String> = (0..30).map(|n| identity(&format!("p-{n}"), &json!({}))).collect();
    identities.extend((0..10).map(|n| identity(&format!("farm-{n}"), &json!({"dims": {"phone": "one"}}))));
    let file = folder.path().join("identities");
    std::fs::write(&file, identities.join("\n")).expect("it is written");
    let args = |out: &str, drop: &str| TicketsArgs {
        target: format!("http://{}", service.address()),
        drop: drop.to_owned(),
        identities: file.clone(),
        out: folder.path().join(out),
        threads: 2,
    };
    ticket_desk::run(&args("tickets", "d-1")).expect("tickets are given");
    let tickets = std::fs::read_to_string(folder.path().join("tickets")).expect("a file");
    assert_eq!(tickets.lines().count(), 31, "one of the ten");
    let claimed = tickets.lines().filter(|ticket| service.claim("d-1", ticket).status == 201).count();
    assert_eq!(claimed, 31);
    assert_eq!(service.metric("claimrush_desk_tickets_total"), Some(31));
    assert_eq!(service.metric("claimrush_desk_ineligible_total"), Some(9));
    let error = ticket_desk::run(&args("none", "nowhere")).expect_err("there is no such drop");
    assert_eq!(error.to_string(), "nobody got a ticket");
}
