//! Those who send a header byte by byte, to keep a connection busy.
//!
//! Speaks to the socket itself: no HTTP library sends half a header.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{counting::Moments, desk::Desk, pacer::Arrival};
use crate::client::link::Link;

/// The header that never ends.
const ENDLESS: &[u8] = b"x-slow: ";
/// Where the status stands in the first line of a reply, `HTTP/1.1 408 …`.
const STATUS: std::ops::Range<usize> = 9..12;

/// How it ended.
enum End {
    /// The service answered.
    Answered(u16),
    /// The service closed.
    ClosedOn,
    /// Nobody stopped it.
    HeldOut,
}

/// Holds one connection as long as it may.
pub(crate) async fn run(desk: &Desk, arrival: &Arrival, every: Duration, hold: Duration) {
    let persona = arrival.persona;
    let Ok(mut link) = desk.plan.way.open().await else {
        return desk.count(|counting| {
            let mishaps = counting.mishaps(persona)?;
            mishaps.connect_failures += 1;
            mishaps.unsent += 1;
            Ok(())
        });
    };
    let sent = Instant::now();
    desk.count(|counting| counting.sent(persona, sent));
    let end = drip(&mut link, desk, arrival, every, sent + hold).await;
    desk.count(|counting| match end {
        End::Answered(status) => {
            counting.answered(persona, status, "", Moments { intended: arrival.due, sent })
        }
        End::ClosedOn => {
            counting.mishaps(persona)?.closed_on += 1;
            Ok(())
        }
        End::HeldOut => {
            counting.mishaps(persona)?.unsent += 1;
            Ok(())
        }
    });
}

async fn drip(link: &mut Link, desk: &Desk, arrival: &Arrival, every: Duration, until: Instant) -> End {
    let drop = desk.plan.choices.drop(arrival.n);
    let head =
        desk.plan.targets.get(drop).map(|targets| targets.claim.head(arrival.person)).unwrap_or_default();
    for byte in head.iter().chain(ENDLESS).chain(std::iter::repeat(&b'a')) {
        if link.write_all(&[*byte]).await.is_err() || link.flush().await.is_err() {
            return End::ClosedOn;
        }
        let next_at = Instant::now() + every;
        let mut reply = [0_u8; 512];
        let came = tokio::select! {
            read = link.read(&mut reply) => Some(read),
            () = desk.sleep_until(next_at.min(until)) => None,
        };
        match came {
            None if next_at >= until || desk.is_over() => return End::HeldOut,
            None => {}
            Some(Ok(read)) if read > 0 => {
                let status =
                    reply.get(STATUS).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
                let status = status.filter(|status| (100..1_000).contains(status));
                return status.map_or(End::ClosedOn, End::Answered);
            }
            Some(_) => return End::ClosedOn,
        }
    }
    End::HeldOut
}
