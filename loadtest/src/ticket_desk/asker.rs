//! One connection to a ticket desk: challenge, work, ticket. Who is told to come later does so.

use std::time::Duration;

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request,
    client::conn::http1::{self, SendRequest},
    header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER},
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;

use crate::client::{answer, target::Target};

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often somebody comes again who is told to.
const ATTEMPTS_MAX: u32 = 20;
/// Who is told to come still later than this has been refused.
const WAIT_S_MAX: u64 = 600;
/// The most numbers that are tried. The hardest desk asks the busiest address for fewer.
const NUMBERS_MAX: u64 = 1_000_000_000;
/// Numbers tried between two breaths, so that others on the thread get on.
const NUMBERS_PER_BREATH: u64 = 20_000;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A challenge as the desk gives it.
#[derive(Debug, Deserialize)]
struct Challenge {
    algorithm: String,
    challenge: String,
    maxnumber: u64,
    salt: String,
    signature: String,
}

/// One connection to the desk.
pub(super) struct Asker {
    target: Target,
    sender: Option<SendRequest<Full<Bytes>>>,
    /// The address that it is said to come from.
    pub(super) forwarded_for: Option<HeaderValue>,
    /// Hashes computed so far.
    pub(super) hashes: u64,
    /// How often it was told to come later.
    pub(super) told_to_wait: u64,
}

/// An answer: its status, when to come again, its body.
struct Answer {
    status: u16,
    retry_after_s: Option<u64>,
    body: Bytes,
}

/// What somebody gets: the thing, or the code of the refusal.
type Given<T> = Result<T, String>;

impl Asker {
    /// Not connected yet.
    pub(super) fn new(target: Target) -> Self {
        Self { target, sender: None, forwarded_for: None, hashes: 0, told_to_wait: 0 }
    }

    /// A ticket for one identity, or the code of the refusal.
    ///
    /// # Errors
    /// The desk cannot be reached, or answers what no desk does.
    pub(super) async fn ticket(&mut self, drop: &str, identity: &str) -> Result<Given<String>> {
        let challenge = match self.ask(drop, "challenges", json!({})).await? {
            Ok(body) => serde_json::from_slice::<Challenge>(&body).context("the desk gave no challenge")?,
            Err(code) => return Ok(Err(code)),
        };
        let Some(solution) = self.solve(&challenge).await else { return Ok(Err("no_solution".to_owned())) };
        let asked = json!({ "identity": identity, "solution": solution });
        Ok(match self.ask(drop, "tickets", asked).await? {
            Ok(body) => {
                let given: serde_json::Value =
                    serde_json::from_slice(&body).context("the desk gave no ticket")?;
                let ticket = given.get("ticket").and_then(|ticket| ticket.as_str());
                Ok(ticket.context("the desk gave no ticket")?.to_owned())
            }
            Err(code) => Err(code),
        })
    }

    async fn ask(&mut self, drop: &str, what: &str, body: serde_json::Value) -> Result<Given<Bytes>> {
        let path = format!("/v1/drops/{drop}/{what}");
        let body = Bytes::from(body.to_string());
        let mut attempts = 0;
        loop {
            attempts += 1;
            let answer = tokio::time::timeout(PATIENCE, self.post(&path, body.clone())).await;
            let answer = answer.context("the desk does not answer")??;
            if answer.status == answer::CREATED {
                return Ok(Ok(answer.body));
            }
            let busy = matches!(answer.status, answer::TOO_MANY_REQUESTS | answer::SERVICE_UNAVAILABLE);
            let wait_s = answer.retry_after_s.filter(|seconds| *seconds <= WAIT_S_MAX);
            let wait_s = wait_s.filter(|_| busy && attempts < ATTEMPTS_MAX);
            let Some(seconds) = wait_s else {
                let code = answer::problem_code(&answer.body).into_owned();
                return Ok(Err(if code.is_empty() { format!("status {}", answer.status) } else { code }));
            };
            self.told_to_wait += 1;
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
            stream.set_nodelay(true)?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            // Ends with its sender.
            tokio::spawn(connection);
            sender
        };
        let mut request = Request::post(path)
            .header(HOST, self.target.address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        if let Some(address) = &self.forwarded_for {
            request.headers_mut().insert(FORWARDED_FOR, address.clone());
        }
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
    async fn solve(&mut self, challenge: &Challenge) -> Option<String> {
        let salted = Sha256::new().chain_update(&challenge.salt);
        let wanted = digest_of(&challenge.challenge).filter(|_| challenge.maxnumber <= NUMBERS_MAX)?;
        let mut number = 0;
        while *salted.clone().chain_update(number.to_string()).finalize() != wanted {
            number += 1;
            if number > challenge.maxnumber {
                self.hashes += number;
                return None;
            }
            if number % NUMBERS_PER_BREATH == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.hashes += number + 1;
        let solution = json!({
            "algorithm": challenge.algorithm, "challenge": challenge.challenge, "number": number,
            "salt": challenge.salt, "signature": challenge.signature,
        });
        Some(STANDARD.encode(solution.to_string()))
    }
}

/// The bytes of a SHA-256 in hex.
fn digest_of(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 2 * digest.len() {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some(digest)
}
