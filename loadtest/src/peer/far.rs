//! A way that takes long: passes on what comes, each byte held back for half a round trip there and half back.
//!
//! Stands before a server that is to seem far away, the Redis of a service for instance. Knows nothing of what it
//! passes on.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime,
    sync::Semaphore,
    task::spawn_local,
    time::sleep,
};

use super::ACCEPT_PAUSE;
use crate::{client::link::Way, scenario::SlowNetwork, streams};

/// The most connections that are passed on at a time; later ones wait.
const CONNECTIONS_MAX: usize = 1_024;
/// The longest round trip.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(10);
/// The line itself is as fast as can be: what is far is not narrow.
const BYTES_PER_SECOND: u64 = u64::MAX;

/// A way and its length.
#[derive(Debug, Args)]
pub struct FarArgs {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Where it leads
    #[arg(long, value_name = "ADDRESS")]
    pub to: SocketAddr,
    /// How much longer the way there and back takes, as in 10ms
    #[arg(long, value_name = "TIME", value_parser = round_trip)]
    pub round_trip: Duration,
}

/// Passes on until the process ends.
///
/// # Errors
/// The address cannot be listened on.
pub fn run(args: &FarArgs) -> Result<()> {
    let runtime =
        runtime::Builder::new_current_thread().enable_all().build_local(runtime::LocalOptions::default())?;
    runtime.block_on(async {
        let named = || format!("listen on {}", args.listen);
        let listener = TcpListener::bind(args.listen).await.with_context(named)?;
        let address = listener.local_addr()?;
        streams::print(&format!("listening on {address}, {:?} from {}\n", args.round_trip, args.to))?;
        let slow = SlowNetwork { round_trip: args.round_trip, bytes_per_second: BYTES_PER_SECOND };
        let way = Way { slow: Some(slow), ..Way::to(args.to) };
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let place = Arc::clone(&places).acquire_owned().await?;
            match listener.accept().await {
                Ok((stream, _)) => {
                    let way = way.clone();
                    spawn_local(async move {
                        // One that cannot be passed on, or breaks, concerns only its two ends.
                        let _ended = pass_on(stream, &way).await;
                        drop(place);
                    });
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    })
}

async fn pass_on(mut near: TcpStream, way: &Way) -> Result<()> {
    near.set_nodelay(true)?;
    let mut far = way.open().await?;
    copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}

fn round_trip(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time > ROUND_TRIP_MAX {
        return Err(format!("must be at most {}", humantime::format_duration(ROUND_TRIP_MAX)));
    }
    Ok(time)
}
