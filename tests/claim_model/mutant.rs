//! A connection to a Redis on which one of the scripts is another one than it should be.

use claimrush::redis::scripts::Script;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Arg, Cmd, Pipeline, RedisFuture, Value, cmd};

/// A connection, and what is run on it in the place of a script.
pub(crate) struct Connection {
    inner: MultiplexedConnection,
    /// The digest by which a script is called, and the text that answers.
    instead: Option<(String, String)>,
}

impl Connection {
    /// One on which every script is itself.
    pub(crate) fn new(inner: MultiplexedConnection) -> Self {
        Self { inner, instead: None }
    }

    /// One on which `source` is run where `script` is called.
    pub(crate) fn with(inner: MultiplexedConnection, script: &Script, source: &str) -> Self {
        Self { inner, instead: Some((script.sha().to_owned(), source.to_owned())) }
    }

    /// The call that takes the place of this one, if it is of the script.
    fn in_place_of(&self, call: &Cmd) -> Option<Cmd> {
        let (sha, source) = self.instead.as_ref()?;
        let mut arguments = call.args_iter().filter_map(|argument| match argument {
            Arg::Simple(bytes) => Some(bytes),
            _ => None,
        });
        if arguments.next()? != b"EVALSHA" || arguments.next()? != sha.as_bytes() {
            return None;
        }
        let mut eval = cmd("EVAL");
        eval.arg(source);
        for argument in arguments {
            eval.arg(argument);
        }
        Some(eval)
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, call: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            match self.in_place_of(call) {
                Some(eval) => self.inner.req_packed_command(&eval).await,
                None => self.inner.req_packed_command(call).await,
            }
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.inner.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.inner.get_db()
    }
}
