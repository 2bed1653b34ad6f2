//! Signed codes whose claims the ledger does not have: still to come, or never.

use claimrush::domain::ids::{ClaimNumber, DropId, DropNumber, Epoch, Shard};
use claimrush::redis::keys;
use redis::cmd;

use super::street::{Plan, Street, order, refused};
use crate::support::drainer::Drainer;
use crate::support::http::Answer;
use crate::support::postgres::PostgresServer;
use crate::support::service::PATIENCE;
use crate::support::wait_for;

fn street(postgres: Option<PostgresServer>) -> Street {
    Street::of(Plan { postgres, flags: &["--no-drain"], ..Plan::default() })
}

/// Both ways in which a till meets a code.
fn shown(street: &Street, till: &str, code: &str) -> [Answer; 2] {
    [street.redeem(till, code, "k-1", &order("o-1", "6.00")), street.look(code, till)]
}

/// It may be on its way: the till comes again.
fn to_come(answers: &[Answer]) {
    for answer in answers {
        refused(answer, 503, "unavailable");
        assert_eq!(answer.header("retry-after"), Some("2"));
    }
}

/// It never will: the till need not.
fn never(answers: &[Answer]) {
    for answer in answers {
        refused(answer, 404, "unknown_voucher");
        assert_eq!(answer.header("retry-after"), None);
        assert!(answer.text("detail").contains("no store has its claim"), "{}", answer.json());
    }
}

fn to_come_or_never(street: &Street) {
    let (till, trial) = (street.key("m-1"), street.key("m-uat"));
    let ticket = street.service.ticket("d-1", "ann");
    let code = street.service.claim("d-1", &ticket).text("voucher");
    to_come(&shown(street, &till, &code));
    to_come(&shown(street, &trial, &code)[..1]);

    // Signed, and never granted.
    let ours = street.number(&code);
    let signed = |number: ClaimNumber| street.signers().0.code(number);
    let beyond = signed(ClaimNumber { seq: ours.seq + 1, ..ours });
    never(&shown(street, &till, &beyond));
    never(&shown(street, &trial, &beyond)[..1]);
    never(&shown(street, &till, &signed(ClaimNumber { epoch: Epoch(ours.epoch.0 + 1), ..ours })));
    for number in [
        ClaimNumber { drop: DropNumber(99), ..ours },
        ClaimNumber { shard: Shard(7), ..ours },
        ClaimNumber { drop: DropNumber(0), ..ours },
    ] {
        never(&shown(street, &till, &signed(number)));
    }
    // While Redis does not answer it is not known.
    {
        let _frozen = street.service.freeze_redis();
        for answer in shown(street, &till, &beyond) {
            refused(&answer, 503, "unavailable");
        }
    }
    street.service.wait_ready();
    wait_for("it is known again", PATIENCE, || {
        shown(street, &till, &beyond).iter().all(|answer| answer.status == 404).then_some(())
    });

    // An entry of the journal that says nothing: Redis counts a claim that the ledger will never have.
    let id = DropId::new("d-1").expect("an id");
    let (drop, journal) = (keys::drop(Shard::FIRST, &id), keys::journal(Shard::FIRST));
    let () = street.service.ask_redis(cmd("HINCRBY").arg(&drop).arg("seq").arg(1));
    let () = street.service.ask_redis(cmd("XADD").arg(&journal).arg("*").arg("claims").arg("nonsense"));
    to_come(&shown(street, &till, &beyond));
    let _drainer = Drainer::start(&street.service);
    street.wait_drained();
    never(&shown(street, &till, &beyond));
    // The one that was on its way is there; its key was not used up by the refusals.
    let [redeemed, looked] = shown(street, &till, &code);
    assert_eq!((redeemed.status, looked.text("status")), (201, "redeemed".to_owned()), "{}", redeemed.json());
}

#[test]
fn a_till_comes_again_for_what_is_on_its_way_and_not_for_what_is_nowhere() {
    to_come_or_never(&street(None));
}

#[test]
fn a_till_comes_again_for_what_is_on_its_way_and_not_for_what_is_nowhere_in_postgres() {
    to_come_or_never(&street(Some(PostgresServer::start(&[]))));
}

#[test]
fn what_was_lost_with_redis_is_nowhere_once_the_shard_is_made_anew() {
    let street = street(None);
    let till = street.key("m-1");
    let code = street.service.claim("d-1", &street.service.ticket("d-1", "ann")).text("voucher");
    let () = street.service.ask_redis(&cmd("FLUSHALL"));
    street.service.wait_unready("shard_frozen");
    // The right Redis may come back.
    for answer in shown(&street, &till, &code) {
        refused(&answer, 503, "unavailable");
    }
    street.ran(&["recover", "--apply", "--accept-loss"]);
    street.service.wait_ready();
    never(&shown(&street, &till, &code));
    let ticket = street.service.ticket("d-1", "ann");
    assert_eq!(street.status(&code, &ticket), "in_review", "her case is with staff");
    street.audited();
}
