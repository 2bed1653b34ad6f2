//! A bare hyper server: what HTTP alone costs on the runtime settings of the service.

use anyhow::Result;
use bytes::Bytes;
use hyper::{Request, StatusCode, body::Incoming};

use super::{Answer, Reply, reply, serve};
use crate::cli::PeerArgs;

/// A reply of the size that a claim's has.
const CLAIM: &[u8] = br#"{"claim_id":"clm_echo_1","drop":"echo","seq":1,"voucher":"0123456789ABCDEFGHJKMNPQRSTVWXYZ0123456789ABCDEFGHJKMNPQ","status":"issued","claimed_at":"2023-11-20T10:00:00.000+08:00","valid_until":"2023-11-27T10:00:00+08:00","replayed":false}"#;

const _: () = assert!(CLAIM.len() >= 220 && CLAIM.len() <= 250, "a claim's reply has about 230 bytes");

#[derive(Clone)]
struct Echo;

impl Answer for Echo {
    async fn answer(&self, _: Request<Incoming>) -> Reply {
        reply(StatusCode::CREATED, Bytes::from_static(CLAIM))
    }
}

/// Serves until the process ends.
///
/// # Errors
/// The address cannot be listened on.
pub fn run(args: &PeerArgs) -> Result<()> {
    serve(args, || Ok(Echo))
}
