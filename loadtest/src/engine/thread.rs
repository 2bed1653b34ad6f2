//! One thread slot of a run: its runtime, its connections, its part of the schedule.
//!
//! Shares nothing with other threads but what nobody changes, and a few counters.

use std::{
    rc::Rc,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{
    runtime,
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, sleep_until},
};

use super::{
    caller::Caller,
    counting::Counting,
    desk::Desk,
    errand::Line,
    meter::{Meter, PUBLISH_EVERY},
    plan::{DropTargets, Plan},
    stock::{Clerk, Stock},
    timer::Timer,
    turns::Turns,
};
use crate::{
    claims_log::Pen,
    client::{link::Way, wire::Wire},
    scenario::{Arrivals, Reuse, Scenario},
    schedule::{Choices, Schedule},
    tally::Tally,
};

/// Connections of one thread that are opened at the same time: a listener's queue is short.
const CONNECTING_MAX: usize = 64;
/// How long the first connection may be tried for.
const FIRST_CONNECT_WAIT: Duration = Duration::from_secs(3);
/// The pause before the first connection is tried again.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);
/// Hand-overs to the meter between two of the claims log.
const PUBLISHED_PER_FLUSH: u32 = 4;
/// Arrivals are let go no more often than this: at high rates one wake-up lets several go.
const TICK_MIN: Duration = Duration::from_micros(100);

/// What one thread needs.
pub(crate) struct Post {
    pub(crate) scenario: Arc<Scenario>,
    /// This thread's share.
    pub(crate) schedule: Schedule,
    pub(crate) stock: Arc<Stock>,
    pub(crate) targets: Vec<DropTargets>,
    pub(crate) way: Way,
    pub(crate) slot: usize,
    pub(crate) slots: usize,
    pub(crate) planned: Duration,
    pub(crate) interval: Duration,
    pub(crate) turns: Arc<Turns>,
    pub(crate) pen: Option<Pen>,
    pub(crate) meter: Arc<Meter>,
    /// Told how many connections stand, and let go then.
    pub(crate) ready: Option<mpsc::Sender<u64>>,
    /// Tells the start; gone when there will be none.
    pub(crate) go: mpsc::Receiver<Instant>,
    /// What is wanted of the thread.
    pub(crate) wish: watch::Receiver<Wish>,
}

/// What is wanted of a thread; a later wish includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    /// Do the job.
    GoOn,
    /// Let nobody in any more.
    Stop,
    /// Wait for nothing any more either.
    Halt,
}

impl Post {
    /// Runs this thread's part on a runtime of its own.
    ///
    /// # Errors
    /// The runtime or its timer cannot be made, or the claims log cannot be written.
    pub(crate) fn run(mut self) -> Result<Tally> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(runtime::LocalOptions::default())
            .context("runtime")?;
        let connections = match self.scenario.connections.reuse {
            Reuse::KeepAlive => part_of(self.scenario.connections.count, self.slot, self.slots),
            // One that only shows whether anybody is there.
            Reuse::PerPerson | Reuse::NewEach => 1,
        };
        let wires = runtime.block_on(connect_all(&self.way, connections));
        let open = wires.iter().flatten().count() as u64;
        if let Some(ready) = self.ready.take() {
            // Where nobody waits any more, there is no start either.
            let _told = ready.send(open);
        }
        match self.go.recv() {
            Ok(start) => runtime.block_on(self.work(wires, start)),
            Err(_no_start) => {
                let personas = self.scenario.personas.iter();
                Tally::new(personas.map(|it| (it.title(), it.behaviour.kind())), self.interval)
            }
        }
    }

    async fn work(self, wires: Vec<Option<Wire>>, start: Instant) -> Result<Tally> {
        let scenario = Arc::clone(&self.scenario);
        let counting = Counting::new(&scenario, self.interval, start, self.meter)?;
        let plan = Plan {
            choices: Choices::new(&scenario),
            clerk: Clerk::new(self.stock)?,
            targets: self.targets,
            way: self.way,
            slot: self.slot as u64,
            slots: self.slots as u64,
            sessions_max: part_of(scenario.connections.sessions_max, self.slot, self.slots),
            turns: self.turns,
            scenario,
        };
        let desk = Rc::new(Desk::new(plan, start, self.planned, counting, self.pen));
        let mut callers = call(&desk, wires);
        let mut wish = self.wish;
        let telling = tokio::task::spawn_local(tell_regularly(Rc::clone(&desk)));
        let closing = tokio::task::spawn_local(close_in_time(Rc::clone(&desk)));
        tokio::select! {
            biased;
            () = told(&mut wish, Wish::Stop) => desk.stop(),
            () = desk.fails() => desk.stop(),
            kept = keep_schedule(&desk, self.schedule) => kept?,
        }
        let stopping = tokio::task::spawn_local({
            let (desk, mut wish) = (Rc::clone(&desk), wish.clone());
            async move {
                tokio::select! {
                    () = told(&mut wish, Wish::Stop) => {}
                    () = desk.fails() => {}
                }
                desk.stop();
            }
        });
        tokio::select! {
            biased;
            () = told(&mut wish, Wish::Halt) => {
                desk.stop();
                callers.abort_all();
                desk.sessions.abort_all();
            }
            () = all_over(&mut callers, &desk) => {}
        }
        // Those that were ended note what they leave unknown.
        all_over(&mut callers, &desk).await;
        for task in [telling, closing, stopping] {
            task.abort();
        }
        finish(&desk)
    }
}

/// A slot's part of a number; never nothing.
fn part_of(number: usize, slot: usize, slots: usize) -> usize {
    (number / slots + usize::from(slot < number % slots)).max(1)
}

/// One caller for each connection that is kept, or in the closed model with a new one each, that would be.
fn call(desk: &Rc<Desk>, wires: Vec<Option<Wire>>) -> JoinSet<()> {
    let scenario = &desk.plan.scenario;
    let mut callers = JoinSet::new();
    let mut wires = wires.into_iter();
    let number = match (&scenario.connections.reuse, &scenario.arrivals) {
        (Reuse::KeepAlive, _) => wires.len(),
        (Reuse::PerPerson | Reuse::NewEach, Arrivals::Closed { .. }) => {
            let [slot, slots] = [desk.plan.slot, desk.plan.slots].map(|it| usize::try_from(it).unwrap_or(1));
            part_of(scenario.connections.count, slot, slots)
        }
        (Reuse::PerPerson | Reuse::NewEach, _) => 0,
    };
    for _ in 0..number {
        let wire = wires.next().flatten();
        let line = Line::new(desk, desk.plan.way.clone(), wire, 0);
        callers.spawn_local(Caller { line }.run());
    }
    callers
}

/// Lets arrivals go when they are due.
async fn keep_schedule(desk: &Rc<Desk>, schedule: Schedule) -> Result<()> {
    if matches!(desk.plan.scenario.arrivals, Arrivals::Closed { .. }) {
        return Ok(());
    }
    let timer = Timer::new().context("timer")?;
    let mut schedule = schedule.peekable();
    let mut tickets_left = true;
    while let Some(next) = schedule.peek().filter(|_| tickets_left) {
        let (now, due_at) = (Instant::now(), desk.start + next.at);
        if due_at > now {
            timer.wait_for((due_at - now).max(TICK_MIN)).await.context("timer")?;
            continue;
        }
        while let Some(due) = schedule.next_if(|next| desk.start + next.at <= now) {
            tickets_left = desk.release(due, now).is_some();
            if !tickets_left {
                break;
            }
        }
        // What is due by now may be more than this thread can let go: connections have their turn in between.
        tokio::task::yield_now().await;
    }
    if desk.plan.serves_the_rest() || !tickets_left {
        desk.pacer.end();
        desk.all_came();
    }
    Ok(())
}

/// Sends those away who still wait when nobody is let in any more.
async fn close_in_time(desk: Rc<Desk>) {
    sleep_until(desk.last_call().into()).await;
    desk.dismiss();
}

/// Waits for the last one on a connection.
async fn all_over(callers: &mut JoinSet<()>, desk: &Desk) {
    while let Some(ended) = callers.join_next().await {
        desk.note_end(ended);
    }
    desk.sessions.all_over().await;
    // The last ones let go of their connections before they end.
    while let Some(ended) = desk.sessions.ended() {
        desk.note_end(ended);
    }
}

/// Waits for a wish or a graver one; for ever when nobody can tell it any more.
async fn told(wish: &mut watch::Receiver<Wish>, least: Wish) {
    if wish.wait_for(|wish| *wish >= least).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Hands over numbers for the live view, and each second's claims, so that a killed generator leaves a log of almost
/// all that it saw.
async fn tell_regularly(desk: Rc<Desk>) {
    loop {
        for _ in 0..PUBLISHED_PER_FLUSH {
            sleep(PUBLISH_EVERY).await;
            desk.count(Counting::publish);
        }
        let flushed = desk.pen.borrow_mut().as_mut().map_or(Ok(()), Pen::flush);
        desk.note(flushed);
    }
}

/// What the thread counted.
fn finish(desk: &Desk) -> Result<Tally> {
    if let Some(mut pen) = desk.pen.borrow_mut().take() {
        desk.note(pen.flush());
    }
    desk.count(Counting::publish);
    if let Some(fault) = desk.take_fault() {
        return Err(fault);
    }
    let tally = desk.counting.borrow_mut().finish()?;
    Ok(Tally { let_in_until: desk.let_in_until(), ..tally })
}

/// Opens connections, a few at a time; `None` for those that could not be opened in time.
async fn connect_all(way: &Way, connections: usize) -> Vec<Option<Wire>> {
    let give_up_at = Instant::now() + FIRST_CONNECT_WAIT;
    let turns = Rc::new(Semaphore::new(CONNECTING_MAX));
    let mut opening = JoinSet::new();
    for _ in 0..connections {
        let (turns, way) = (Rc::clone(&turns), way.clone());
        opening.spawn_local(async move {
            let _turn = turns.acquire().await.ok()?;
            loop {
                match Wire::open_by(&way).await {
                    Ok(wire) => return Some(wire),
                    Err(_) if Instant::now() >= give_up_at => return None,
                    Err(_) => sleep(CONNECT_PAUSE).await,
                }
            }
        });
    }
    let mut wires = Vec::with_capacity(connections);
    while let Some(opened) = opening.join_next().await {
        wires.push(opened.ok().flatten());
    }
    wires
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_and_are_never_nothing() {
        let parts = |number| (0..3).map(|slot| part_of(number, slot, 3)).collect::<Vec<_>>();
        assert_eq!(parts(10), [4, 3, 3]);
        assert_eq!(parts(1), [1, 1, 1]);
    }
}
