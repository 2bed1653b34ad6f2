//! The time limits of connections, and who is told to end.

use super::*;

const LIMITS: TimeLimits = TimeLimits {
    idle: Duration::from_secs(10),
    header: Duration::from_secs(1),
    write: Duration::from_secs(2),
};

fn sweeps(connections: &Connections, count: u32) {
    for _ in 0..count {
        connections.sweep();
    }
}

#[test]
fn a_slow_header_is_closed_and_an_idle_connection_is_not() {
    let connections = Connections::new(LIMITS);
    let (slow, idle) = (connections.add(1), connections.add(2));
    slow.bytes_came(connections.tick());
    sweeps(&connections, 5);
    assert_eq!(slow.told.load(Ordering::Relaxed), CLOSE);
    assert_eq!(idle.told.load(Ordering::Relaxed), 0);
    sweeps(&connections, 36);
    assert_eq!(idle.told.load(Ordering::Relaxed), CLOSE);
}

#[test]
fn a_request_at_hand_is_never_overdue_and_a_pipelined_one_is_a_header() {
    let connections = Connections::new(LIMITS);
    let control = connections.add(1);
    control.bytes_came(connections.tick());
    control.begin_request(false);
    control.bytes_came(connections.tick());
    sweeps(&connections, 100);
    assert_eq!(control.told.load(Ordering::Relaxed), 0);
    control.end_request(connections.tick());
    sweeps(&connections, 5);
    assert_eq!(control.told.load(Ordering::Relaxed), CLOSE);
}

#[test]
fn nobody_is_cut_short_however_small_the_limit() {
    let connections = Connections::new(TimeLimits { header: Duration::from_millis(100), ..LIMITS });
    let control = connections.add(1);
    control.bytes_came(connections.tick());
    connections.sweep();
    assert_eq!(control.told.load(Ordering::Relaxed), 0, "this sweep may come at once");
    connections.sweep();
    assert_eq!(control.told.load(Ordering::Relaxed), CLOSE);
}

#[test]
fn who_comes_after_all_were_told_is_told_as_well() {
    let connections = Connections::new(LIMITS);
    let before = connections.add(1);
    connections.finish();
    let after = connections.add(2);
    assert_eq!([before.told(), after.told()], [FINISH; 2]);
    connections.close();
    assert_eq!([before.told(), after.told(), connections.add(3).told()], [CLOSE; 3]);
}

#[test]
fn a_body_is_no_pipelined_header() {
    let connections = Connections::new(LIMITS);
    let control = connections.add(1);
    control.bytes_came(connections.tick());
    control.begin_request(true);
    control.bytes_came(connections.tick());
    control.end_request(connections.tick());
    sweeps(&connections, 39);
    assert_eq!(control.told.load(Ordering::Relaxed), 0, "it is idle, not slow");
    sweeps(&connections, 2);
    assert_eq!(control.told.load(Ordering::Relaxed), CLOSE);
}

#[test]
fn who_sends_a_body_that_is_for_nothing_is_waited_for_a_while() {
    let connections = Connections::new(LIMITS);
    let (sends, sent, stops) = (connections.add(1), connections.add(2), connections.add(3));
    sends.begin_request(true);
    sent.begin_request(false);
    stops.begin_request(true);
    stops.tell(FINISH);
    let waits = [&sends, &sent, &stops].map(|control| control.begin_lingering(connections.tick()));
    assert_eq!(waits, [true, false, false]);
    sweeps(&connections, 8);
    assert_eq!(sends.told(), 0);
    sweeps(&connections, 1);
    assert_eq!(sends.told(), CLOSE);
}
