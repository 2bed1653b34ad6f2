//! Rows: the wall clock of a front end is wrong. Redis' clock decides what is open.

use std::fs;
use std::path::Path;
use std::time::Instant;

use claimrush::clock::Clock;

use crate::matrix::{DROP, Row, Stage};
use crate::report;
use crate::scene::Scene;
use crate::support::campaign::{DropFile, campaign};
use crate::support::folder;
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// Sets the front end's clock, and waits until it shows: a ticket that is good from half an hour ago for an hour is
/// good by a right clock, and by none that is an hour off.
fn set_clock(stage: &Stage, clock: &Path, offset: &str, good: bool) {
    fs::write(clock, offset).expect("it is written");
    let from_ms = Clock::System.now_ms() - 1_800_000;
    let ticket = stage.scene.service.mint().ticket_from(DROP, "somebody", from_ms);
    wait_for(&format!("its clock shows {offset}"), PATIENCE, || {
        // 404 for a good ticket: somebody has no claim.
        let status = stage.scene.service.mine(DROP, &ticket).status;
        (status == if good { 404 } else { 401 }).then_some(())
    });
}

#[test]
fn an_hour_ahead_and_an_hour_behind() {
    let name = "wall clock of the front end an hour ahead, right, an hour behind";
    let folder = folder();
    let clock = folder.path().join("clock");
    fs::write(&clock, "+0").expect("it is written");
    let Some(scene) = Scene::with_clock(&clock) else {
        return report::note(name, 0, 0, "not run: faketime is not installed", None);
    };
    Row::new(name).run(scene, |stage: &mut Stage| {
        let service = &stage.scene.service;
        let drops = [DropFile::open("later", 5).not_open(), DropFile::open("over", 5).closed()];
        service.apply_ok(&campaign("clock-campaign", &drops));
        let claim = |drop| {
            let answer = service.claim(drop, &service.mint().wide().ticket(drop, "somebody"));
            (answer.status, answer.code())
        };
        for offset in ["+1h", "-1h"] {
            set_clock(stage, &clock, offset, false);
            stage.rush.wait_more(100);
            assert_eq!(claim("later"), (425, "not_open".to_owned()), "by a clock of {offset}");
            assert_eq!(claim("over"), (410, "closed".to_owned()), "by a clock of {offset}");
            set_clock(stage, &clock, "+0", true);
        }
        Instant::now()
    });
}
