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
    /// A held claim was paid for.
    Confirm(&'p str),
    /// A held claim is given back.
    Cancel(&'p str),
    /// A till takes this voucher.
    Redeem(&'p str),
    /// The order of this redemption was refunded.
    Refund(&'p str),
    /// This redemption is taken back.
    Reverse(&'p str),
    /// What is in this campaign?
    Campaign(&'p str),
    /// Which campaigns are there?
    Campaigns,
    /// What time is it?
    Time,
    /// The claim page.
    Page,
    /// The claim page, for somebody whom another platform hands over.
    HandOver,
    /// A file of the page.
    Asset,
    /// To be somebody, in a demo; its methods are its own.
    Demo,
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
            Self::Confirm(_) => "claim_confirm",
            Self::Cancel(_) => "claim_cancel",
            Self::Redeem(_) => "redeem",
            Self::Refund(_) => "refund",
            Self::Reverse(_) => "reverse",
            Self::Campaign(_) => "campaign",
            Self::Campaigns => "campaigns",
            Self::Time => "time",
            Self::Page => "page",
            Self::HandOver => "hand_over",
            Self::Asset => "asset",
            Self::Demo => "demo_ticket",
        }
    }

    /// The drop that its path names.
    pub(super) fn drop(&self) -> Option<&str> {
        match self {
            Self::Claim(drop)
            | Self::Challenge(drop)
            | Self::Ticket(drop)
            | Self::Mine(drop)
            | Self::Drop(drop) => Some(drop),
            _ => None,
        }
    }

    /// Whether a good answer to it decides something, rather than only tells.
    pub(super) fn decides(&self) -> bool {
        matches!(self, Self::Claim(_) | Self::Ticket(_))
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
    Confirm,
    Cancel,
    Redeem,
    Refund,
    Reverse,
    Campaign,
    Campaigns,
    Time,
    Page,
    PageAlone,
    Asset,
    Demo,
}

/// Every path.
const PATTERNS: &[(&str, Path)] = &[
    ("/v1/drops/{id}/claims", Path::Claims),
    ("/v1/drops/{id}/claims/mine", Path::Mine),
    ("/v1/drops/{id}/challenges", Path::Challenges),
    ("/v1/drops/{id}/tickets", Path::Tickets),
    ("/v1/drops/{id}", Path::Drop),
    ("/v1/vouchers/{id}", Path::Voucher),
    ("/v1/vouchers/{id}/qr", Path::VoucherQr),
    ("/v1/claims/{id}/confirm", Path::Confirm),
    ("/v1/claims/{id}/cancel", Path::Cancel),
    ("/v1/vouchers/{id}/redemptions", Path::Redeem),
    ("/v1/redemptions/{id}/refunds", Path::Refund),
    ("/v1/redemptions/{id}/reversals", Path::Reverse),
    ("/v1/campaigns/{id}", Path::Campaign),
    ("/v1/campaigns", Path::Campaigns),
    ("/v1/time", Path::Time),
    ("/", Path::Page),
    ("/d/{id}", Path::Page),
    ("/vouchers", Path::PageAlone),
    ("/assets/{id}", Path::Asset),
    ("/demo/tickets", Path::Demo),
];

static PATHS: LazyLock<Router<Path>> = LazyLock::new(|| {
    let mut router = Router::new();
    for (pattern, path) in PATTERNS {
        #[expect(
            clippy::expect_used,
            reason = "constant patterns; the first request of any test would show it"
        )]
        router.insert(*pattern, *path).expect("the patterns do not overlap");
    }
    router
});

/// Every call: its method and its path, with `{id}` in the place of what it is about. HEAD goes with GET.
#[must_use]
pub fn calls() -> Vec<(&'static str, &'static str)> {
    let methods = [("GET", Method::GET), ("POST", Method::POST)];
    let mut calls = Vec::new();
    for (pattern, _) in PATTERNS {
        let path = pattern.replace("{id}", "x");
        // A demo's call says itself which methods it has: where there is no demo it has none.
        let takes = |method: &Method| match route(method, &path) {
            Ok(Route::Demo) => *method == Method::POST,
            found => found.is_ok(),
        };
        let taken = methods.iter().filter(|(_, method)| takes(method));
        calls.extend(taken.map(|(name, _)| (*name, *pattern)));
    }
    calls
}

/// Reads method and path.
///
/// # Errors
/// 404 for a path that is not there, 405 with the methods for one that is.
pub(super) fn route<'p>(method: &Method, path: &'p str) -> Result<Route<'p>, Problem> {
    if let Some(drop) = claimed(path)
        && *method == Method::POST
    {
        return Ok(Route::Claim(drop));
    }
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
        Path::Confirm => (Route::Confirm(id), "POST"),
        Path::Cancel => (Route::Cancel(id), "POST"),
        Path::Redeem => (Route::Redeem(id), "POST"),
        Path::Refund => (Route::Refund(id), "POST"),
        Path::Reverse => (Route::Reverse(id), "POST"),
        Path::Campaign => (Route::Campaign(id), "GET, HEAD"),
        Path::Campaigns => (Route::Campaigns, "GET, HEAD"),
        Path::Time => (Route::Time, "GET, HEAD"),
        Path::Page if *method == Method::POST => (Route::HandOver, "GET, HEAD, POST"),
        Path::Page => (Route::Page, "GET, HEAD, POST"),
        Path::PageAlone => (Route::Page, "GET, HEAD"),
        Path::Asset => (Route::Asset, "GET, HEAD"),
        Path::Demo => (Route::Demo, "POST"),
    };
    let allowed = match route {
        Route::Claim(_)
        | Route::Challenge(_)
        | Route::Ticket(_)
        | Route::Confirm(_)
        | Route::Cancel(_)
        | Route::Redeem(_)
        | Route::Refund(_)
        | Route::Reverse(_)
        | Route::HandOver => *method == Method::POST,
        Route::Demo => true,
        _ => *method == Method::GET || *method == Method::HEAD,
    };
    if allowed {
        Ok(route)
    } else {
        Err(Problem { allow: Some(allow), ..Problem::from(Cause::MethodNotAllowed) })
    }
}

/// The drop of a path for claims, as the router would find it: in a rush nearly every request has such a path, and is spared
/// the way through the others.
fn claimed(path: &str) -> Option<&str> {
    let drop = path.strip_prefix("/v1/drops/")?.strip_suffix("/claims")?;
    (!drop.is_empty() && !drop.as_bytes().contains(&b'/')).then_some(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_found_as_the_router_finds_them() {
        for path in [
            "/v1/drops/a-b/claims",
            "/v1/drops/a%2Fb/claims",
            "/v1/drops/claims",
            "/v1/drops//claims",
            "/v1/drops/claims/claims",
            "/v1/drops/a/b/claims",
            "/v1/drops/a/claims/",
            "/v1/drops/a/claims/mine",
            "/v1/drops/a",
            "/v1/drops/{id}/claims",
            "/v1/drops/",
        ] {
            let by_router = PATHS.at(path).ok().filter(|matched| matches!(matched.value, Path::Claims));
            assert_eq!(
                claimed(path),
                by_router.as_ref().and_then(|matched| matched.params.get("id")),
                "{path}"
            );
        }
    }

    #[test]
    fn paths_and_methods() {
        assert_eq!(route(&Method::POST, "/v1/drops/a-b/claims"), Ok(Route::Claim("a-b")));
        assert_eq!(route(&Method::GET, "/v1/drops/a-b/claims/mine"), Ok(Route::Mine("a-b")));
        assert_eq!(route(&Method::GET, "/v1/drops/a-b"), Ok(Route::Drop("a-b")));
        assert_eq!(route(&Method::GET, "/v1/vouchers/AB"), Ok(Route::Voucher("AB")));
        assert_eq!(route(&Method::GET, "/v1/vouchers/AB/qr"), Ok(Route::VoucherQr("AB")));
        assert_eq!(route(&Method::HEAD, "/v1/campaigns/c"), Ok(Route::Campaign("c")));
        assert_eq!(route(&Method::GET, "/v1/campaigns"), Ok(Route::Campaigns));
        for path in ["/", "/d/a-b", "/vouchers"] {
            assert_eq!(route(&Method::HEAD, path), Ok(Route::Page));
        }
        assert_eq!(route(&Method::POST, "/d/a-b"), Ok(Route::HandOver));
        assert_eq!(route(&Method::GET, "/assets/app.js"), Ok(Route::Asset));
        let refused = route(&Method::POST, "/vouchers").expect_err("nobody is handed over there");
        assert_eq!((refused.cause, refused.allow), (Cause::MethodNotAllowed, Some("GET, HEAD")));
        assert_eq!(route(&Method::POST, "/v1/claims/clm_A/confirm"), Ok(Route::Confirm("clm_A")));
        assert_eq!(route(&Method::POST, "/v1/claims/clm_A/cancel"), Ok(Route::Cancel("clm_A")));
        assert_eq!(route(&Method::POST, "/v1/vouchers/AB/redemptions"), Ok(Route::Redeem("AB")));
        assert_eq!(route(&Method::POST, "/v1/redemptions/red_1/refunds"), Ok(Route::Refund("red_1")));
        assert_eq!(route(&Method::POST, "/v1/redemptions/red_1/reversals"), Ok(Route::Reverse("red_1")));
        let refused = route(&Method::GET, "/v1/drops/a-b/claims").expect_err("GET is not for claims");
        assert_eq!((refused.cause, refused.allow), (Cause::MethodNotAllowed, Some("POST")));
        for path in [
            "/d/",
            "/assets/",
            "/v1/drops//claims",
            "/v1/drops/a/b/claims",
            "/v1/drops/a-b/claims/",
            "/metrics",
        ] {
            assert_eq!(route(&Method::GET, path).expect_err("no such path").cause, Cause::NotFound, "{path}");
        }
    }
}
