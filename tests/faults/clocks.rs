//! Rows: the wall clock of a front end is wrong. Redis' clock decides what is open.

use std::time::Instant;

use claimrush::clock::Clock;

use crate::matrix::{DROP, Row, Stage};
use crate::scene::Scene;
use crate::support::campaign::{DropFile, campaign};
use crate::support::clock::{FakeClock, server_time_ms};
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// Sets the front end's clock, and waits until it shows: a ticket that is good from half an hour ago for an hour is
/// good by a right clock, and by none that is an hour off.
fn set_clock(stage: &Stage, clock: &mut FakeClock, ahead_s: i64, good: bool) {
    clock.set(ahead_s);
    let from_ms = Clock::System.now_ms() - 1_800_000;
    let ticket = stage.scene.service.mint().ticket_from(DROP, "somebody", from_ms);
    wait_for(&format!("its clock is {ahead_s} s ahead"), PATIENCE, || {
        // 404 for a good ticket: somebody has no claim.
        let status = stage.scene.service.mine(DROP, &ticket).status;
        (status == if good { 404 } else { 401 }).then_some(())
    });
    // What it knows of Redis' clock, which is right, is as old as its last look.
    wait_for("it has looked at Redis' clock since", PATIENCE, || {
        ((server_time_ms(&stage.scene.service) - Clock::System.now_ms()).abs() < 5_000).then_some(())
    });
}

#[test]
fn an_hour_ahead_and_an_hour_behind() {
    let name = "wall clock of the front end an hour ahead, right, an hour behind";
    let mut clock = FakeClock::new();
    let scene = Scene::with_clock(&clock);
    Row::new(name).run(scene, |stage: &mut Stage| {
        let service = &stage.scene.service;
        let drops = [DropFile::open("later", 5).not_open(), DropFile::open("over", 5).closed()];
        service.apply_ok(&campaign("clock-campaign", &drops));
        let claim = |drop| {
            let answer = service.claim(drop, &service.mint().wide().ticket(drop, "somebody"));
            (answer.status, answer.code())
        };
        for ahead_s in [3_600, -3_600] {
            set_clock(stage, &mut clock, ahead_s, false);
            stage.rush.wait_more(100);
            assert_eq!(claim("later"), (425, "not_open".to_owned()), "by a clock {ahead_s} s ahead");
            assert_eq!(claim("over"), (410, "closed".to_owned()), "by a clock {ahead_s} s ahead");
            set_clock(stage, &mut clock, 0, true);
        }
        Instant::now()
    });
}
