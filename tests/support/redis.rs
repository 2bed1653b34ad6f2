//! A real redis-server for one test: on a unix socket in a temporary folder, ended with its owner.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

/// How long a server may take until it answers, and then with each answer: a busy machine fails no test.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A running redis-server. Dropping it kills this server and nothing else, and removes its folder.
pub(crate) struct TestRedis {
    server: Child,
    client: redis::Client,
    _folder: TempDir,
}

impl TestRedis {
    /// Starts a server that keeps everything in memory alone.
    pub(crate) async fn start() -> Self {
        Self::start_with(&["--appendonly", "no", "--save", ""]).await
    }

    /// Starts a server with these further arguments and waits until it answers.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = folder.path().join("redis.sock");
        let server = Command::new("redis-server")
            .args(["--port", "0", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(folder.path())
            .args(arguments)
            .stdout(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .expect("redis-server is on the PATH");
        let url = format!("redis+unix://{}", socket.display());
        let client = redis::Client::open(url).expect("a well-formed address");
        let started = Self { server, client, _folder: folder };
        started.wait_until_it_answers().await;
        started
    }

    /// A new connection to it.
    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        let patient = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_MAX))
            .set_response_timeout(Some(ANSWER_MAX));
        let connection = self.client.get_multiplexed_async_connection_with_config(&patient).await;
        connection.expect("the server answers")
    }

    async fn wait_until_it_answers(&self) {
        let deadline = Instant::now() + ANSWER_MAX;
        loop {
            if let Ok(mut conn) = self.client.get_multiplexed_async_connection().await
                && redis::cmd("PING").query_async::<String>(&mut conn).await.is_ok()
            {
                return;
            }
            assert!(Instant::now() < deadline, "redis-server did not answer within {ANSWER_MAX:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        let _gone = self.server.kill();
        let _reaped = self.server.wait();
    }
}
