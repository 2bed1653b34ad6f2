//! Calls to other services: a few fixed hosts that the config names, never one that a request names.
//!
//! Owns the bounds of such a call: time, size, no redirects. That it goes by TLS, unless the host is this machine, the check of the
//! configuration has seen to ([`CallUrl::is_allowed`]).

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::config::CallUrl;

/// How long a call may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a call gave nothing. Its text may be logged.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {cause}")]
pub struct FetchError {
    /// What was asked, as [`CallUrl::shown`].
    pub url: String,
    /// What went wrong.
    pub cause: String,
}

/// What a signed message carries in its headers.
#[derive(Debug, Clone)]
pub struct Signature {
    /// The same each time that it is sent.
    pub id: String,
    /// Seconds since 1970.
    pub timestamp_s: i64,
    /// `v1,` and a MAC.
    pub signature: String,
}

/// A client for such calls. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Outbound {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// The calls cannot be made: this machine has no certificates to trust.
#[derive(Debug, thiserror::Error)]
#[error("the certificates of this machine cannot be used: {0}")]
pub struct NoCertificates(String);

impl Outbound {
    /// A client that trusts whom this machine trusts.
    ///
    /// # Errors
    /// [`NoCertificates`].
    pub fn new() -> Result<Self, NoCertificates> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| NoCertificates(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// What stands at a URL, at most `bytes_max` of it.
    ///
    /// # Errors
    /// [`FetchError`], also for any answer but 200.
    pub async fn get(&self, url: &CallUrl, bytes_max: usize) -> Result<String, FetchError> {
        self.call(Method::GET, url, None, bytes_max).await
    }

    /// The answer to a form.
    ///
    /// # Errors
    /// [`FetchError`], also for any answer but 200.
    pub async fn post_form(
        &self,
        url: &CallUrl,
        form: String,
        bytes_max: usize,
    ) -> Result<String, FetchError> {
        self.call(Method::POST, url, Some(form), bytes_max).await
    }

    /// Sends a signed message (Standard Webhooks).
    ///
    /// # Errors
    /// [`FetchError`], also for any answer but success.
    pub async fn post_signed(
        &self,
        url: &CallUrl,
        body: String,
        signature: &Signature,
    ) -> Result<(), FetchError> {
        let failed =
            |cause: &dyn std::fmt::Display| FetchError { url: url.shown(), cause: cause.to_string() };
        let request = Request::builder()
            .method(Method::POST)
            .uri(url.expose())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &signature.id)
            .header("webhook-timestamp", signature.timestamp_s)
            .header("webhook-signature", &signature.signature)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| failed(&error))?;
        match tokio::time::timeout(PATIENCE, self.client.request(request)).await {
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(failed(&format_args!("answered {}", answer.status()))),
            Ok(Err(error)) => Err(failed(&chain(&error))),
            Err(_) => Err(failed(&format_args!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    async fn call(
        &self,
        method: Method,
        url: &CallUrl,
        form: Option<String>,
        bytes_max: usize,
    ) -> Result<String, FetchError> {
        let failed =
            |cause: &dyn std::fmt::Display| FetchError { url: url.shown(), cause: cause.to_string() };
        let mut request = Request::builder().method(method).uri(url.expose());
        if form.is_some() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let request =
            request.body(Full::new(Bytes::from(form.unwrap_or_default()))).map_err(|error| failed(&error))?;
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|error| failed(&chain(&error)))?;
            if answer.status() != 200 {
                return Err(failed(&format_args!("answered {}", answer.status())));
            }
            let body = Limited::new(answer.into_body(), bytes_max).collect().await;
            let body = body.map_err(|error| failed(&error))?.to_bytes();
            String::from_utf8(body.into()).map_err(|_| failed(&"the answer is not UTF-8"))
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(failed(&format_args!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }
}

/// An error with its causes, as hyper's own text names none.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
