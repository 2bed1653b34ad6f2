//! Paths: which there are, and which methods each takes.

use std::sync::LazyLock;

use hyper::Method;
use matchit::Router;

use super::problem::Problem;
use crate::domain::cause::Cause;

/// What a public request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'p> {
    /// Take a claim in this drop.
    Claim(&'p str),
    /// What has to be done for a ticket of this drop?
    Challenge(&'p str),
    /// A ticket for this drop.
    Ticket(&'p str),
    /// What do I hold in this drop?
    Mine(&'p str),
    /// How does this drop stand?
    Drop(&'p str),
    /// How does the voucher of this code stand?
    Voucher(&'p str),
    /// What does this voucher's QR code say now?
    VoucherQr(&'p str),
    /// What is in this campaign?
    Campaign(&'p str),
}

impl Route<'_> {
    /// The word for it in logs and traces.
    pub(super) fn call(&self) -> &'static str {
        match self {
            Self::Claim(_) => CLAIM,
            Self::Challenge(_) => "challenge",
            Self::Ticket(_) => "ticket",
            Self::Mine(_) => "claims_mine",
            Self::Drop(_) => "drop",
            Self::Voucher(_) => "voucher",
            Self::VoucherQr(_) => "voucher_qr",
            Self::Campaign(_) => "campaign",
        }
    }
}

/// The word for a claim; see [`Route::call`].
pub(super) const CLAIM: &str = "claim";

#[derive(Debug, Clone, Copy)]
enum Path {
    Claims,
    Challenges,
    Tickets,
    Mine,
    Drop,
    Voucher,
    VoucherQr,
    Campaign,
}

static PATHS: LazyLock<Router<Path>> = LazyLock::new(|| {
    let mut router = Router::new();
    let paths = [
        ("/v1/drops/{id}/claims", Path::Claims),
        ("/v1/drops/{id}/claims/mine", Path::Mine),
        ("/v1/drops/{id}/challenges", Path::Challenges),
        ("/v1/drops/{id}/tickets", Path::Tickets),
        ("/v1/drops/{id}", Path::Drop),
        ("/v1/vouchers/{id}", Path::Voucher),
        ("/v1/vouchers/{id}/qr", Path::VoucherQr),
        ("/v1/campaigns/{id}", Path::Campaign),
    ];
    for (pattern, path) in paths {
        #[expect(
            clippy::expect_used,
            reason = "constant patterns; the first request of any test would show it"
        )]
        router.insert(pattern, path).expect("the patterns do not overlap");
    }
    router
});

/// Reads method and path.
///
/// # Errors
/// 404 for a path that is not there, 405 with the methods for one that is.
pub(super) fn route<'p>(method: &Method, path: &'p str) -> Result<Route<'p>, Problem> {
    let matched = PATHS.at(path).map_err(|_| Problem::from(Cause::NotFound))?;
    let id = matched.params.get("id").unwrap_or_default();
    let (route, allow) = match matched.value {
        Path::Claims => (Route::Claim(id), "POST"),
        Path::Challenges => (Route::Challenge(id), "POST"),
        Path::Tickets => (Route::Ticket(id), "POST"),
        Path::Mine => (Route::Mine(id), "GET, HEAD"),
        Path::Drop => (Route::Drop(id), "GET, HEAD"),
        Path::Voucher => (Route::Voucher(id), "GET, HEAD"),
        Path::VoucherQr => (Route::VoucherQr(id), "GET, HEAD"),
        Path::Campaign => (Route::Campaign(id), "GET, HEAD"),
    };
    let allowed = match route {
        Route::Claim(_) | Route::Challenge(_) | Route::Ticket(_) => *method == Method::POST,
        _ => *method == Method::GET || *method == Method::HEAD,
    };
    if allowed {
        Ok(route)
    } else {
        Err(Problem { allow: Some(allow), ..Problem::from(Cause::MethodNotAllowed) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods() {
        assert_eq!(route(&Method::POST, "/v1/drops/a-b/claims"), Ok(Route::Claim("a-b")));
        assert_eq!(route(&Method::GET, "/v1/drops/a-b/claims/mine"), Ok(Route::Mine("a-b")));
        assert_eq!(route(&Method::GET, "/v1/drops/a-b"), Ok(Route::Drop("a-b")));
        assert_eq!(route(&Method::GET, "/v1/vouchers/AB"), Ok(Route::Voucher("AB")));
        assert_eq!(route(&Method::GET, "/v1/vouchers/AB/qr"), Ok(Route::VoucherQr("AB")));
        assert_eq!(route(&Method::HEAD, "/v1/campaigns/c"), Ok(Route::Campaign("c")));
        let refused = route(&Method::GET, "/v1/drops/a-b/claims").expect_err("GET is not for claims");
        assert_eq!((refused.cause, refused.allow), (Cause::MethodNotAllowed, Some("POST")));
        for path in ["/", "/v1/drops//claims", "/v1/drops/a/b/claims", "/v1/drops/a-b/claims/", "/metrics"] {
            assert_eq!(route(&Method::GET, path).expect_err("no such path").cause, Cause::NotFound, "{path}");
        }
    }
}
