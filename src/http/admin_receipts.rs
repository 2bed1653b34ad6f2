//! `/admin/v1/receipts`: what people showed that no store knows, and what staff decide of it.

use hyper::Method;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::admin::{Admin, BODY_TIMEOUT, failed, to_reply};
use super::body;
use super::problem::Problem;
use super::reply::Reply;
use crate::backoffice::admin_api::{Honour, Void};
use crate::backoffice::receipts::SettleError;
use crate::domain::cause::Cause;
use crate::limits;

pub(super) async fn call(
    admin: &Admin,
    method: &Method,
    rest: &[&str],
    query: Option<&str>,
    body: Incoming,
) -> Result<Reply, Problem> {
    match (method, rest) {
        (&Method::GET, []) => {
            let after = match query.map(|query| query.strip_prefix("after=").and_then(|at| at.parse().ok())) {
                None => 0,
                Some(after) => after.ok_or_else(|| {
                    Problem::with_detail(Cause::BadRequest, "after must be the number of a receipt")
                })?,
            };
            to_reply(&admin.receipts.list(after).await.map_err(|error| failed(&error))?)
        }
        (&Method::POST, [number, "honour"]) => {
            let number = receipt_number(number)?;
            let Honour { from } = read(body).await?;
            to_reply(&admin.receipts.honour(number, from.as_deref()).await.map_err(refused)?)
        }
        (&Method::POST, [number, "void"]) => {
            let number = receipt_number(number)?;
            let Void { reason } = read(body).await?;
            to_reply(&admin.receipts.void(number, &reason).await.map_err(refused)?)
        }
        (_, []) => Err(Problem { allow: Some("GET"), ..Problem::from(Cause::MethodNotAllowed) }),
        (_, [_, "honour" | "void"]) => {
            Err(Problem { allow: Some("POST"), ..Problem::from(Cause::MethodNotAllowed) })
        }
        _ => Err(Cause::NotFound.into()),
    }
}

fn receipt_number(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| Cause::UnknownReceipt.into())
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Problem> {
    let body = body::read(body, limits::BODY_BYTES_MAX, BODY_TIMEOUT).await?;
    serde_json::from_slice(&body).map_err(|error| Problem::with_detail(Cause::BadRequest, error.to_string()))
}

fn refused(error: SettleError) -> Problem {
    match error {
        SettleError::Unknown(_) => Problem::with_detail(Cause::UnknownReceipt, error.to_string()),
        SettleError::Refused { .. } => Problem::with_detail(Cause::ReceiptRefused, error.to_string()),
        SettleError::Failed(what) => failed(&what),
    }
}
