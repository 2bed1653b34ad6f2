//! What a claim and an idle connection cost in memory.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use super::service::{DROP, Service};
use crate::cpu;

/// Kept-alive connections that are held open.
const CONNECTIONS: u64 = 10_000;
/// Descriptors that a process needs beside them.
const DESCRIPTORS_SPARE: u64 = 256;
const REPLY_WAIT: Duration = Duration::from_secs(5);

/// What was found.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    /// Redis memory a claim, once drained, in bytes.
    pub redis_bytes_per_claim: f64,
    /// Claims over which it was measured.
    pub claims: u64,
    /// Service memory an idle kept-alive connection, in bytes.
    pub bytes_per_connection: f64,
    /// Connections over which it was measured.
    pub connections: u64,
}

/// Measures a drained service that has granted `claims`.
///
/// # Errors
/// The descriptor limit is too low, or the service does not hold the connections.
pub fn measure(service: &Service, claims: u64) -> Result<Memory> {
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    ensure!(
        allowed >= CONNECTIONS + DESCRIPTORS_SPARE,
        "the limit of {allowed} open descriptors is too low for {CONNECTIONS} connections: raise it (ulimit -n)"
    );
    let redis_bytes = service.redis_bytes()?.saturating_sub(service.redis_bytes_before);
    let resident = || cpu::resident_bytes(service.pid).context("the service has ended");
    let before = resident()?;
    let held: Vec<TcpStream> = (0..CONNECTIONS).map(|_| hold(service)).collect::<Result<_>>()?;
    let after = resident()?;
    Ok(Memory {
        redis_bytes_per_claim: redis_bytes as f64 / claims.max(1) as f64,
        claims,
        bytes_per_connection: after.saturating_sub(before) as f64 / held.len() as f64,
        connections: CONNECTIONS,
    })
}

/// A connection that has had one answer and is kept alive.
fn hold(service: &Service) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(service.listen)?;
    stream.set_read_timeout(Some(REPLY_WAIT))?;
    // In one piece, as clients send it: a header that comes in crumbs costs a larger buffer.
    let request = format!("GET /v1/drops/{DROP} HTTP/1.1\r\nHost: {}\r\n\r\n", service.listen);
    stream.write_all(request.as_bytes())?;
    let mut start = [0_u8; 12];
    stream.read_exact(&mut start).context("the state of the drop")?;
    ensure!(start.ends_with(b"200"), "the state of the drop: {}", String::from_utf8_lossy(&start));
    Ok(stream)
}
