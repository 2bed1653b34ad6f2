//! One kept-alive connection over which small pages are read.
//!
//! Knows HTTP and no page's content. Everything is bounded: the time by its caller, the size here.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request, Uri,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The largest page that is read, in bytes.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Reads pages of one server; opens its connection when needed.
pub(crate) struct Fetch {
    /// `host:port`, resolved anew with every connection.
    server: String,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

impl Fetch {
    /// Pages of `url` (`http://host[:port]`). Connects to nothing yet.
    ///
    /// # Errors
    /// The URL is not plain HTTP or has no host.
    pub(crate) fn new(url: &str) -> Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("address {url}"))?;
        ensure!(uri.scheme_str() == Some("http"), "address {url}: only http:// is spoken");
        let host = uri.host().with_context(|| format!("address {url} has no host"))?;
        Ok(Self { server: format!("{host}:{}", uri.port_u16().unwrap_or(80)), connection: None })
    }

    /// Reads a page. To be called again after an error: it then starts with a new connection.
    ///
    /// # Errors
    /// There is no connection, no whole answer, or one that is not 200.
    pub(crate) async fn page(&mut self, path: &str) -> Result<Bytes> {
        // Taken out: if this is given up half way, the connection goes with it.
        let mut sender = match self.usable().await {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        let request = Request::get(path).header(header::HOST, &self.server).body(Empty::new())?;
        let response = sender.send_request(request).await.context("no answer")?;
        let status = response.status();
        let body = Limited::new(response.into_body(), PAGE_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("half an answer: {error}"))?.to_bytes();
        self.connection = Some(sender);
        ensure!(status == hyper::StatusCode::OK, "answered {}", status.as_u16());
        Ok(body)
    }

    /// The kept connection, if the server has not closed it meanwhile.
    async fn usable(&mut self) -> Option<SendRequest<Empty<Bytes>>> {
        let mut kept = self.connection.take()?;
        kept.ready().await.ok().map(|()| kept)
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>> {
        let stream = TcpStream::connect(&self.server).await.context("no connection")?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with its sender; what it ends with, the sender's next call tells.
        tokio::spawn(connection);
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_is_read() {
        assert_eq!(Fetch::new("http://[::1]:9090").unwrap().server, "[::1]:9090");
        assert_eq!(Fetch::new("http://shop.example/").unwrap().server, "shop.example:80");
        for url in ["https://127.0.0.1", "127.0.0.1:9090", "http://", ""] {
            assert!(Fetch::new(url).is_err(), "{url}");
        }
    }
}
