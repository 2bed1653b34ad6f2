//! Holds that the ledger refuses to end: all others end all the same, those behind them too.

use super::shop::{DROP, Shop};
use crate::support::postgres::PostgresServer;
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// More than a sweep looks at at once.
const BUYERS: u32 = 520;
/// Two whose holds do not end, one on each page.
const STUCK: [&str; 2] = ["p-0", "p-510"];

fn two_do_not_end(shop: &Shop, heal: impl FnOnce()) {
    let claims: Vec<String> = (0..BUYERS).map(|n| shop.claimed(&format!("p-{n}"))).collect();
    shop.wait_stock(u64::from(BUYERS) - 2);
    wait_for("the metric counts them", PATIENCE, || {
        (shop.service.metric("claimrush_holds_stuck")? == 2).then_some(())
    });
    for (person, claim) in STUCK.iter().zip([&claims[0], &claims[510]]) {
        assert_eq!(shop.statuses(person), ["held"]);
        let log = shop.service.log();
        let told = log.lines().filter(|line| line.contains("a hold does not end") && line.contains(claim));
        let told: Vec<_> = told.collect();
        assert!(told.len() == 1 && told[0].contains("it is poisoned"), "{told:?}");
    }
    shop.audit();

    heal();
    shop.wait_stock(u64::from(BUYERS));
    wait_for("the metric counts none", PATIENCE, || {
        (shop.service.metric("claimrush_holds_stuck")? == 0).then_some(())
    });
    assert_eq!(STUCK.map(|person| shop.statuses(person)), [["lapsed"], ["lapsed"]]);
    assert_eq!(shop.service.metric("claimrush_holds_total"), Some(u64::from(BUYERS)));
    assert_eq!(shop.service.redis_stock_left(DROP), u64::from(BUYERS));
    shop.audit();
}

#[test]
fn a_hold_that_does_not_end_keeps_no_other_from_its_end() {
    let shop = Shop::open(&[], BUYERS, "hold_for = \"2s\"");
    let ledger = rusqlite::Connection::open(shop.service.data().join("ledger.db")).expect("it is there");
    ledger.busy_timeout(PATIENCE).expect("it is set");
    ledger
        .execute_batch(
            "CREATE TRIGGER poison BEFORE INSERT ON step \
             WHEN NEW.step = 'lapsed' AND NEW.person IN ('p-0', 'p-510') \
             BEGIN SELECT RAISE(ABORT, 'it is poisoned'); END",
        )
        .expect("it is made");
    two_do_not_end(&shop, || ledger.execute_batch("DROP TRIGGER poison").expect("it is gone"));
}

#[test]
fn a_hold_that_does_not_end_keeps_no_other_from_its_end_in_postgres() {
    let server = PostgresServer::start(&[]);
    let shop = Shop::open(&[("ledger.url", &*server.url())], BUYERS, "hold_for = \"2s\"");
    server.sql(
        "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'it is poisoned' USING ERRCODE = 'check_violation'; END $$; \
         CREATE TRIGGER poison BEFORE INSERT ON step FOR EACH ROW \
             WHEN (NEW.step = 'lapsed' AND NEW.person IN ('p-0', 'p-510')) EXECUTE FUNCTION poison()",
    );
    two_do_not_end(&shop, || {
        server.sql("DROP TRIGGER poison ON step");
    });
}
