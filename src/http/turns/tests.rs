//! The order of the line, who leaves it, and that sockets are looked at in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;

const EACH: usize = 3;

/// Counts its calls.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bell {
    fn rung(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Somebody who waits, and a bell that tells them.
struct Someone<'t> {
    turn: Pin<Box<Turn<'t>>>,
    bell: Arc<Bell>,
}

impl<'t> Someone<'t> {
    fn new(turns: &'t Turns) -> Self {
        Self { turn: Box::pin(turns.take()), bell: Arc::default() }
    }

    fn has_turn(&mut self) -> bool {
        let waker = Waker::from(Arc::clone(&self.bell));
        self.turn.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
    }

    /// Waits in the line from here on.
    fn waiting(turns: &'t Turns) -> Self {
        let mut someone = Self::new(turns);
        assert!(!someone.has_turn(), "there is no turn left");
        someone
    }
}

/// A line with no turn left.
fn used_up() -> Turns {
    let turns = Turns::new(EACH);
    for _ in 0..EACH {
        assert!(Someone::new(&turns).has_turn(), "the first go at once");
    }
    turns
}

#[test]
fn those_who_wait_go_in_their_order_a_few_at_a_time() {
    let turns = used_up();
    let mut waiting: Vec<_> = (0..=2 * EACH).map(|_| Someone::waiting(&turns)).collect();
    for served in [EACH, 2 * EACH, 2 * EACH + 1] {
        turns.line().go_on(EACH);
        let rung: Vec<_> = waiting.iter().map(|someone| someone.bell.rung()).collect();
        let expected: Vec<_> = (0..waiting.len()).map(|n| usize::from(n < served)).collect();
        assert_eq!(rung, expected);
        let has_turn: Vec<_> = waiting.iter_mut().skip(served).map(Someone::has_turn).collect();
        assert!(has_turn.iter().all(|has| !has), "asking again gives nobody a better place");
    }
    assert!(waiting.iter_mut().all(Someone::has_turn));
    let mut last: Vec<_> = (0..EACH).map(|_| Someone::new(&turns)).collect();
    let at_once = last.iter_mut().map(Someone::has_turn).filter(|has| *has).count();
    assert_eq!(at_once, EACH - 1, "what the last one left");
}

#[test]
fn who_goes_away_leaves_the_line_and_takes_no_turn() {
    let turns = used_up();
    let mut waiting: Vec<_> = (0..8).map(|_| Some(Someone::waiting(&turns))).collect();
    for gone in [0, 2, 7, 6] {
        waiting[gone] = None;
    }
    assert_eq!(turns.line().waiting.len(), 6, "those at the end are gone at once");
    let mut late = Someone::waiting(&turns);
    turns.line().go_on(EACH);
    let has_turn: Vec<_> = waiting.iter_mut().flatten().map(Someone::has_turn).collect();
    assert_eq!(has_turn, [true, true, true, false], "the places of those who went are passed over");
    drop(waiting);
    assert!(!late.has_turn());
    turns.line().go_on(EACH);
    assert!(late.has_turn());
    let line = turns.line();
    assert_eq!((line.waiting.len(), line.left), (0, EACH - 1));
}

#[test]
fn whoever_waits_is_woken_where_it_waits_now() {
    let turns = used_up();
    let mut moved = Someone::waiting(&turns);
    let before = std::mem::take(&mut moved.bell);
    assert!(!moved.has_turn());
    turns.line().go_on(EACH);
    assert_eq!((before.rung(), moved.bell.rung()), (0, 1));
}

#[tokio::test]
async fn the_keeper_sleeps_while_nobody_looks() {
    let turns = Arc::new(Turns::new(EACH));
    let keeper = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move { turns.keep().await }
    });
    for _ in 0..3 {
        while turns.line().keeper.is_none() {
            tokio::task::yield_now().await;
        }
        turns.take().await;
        assert!(turns.line().keeper.is_none(), "it was woken");
    }
    keeper.abort();
}

/// Many look at once, and a byte comes for somebody else after the first of them have been served.
#[tokio::test]
async fn the_sockets_are_looked_at_between_two_turns() {
    let turns = Arc::new(Turns::new(EACH));
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let served = Arc::new(AtomicUsize::new(0));
    let keeper = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move { turns.keep().await }
    });
    let claim = tokio::spawn({
        let served = Arc::clone(&served);
        async move {
            far.read_u8().await.unwrap();
            served.load(Ordering::Relaxed)
        }
    });
    // It waits at its socket before anybody looks.
    tokio::task::yield_now().await;
    let looks: Vec<_> = (0..100)
        .map(|_| {
            let (turns, served) = (Arc::clone(&turns), Arc::clone(&served));
            tokio::spawn(async move {
                turns.take().await;
                served.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    while served.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let before = served.load(Ordering::Relaxed);
    assert!(before <= 2 * EACH, "{before} were served before the sockets were looked at twice");
    near.write_all(b"c").await.unwrap();
    let at_claim = claim.await.unwrap();
    assert!(at_claim <= before + 2 * EACH, "{before} were served when it came, {at_claim} when it was seen");
    for look in looks {
        look.await.unwrap();
    }
    assert_eq!(served.load(Ordering::Relaxed), 100, "nobody is forgotten");
    keeper.abort();
}
