//! A client of the admin listener.
//!
//! Owns the calls that the command line makes: one connection a call, a bearer token, bounded times and sizes.
//! Prints nothing.

mod books;
mod drafts;
mod keys;
mod merchants;
mod quarantine;
mod vouchers;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::http::request::Builder;
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::admin_api::{
    Applied, BanPerson, CAMPAIGN_FILE_TYPE, CampaignList, CampaignView, Honour, LatePaymentList,
    LatePaymentView, LiftBan, PaymentRefunded, Problem, ReceiptList, ReceiptView, Recovery, Void,
};
use super::bans::{BanList, BanView};
use super::merchants::file::Flaw;
use crate::clock::UnixMs;
use crate::domain::cause::Cause;
use crate::domain::ids::CampaignId;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer may take; a recovery writes millions of claims first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// The longest answer that is read, in bytes: a thousand campaigns.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is not one.
    #[error("{0:?} is not an address of an admin listener: must be as in http://127.0.0.1:9090")]
    Address(String),
    /// Nobody answers.
    #[error("no answer from the admin listener at {address}: {cause}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// Why there was no answer.
        cause: String,
    },
    /// The service said no.
    #[error("{0}")]
    Refused(String),
    /// Somebody answers who is not of our kind.
    #[error("the answer from {address} is not one of an admin listener: {cause}")]
    Alien {
        /// Who answered.
        address: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// Where an admin listener is, and the token for it.
#[derive(Clone)]
pub struct AdminClient {
    /// `host:port`.
    address: String,
    token: String,
}

impl std::fmt::Debug for AdminClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminClient").field("address", &self.address).finish_non_exhaustive()
    }
}

impl AdminClient {
    /// A client of the listener at a socket address; one that listens everywhere is reached over loopback.
    #[must_use]
    pub fn at(listen: SocketAddr, token: String) -> Self {
        let ip = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Self { address: SocketAddr::new(ip, listen.port()).to_string(), token }
    }

    /// A client of the listener at `http://host:port`.
    ///
    /// # Errors
    /// [`AdminError::Address`] when `url` is of another form.
    pub fn at_url(url: &str, token: String) -> Result<Self, AdminError> {
        let refuse = || AdminError::Address(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| refuse())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(refuse)?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(refuse());
        }
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self { address: format!("{}:{port}", authority.host()), token })
    }

    /// Applies a campaign file's text; with `opens_at_ms` its drops are moved in time so that the first opens
    /// then.
    ///
    /// # Errors
    /// [`AdminError::Refused`] holds the service's sentence, which begins with the file's line where there is one.
    pub async fn apply(&self, file: String, opens_at_ms: Option<UnixMs>) -> Result<Applied, AdminError> {
        let path = match opens_at_ms {
            Some(at) => format!("/admin/v1/campaigns?opens_at_ms={at}"),
            None => "/admin/v1/campaigns".to_owned(),
        };
        self.call(Method::POST, &path, file.into()).await
    }

    /// All campaigns.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn list(&self) -> Result<CampaignList, AdminError> {
        self.call(Method::GET, "/admin/v1/campaigns", Bytes::new()).await
    }

    /// One campaign.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn show(&self, id: &CampaignId) -> Result<CampaignView, AdminError> {
        self.call(Method::GET, &format!("/admin/v1/campaigns/{id}"), Bytes::new()).await
    }

    /// Stops a campaign from granting.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn pause(&self, id: &CampaignId) -> Result<CampaignView, AdminError> {
        self.call(Method::POST, &format!("/admin/v1/campaigns/{id}/pause"), Bytes::new()).await
    }

    /// Lets a paused campaign grant again.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn resume(&self, id: &CampaignId) -> Result<CampaignView, AdminError> {
        self.call(Method::POST, &format!("/admin/v1/campaigns/{id}/resume"), Bytes::new()).await
    }

    /// Ends a campaign, for good.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn end(&self, id: &CampaignId) -> Result<CampaignView, AdminError> {
        self.call(Method::POST, &format!("/admin/v1/campaigns/{id}/end"), Bytes::new()).await
    }

    /// What a recovery would do.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn recovery(&self) -> Result<Recovery, AdminError> {
        self.call(Method::GET, "/admin/v1/recovery", Bytes::new()).await
    }

    /// Recovers what Redis has lost from the ledger.
    ///
    /// # Errors
    /// [`AdminError::Refused`] also when a loss would have to be accepted and is not.
    pub async fn recover(&self, accept_loss: bool) -> Result<Recovery, AdminError> {
        let path = if accept_loss { "/admin/v1/recovery?accept_loss=true" } else { "/admin/v1/recovery" };
        self.call(Method::POST, path, Bytes::new()).await
    }

    /// Receipts after number `after`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn receipts(&self, after: u64) -> Result<ReceiptList, AdminError> {
        self.call(Method::GET, &format!("/admin/v1/receipts?after={after}"), Bytes::new()).await
    }

    /// Gives the person of a receipt a unit of `from`, or of the receipt's own drop.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn honour(&self, number: u64, from: Option<String>) -> Result<ReceiptView, AdminError> {
        let body = to_body(&Honour { from })?;
        self.call(Method::POST, &format!("/admin/v1/receipts/{number}/honour"), body).await
    }

    /// Finds that nothing is owed for a receipt.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn void(&self, number: u64, reason: String) -> Result<ReceiptView, AdminError> {
        let body = to_body(&Void { reason })?;
        self.call(Method::POST, &format!("/admin/v1/receipts/{number}/void"), body).await
    }

    /// The bans after `cursor`, the `next` of the part before.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn bans(&self, cursor: Option<&str>) -> Result<BanList, AdminError> {
        let query = cursor.map_or_else(String::new, |cursor| format!("?after={cursor}"));
        self.call(Method::GET, &format!("/admin/v1/bans{query}"), Bytes::new()).await
    }

    /// Keeps a person out.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn ban(
        &self,
        person: String,
        reason: String,
        until: Option<String>,
    ) -> Result<BanView, AdminError> {
        self.call(Method::POST, "/admin/v1/bans", to_body(&BanPerson { person, reason, until })?).await
    }

    /// Lets a person in again.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn lift_ban(&self, person: String) -> Result<BanView, AdminError> {
        self.call(Method::POST, "/admin/v1/bans/lift", to_body(&LiftBan { person })?).await
    }

    /// Late payments after number `after`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn late_payments(&self, after: u64) -> Result<LatePaymentList, AdminError> {
        self.call(Method::GET, &format!("/admin/v1/late-payments?after={after}"), Bytes::new()).await
    }

    /// Notes that a late payment was refunded.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn payment_refunded(
        &self,
        number: u64,
        reference: String,
    ) -> Result<LatePaymentView, AdminError> {
        let body = to_body(&PaymentRefunded { reference })?;
        self.call(Method::POST, &format!("/admin/v1/late-payments/{number}/refunded"), body).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, AdminError> {
        self.answer(Request::builder().method(method).uri(path), body).await
    }

    /// A call that is done once for an idempotency key.
    async fn call_once<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        body: Bytes,
    ) -> Result<T, AdminError> {
        let head = Request::builder().method(Method::POST).uri(path).header("idempotency-key", key);
        self.answer(head, body).await
    }

    async fn answer<T: DeserializeOwned>(&self, head: Builder, body: Bytes) -> Result<T, AdminError> {
        let (done, bytes) = match timeout(ANSWER_TIMEOUT, self.exchange(head, body)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(self.unreachable(&format!("none within {} s", ANSWER_TIMEOUT.as_secs()))),
        };
        if done {
            return serde_json::from_slice(&bytes).map_err(|error| self.alien(&error));
        }
        let problem: Problem = serde_json::from_slice(&bytes).map_err(|error| self.alien(&error))?;
        if problem.code.as_deref() == Some(Cause::NotFound.code()) {
            return Err(self.alien(&"it has no such call; is that the public listener, or an older version?"));
        }
        let words = problem.detail.or(problem.title).or(problem.code);
        let mut words = words.unwrap_or_else(|| "the service gives no reason".to_owned());
        for Flaw { line, column, what } in problem.errors {
            let column = if column.is_empty() { column } else { format!(", {column}") };
            // Writing to a string cannot fail.
            let _ = write!(words, "\n  line {line}{column}: {what}");
        }
        Err(AdminError::Refused(words))
    }

    /// One request and its answer: whether it is a success, and its body.
    async fn exchange(&self, head: Builder, body: Bytes) -> Result<(bool, Bytes), AdminError> {
        let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.address)).await {
            Ok(stream) => stream.map_err(|error| self.unreachable(&error))?,
            Err(_) => return Err(self.unreachable(&"it does not accept connections")),
        };
        let request = head
            .header(HOST, &self.address)
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, CAMPAIGN_FILE_TYPE)
            .body(Full::new(body))
            .map_err(|error| AdminError::Refused(format!("the request cannot be made: {error}")))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.unreachable(&error))?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(|error| self.unreachable(&error))?;
            let done = answer.status().is_success();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((done, body.map_err(|error| self.unreachable(&error))?.to_bytes()))
        };
        tokio::pin!(exchange, connection);
        // The connection makes the exchange move; when it ends first, the exchange knows what there was of it.
        tokio::select! {
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }

    fn unreachable(&self, cause: &dyn std::fmt::Display) -> AdminError {
        AdminError::Unreachable { address: self.address.clone(), cause: cause.to_string() }
    }

    fn alien(&self, cause: &dyn std::fmt::Display) -> AdminError {
        AdminError::Alien { address: self.address.clone(), cause: cause.to_string() }
    }
}

/// A name as one segment of a path.
fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    name.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn to_body(value: &impl serde::Serialize) -> Result<Bytes, AdminError> {
    let body = serde_json::to_vec(value).map_err(|error| AdminError::Refused(error.to_string()))?;
    Ok(body.into())
}

#[cfg(test)]
mod tests {
    use super::AdminClient;

    #[test]
    fn an_address_is_a_plain_http_url() {
        for (url, address) in [
            ("http://127.0.0.1:9090", Some("127.0.0.1:9090")),
            ("http://admin.internal/", Some("admin.internal:80")),
            ("http://[::1]:9090", Some("[::1]:9090")),
            ("https://127.0.0.1:9090", None),
            ("127.0.0.1:9090", None),
            ("http://user:secret@host", None),
            ("http://host/path", None),
        ] {
            let made = AdminClient::at_url(url, String::new()).ok().map(|client| client.address);
            assert_eq!(made.as_deref(), address, "{url}");
        }
    }
}
