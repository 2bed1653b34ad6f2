//! What the readers of paths and bodies make of bytes, for those who throw bytes at them (the crate `fuzz`).

use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::body::check_json;
use super::route::{Route, route};

/// The id in a path that there is and that has one, whatever method it takes.
#[must_use]
pub fn id_in_path(path: &str) -> Option<String> {
    let found = [Method::GET, Method::POST].iter().find_map(|method| route(method, path).ok())?;
    match found {
        Route::Claim(id)
        | Route::Mine(id)
        | Route::Challenge(id)
        | Route::Ticket(id)
        | Route::Drop(id)
        | Route::Voucher(id)
        | Route::VoucherQr(id)
        | Route::Confirm(id)
        | Route::Cancel(id)
        | Route::Redeem(id)
        | Route::Refund(id)
        | Route::Reverse(id)
        | Route::Campaign(id) => Some(id.to_owned()),
        Route::Campaigns | Route::Time | Route::Page | Route::HandOver | Route::Asset | Route::Demo => None,
    }
}

/// Whether a body passes for one JSON object, or for none.
#[must_use]
pub fn is_json_object(body: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    check_json(&headers, body).is_ok()
}
