//! The client's end of a connection, and what is made of its figures.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::CPU_PATH;

/// One keep-alive connection; its replies to claims all have one length.
pub(crate) struct Client {
    stream: TcpStream,
    reply: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, reply: Vec::with_capacity(4_096) })
    }

    /// Sends a request and reads its reply: head, and a body as short as all are here.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<&str> {
        self.stream.write_all(request).await?;
        self.reply.clear();
        loop {
            ensure!(self.stream.read_buf(&mut self.reply).await? > 0, "the server has closed");
            let text = str::from_utf8(&self.reply)?;
            let Some(head) = text.find("\r\n\r\n") else { continue };
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
            if text.len() >= head + 4 + length.unwrap_or("0").parse::<usize>()? {
                return Ok(str::from_utf8(&self.reply)?);
            }
        }
    }

    pub(crate) async fn cpu_ns(&mut self) -> Result<f64> {
        let reply = self.ask(format!("GET {CPU_PATH} HTTP/1.1\r\nhost: claim\r\n\r\n").as_bytes()).await?;
        Ok(reply.rsplit("\r\n").next().unwrap_or_default().parse()?)
    }
}

/// The middle one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
