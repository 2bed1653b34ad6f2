//! What alerts look at: holds that nobody ends, and late payments that wait.

use super::shop::{DROP, Shop};
use crate::support::http::Client;
use crate::support::postgres::PostgresServer;
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// A gauge that may have a fraction.
fn gauge(shop: &Shop, name: &str) -> f64 {
    let answer = Client::connect(shop.service.admin_address()).call("GET", "/metrics", &[], b"");
    let text = String::from_utf8(answer.body).expect("metrics are text");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name}: {text}"))
}

fn wait_gauge(what: &str, shop: &Shop, name: &str, is_good: impl Fn(f64) -> bool) {
    wait_for(what, PATIENCE, || is_good(gauge(shop, name)).then_some(()));
}

#[test]
fn holds_that_nobody_ends_and_payments_that_wait_show() {
    let mut server = PostgresServer::start(&[]);
    let url = server.url();
    let shop = Shop::open(&[("ledger.url", &url)], 3, "hold_for = \"1s\"");
    let (overdue, oldest) = ("claimrush_hold_overdue_seconds", "claimrush_late_payment_oldest_seconds");
    let claim = shop.claimed("ann");
    wait_for("the unit goes back by itself", PATIENCE, || {
        (shop.service.redis_stock_left(DROP) == 3).then_some(())
    });
    wait_gauge("holds are looked at", &shop, overdue, |seconds| seconds > 0.0 && seconds < 5.0);

    // Nobody can end a hold while the ledger is away.
    shop.claimed("bob");
    server.stop_at_once();
    wait_gauge("it shows that nobody looks", &shop, overdue, |seconds| seconds > 6.0);
    server.start_again();
    wait_gauge("it shows that somebody looks", &shop, overdue, |seconds| seconds < 5.0);
    wait_for("the other unit goes back", PATIENCE, || {
        (shop.service.redis_stock_left(DROP) == 3).then_some(())
    });

    // A late payment grows old until it is refunded.
    assert!(gauge(&shop, oldest) < f64::EPSILON);
    let late = shop.pay(&claim, "msg_1", "pay_1");
    assert_eq!((late.status, late.text("outcome")), (200, "refund_due".to_owned()));
    wait_gauge("it waits", &shop, oldest, |seconds| seconds > 1.0);
    let number = shop.late()[0]["number"].to_string();
    shop.run(&["late-payment", "refunded", &number, "--reference", "re_1"]);
    wait_gauge("it waits no more", &shop, oldest, |seconds| seconds < f64::EPSILON);
    shop.audit();
}
