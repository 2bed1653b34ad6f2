//! Tickets through the service's own desk: identity, challenge, work, ticket, for many people before a rush.
//!
//! Owns the way from a file of identity tokens to a file of tickets. A refusal is counted by its code and is no failure:
//! a desk that lets everybody in proves nothing.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request,
    client::conn::http1::{self, SendRequest},
    header::{CONTENT_TYPE, HOST, RETRY_AFTER},
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;

use crate::{cli::threads, client::target::Target, tickets};

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often somebody comes again who is told to.
const ATTEMPTS_MAX: u32 = 20;

/// Gets tickets at the desk.
#[derive(Debug, Args)]
pub struct TicketsArgs {
    /// The service, `http://host:port`
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub target: String,
    /// The drop that the tickets are for
    #[arg(long, value_name = "DROP")]
    pub drop: String,
    /// Identity tokens of the sponsor's login, one a line
    #[arg(long, value_name = "FILE")]
    pub identities: PathBuf,
    /// The tickets that are given, one a line
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// People who ask at a time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = threads)]
    pub threads: usize,
}

/// A challenge as the desk gives it.
#[derive(Debug, Deserialize)]
struct Challenge {
    algorithm: String,
    challenge: String,
    maxnumber: u64,
    salt: String,
    signature: String,
}

/// What became of those who asked.
#[derive(Debug, Default)]
struct Outcome {
    /// In the order of their identities.
    tickets: Vec<String>,
    refused: BTreeMap<String, u64>,
    hashes: u64,
}

/// Gets the tickets and writes them.
///
/// # Errors
/// A file cannot be read or written, the service cannot be reached, or nobody gets a ticket.
pub fn run(args: &TicketsArgs) -> Result<()> {
    let text = tickets::read_lines(&args.identities, 0, None)?;
    let identities: Vec<&str> = text.lines().collect();
    let target = Target::new(&args.target, Method::POST, "/")?;
    let began = Instant::now();
    let share = identities.len().div_ceil(args.threads).max(1);
    let outcomes: Vec<Result<Outcome>> = thread::scope(|scope| {
        let workers: Vec<_> = identities
            .chunks(share)
            .map(|identities| scope.spawn(|| ask_for_all(&target, &args.drop, identities)))
            .collect();
        let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|joined| joined.unwrap_or_else(|_| anyhow::bail!("a worker failed"))).collect()
    });
    let mut all = Outcome::default();
    for outcome in outcomes {
        let outcome = outcome?;
        all.tickets.extend(outcome.tickets);
        all.hashes = all.hashes.saturating_add(outcome.hashes);
        for (code, count) in outcome.refused {
            *all.refused.entry(code).or_default() += count;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} tickets for {} identities in {seconds:.1} s, {} hashes",
        all.tickets.len(),
        identities.len(),
        all.hashes
    );
    for (code, count) in &all.refused {
        println!("  {count} refused: {code}");
    }
    ensure!(!all.tickets.is_empty(), "nobody got a ticket");
    let named = || format!("ticket file {}", args.out.display());
    let mut file = std::fs::File::create(&args.out).with_context(named)?;
    file.write_all((all.tickets.join("\n") + "\n").as_bytes()).with_context(named)?;
    file.sync_all().with_context(named)
}

fn ask_for_all(target: &Target, drop: &str, identities: &[&str]) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut desk = Desk { target, drop, sender: None, hashes: 0 };
        let mut outcome = Outcome::default();
        for identity in identities {
            match desk.ticket(identity).await? {
                Ok(ticket) => outcome.tickets.push(ticket),
                Err(code) => *outcome.refused.entry(code).or_default() += 1,
            }
        }
        outcome.hashes = desk.hashes;
        Ok(outcome)
    })
}

/// One connection to the desk.
struct Desk<'a> {
    target: &'a Target,
    drop: &'a str,
    sender: Option<SendRequest<Full<Bytes>>>,
    hashes: u64,
}

/// An answer: its status, when to come again, its body.
struct Answer {
    status: u16,
    retry_after_s: Option<u64>,
    body: Bytes,
}

impl Desk<'_> {
    /// A ticket for one identity, or the code of the refusal. Who is told to come later does so.
    async fn ticket(&mut self, identity: &str) -> Result<Result<String, String>> {
        let challenge = match self.ask("challenges", json!({})).await? {
            Ok(body) => serde_json::from_slice::<Challenge>(&body).context("the desk gave no challenge")?,
            Err(code) => return Ok(Err(code)),
        };
        let Some(solution) = self.solve(&challenge) else { return Ok(Err("no_solution".to_owned())) };
        Ok(match self.ask("tickets", json!({ "identity": identity, "solution": solution })).await? {
            Ok(body) => {
                let given: serde_json::Value =
                    serde_json::from_slice(&body).context("the desk gave no ticket")?;
                Ok(given
                    .get("ticket")
                    .and_then(|ticket| ticket.as_str())
                    .context("the desk gave no ticket")?
                    .to_owned())
            }
            Err(code) => Err(code),
        })
    }

    async fn ask(&mut self, what: &str, body: serde_json::Value) -> Result<Result<Bytes, String>> {
        let path = format!("/v1/drops/{}/{what}", self.drop);
        let body = Bytes::from(body.to_string());
        let mut attempts = 0;
        loop {
            attempts += 1;
            let answer = tokio::time::timeout(PATIENCE, self.post(&path, body.clone())).await;
            let answer = answer.context("the desk does not answer")??;
            if answer.status == 201 {
                return Ok(Ok(answer.body));
            }
            let wait_s = answer.retry_after_s.filter(|_| answer.status == 429 && attempts < ATTEMPTS_MAX);
            let Some(seconds) = wait_s else {
                let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                let code = problem.get("code").and_then(|code| code.as_str()).map(str::to_owned);
                return Ok(Err(code.unwrap_or_else(|| format!("status {}", answer.status))));
            };
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    }

    async fn post(&mut self, path: &str, body: Bytes) -> Result<Answer> {
        // Taken out: if this is given up half way, the connection goes with it.
        let kept = match self.sender.take() {
            Some(mut sender) => sender.ready().await.ok().map(|()| sender),
            None => None,
        };
        let mut sender = if let Some(sender) = kept {
            sender
        } else {
            let stream = TcpStream::connect(self.target.address).await.context("no connection")?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            // Ends with its sender.
            tokio::spawn(connection);
            sender
        };
        let request = Request::post(path)
            .header(HOST, self.target.address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let response = sender.send_request(request).await.context("no answer")?;
        let status = response.status().as_u16();
        let retry_after_s =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("half an answer: {error}"))?.to_bytes();
        self.sender = Some(sender);
        Ok(Answer { status, retry_after_s, body })
    }

    /// Finds the number behind a challenge, as a browser does.
    fn solve(&mut self, challenge: &Challenge) -> Option<String> {
        let salted = Sha256::new().chain_update(&challenge.salt);
        let number = (0..=challenge.maxnumber).find(|number| {
            self.hashes = self.hashes.saturating_add(1);
            hex(&salted.clone().chain_update(number.to_string()).finalize()) == challenge.challenge
        })?;
        let solution = json!({
            "algorithm": challenge.algorithm, "challenge": challenge.challenge, "number": number,
            "salt": challenge.salt, "signature": challenge.signature,
        });
        Some(STANDARD.encode(solution.to_string()))
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
