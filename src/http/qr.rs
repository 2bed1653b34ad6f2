//! `GET /v1/vouchers/{code}/qr`: what the holder shows at the till, as text and as a picture.

use std::sync::Arc;

use hyper::header::{ACCEPT, HeaderMap};
use qrcode::render::svg::Color;
use qrcode::types::QrError;
use qrcode::{EcLevel, QrCode};
use serde::Serialize;

use super::front::Front;
use super::problem::Problem;
use super::reply::{self, Reply};
use super::vouchers::{AskedVoucher, find, status_of};
use crate::backoffice::receipts::Shown;
use crate::clock::rfc3339;
use crate::domain::cause::Cause;
use crate::domain::life::State;

/// The least width and height of the picture, in its own units; it scales.
const SIDE_MIN: u32 = 240;
/// How long before the end of its time a payload should be replaced: at the till it must still be good.
const REFRESH_BEFORE_MS: i64 = 5_000;

/// In which form the QR code is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Payload, times and picture.
    Json,
    /// The picture alone.
    Svg,
}

impl Form {
    /// The picture where it is asked for by name, and not after JSON.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let kinds = accepts.flat_map(|list| list.split(','));
        for kind in kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim()) {
            if kind.eq_ignore_ascii_case("image/svg+xml") {
                return Self::Svg;
            }
            if kind.eq_ignore_ascii_case("application/json") {
                return Self::Json;
            }
        }
        Self::Json
    }
}

#[derive(Serialize)]
struct Shows<'a> {
    payload: &'a str,
    expires_at: String,
    server_time: String,
    valid_ms: i64,
    refresh_after_ms: i64,
    svg: &'a str,
}

/// 200 with the QR code of a voucher that is good, for its holder.
pub(super) async fn show(front: &Front, asked: AskedVoucher, form: Form) -> Result<Reply, Problem> {
    let (drop, number) = (Arc::clone(&asked.drop), asked.number);
    match find(front, asked).await? {
        Shown::Held { returned, claimed_at_ms, last } => {
            let status = status_of(front, &drop.rules().spec, claimed_at_ms, returned, last.as_deref());
            if status != State::Issued.as_str() {
                return Err(Problem::with_detail(Cause::VoucherNotLive, format!("it is {status}")));
            }
        }
        Shown::Receipt(_) => {
            return Err(Problem::with_detail(Cause::VoucherNotLive, "it is in review"));
        }
        Shown::NotTheirs => return Err(Cause::UnknownVoucher.into()),
    }
    // One clock for all front ends: who checks the payload goes by it too.
    let now_ms = front.gate.redis_now_ms(front.clock.now_ms());
    let payload = front.qr.sign(number, now_ms);
    let picture = draw(&payload.text).map_err(|error| {
        tracing::error!(%error, "a QR code could not be drawn");
        Problem::from(Cause::Unavailable)
    })?;
    if form == Form::Svg {
        return Ok(reply::private_svg(picture));
    }
    let valid_ms = payload.expires_at_ms - now_ms;
    let shows = Shows {
        payload: &payload.text,
        expires_at: rfc3339(payload.expires_at_ms),
        server_time: rfc3339(now_ms),
        valid_ms,
        refresh_after_ms: valid_ms - REFRESH_BEFORE_MS,
        // Where a page puts it, it stands in another document: without the head of one.
        svg: picture.split_once("?>").map_or(picture.as_str(), |(_, svg)| svg),
    };
    serde_json::to_string(&shows).map(reply::private_json).map_err(|_| Cause::Unavailable.into())
}

fn draw(payload: &str) -> Result<String, QrError> {
    let code = QrCode::with_error_correction_level(payload, EcLevel::M)?;
    Ok(code.render::<Color<'_>>().min_dimensions(SIDE_MIN, SIDE_MIN).build())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;
    use crate::domain::qr;

    #[test]
    fn the_picture_is_wanted_by_name() {
        let wanted = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            Form::wanted(&headers)
        };
        assert_eq!(Form::wanted(&HeaderMap::new()), Form::Json);
        assert_eq!((wanted("*/*"), wanted("application/json, image/svg+xml")), (Form::Json, Form::Json));
        for accept in
            ["image/svg+xml", "image/avif,IMAGE/SVG+XML;q=0.8,*/*;q=0.5", "image/svg+xml, application/json"]
        {
            assert_eq!(wanted(accept), Form::Svg, "{accept}");
        }
    }

    #[test]
    fn a_picture_has_as_many_modules_as_its_payload_needs() {
        let picture = draw(&format!("{}{}", qr::PREFIX, "Z".repeat(40))).expect("it fits");
        // Version 3, the smallest for 45 alphanumeric characters at level M: 29 modules and 4 of quiet zone on each side,
        // seven units each.
        assert!(picture.contains(r#"viewBox="0 0 259 259""#), "{}", &picture[..200]);
        assert!(picture.starts_with("<?xml") && picture.ends_with("</svg>"));
    }
}
