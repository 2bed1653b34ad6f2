//! Which Redis campaigns are loaded into and written to: one that was compared, and whose settings keep what is promised.
//!
//! Owns that both are asked again where it counts: the server that answers may be another one by now, and its settings may be
//! changed while it runs.

use deadpool_redis::Connection;

use super::{Campaigns, LoadError};
use crate::redis::peer::Peer;
use crate::redis::pool;
use crate::redis::scripts::ScriptError;
use crate::redis::server_check::{self, ServerRefused};

impl Campaigns {
    /// A connection to the server that was compared last. Another one may lack claims, and whatever is written there
    /// may hide that before it is known.
    ///
    /// # Errors
    /// Redis' own; or another server is there, and is to be compared.
    pub(in crate::backoffice) async fn compared_redis(&self) -> redis::RedisResult<Connection> {
        let mut connection = pool::checkout(&self.pool).await?;
        if self.is_compared(&mut connection).await? {
            return Ok(connection);
        }
        Err(redis::RedisError::from((redis::ErrorKind::Io, "another Redis is there and is being compared")))
    }

    /// Whether a connection leads to the server that was compared last; where it does not, a comparison is asked for.
    pub(super) async fn is_compared(&self, connection: &mut Connection) -> redis::RedisResult<bool> {
        let peer = Peer::learn(connection).await?;
        let is_compared = self.gate.trust.is_for(&peer.run_id);
        if !is_compared {
            self.gate.trust.ask();
        }
        Ok(is_compared)
    }

    /// Looks whether the trusted server's settings still keep what an acknowledgement promises: somebody may have changed
    /// them. If they do not it is given no claims until it was compared again, which names what is to be set.
    ///
    /// # Errors
    /// Redis' own: nothing is known then.
    pub async fn check_settings(&self) -> redis::RedisResult<()> {
        let mut connection = pool::checkout(&self.pool).await?;
        let peer = Peer::learn(&mut connection).await?;
        if !self.gate.trust.is_for(&peer.run_id) {
            return Ok(());
        }
        match self.check_fit(&mut connection, &peer).await {
            Err(LoadError::Redis(ScriptError::Redis(error))) => Err(error),
            // Whoever compares it says so.
            _ => Ok(()),
        }
    }

    /// Refuses a server that is not to be trusted with claims as it is set, and trusts it no more.
    pub(super) async fn check_fit(&self, connection: &mut Connection, peer: &Peer) -> Result<(), LoadError> {
        let Err(refused) = server_check::check(connection, self.ack).await else { return Ok(()) };
        if !matches!(refused, ServerRefused::Unreachable(_)) {
            self.gate.trust.withdraw(&peer.run_id);
        }
        Err(refused.into())
    }
}
