//! Every call of the admin listener: method, path, who may, and what it is.
//!
//! Owns the one table of them. Nothing is served that is not in it; the document that describes the API and the tests of
//! roles are driven by it.

use std::sync::LazyLock;

use hyper::Method;
use matchit::Router;

use super::problem::Problem;
use crate::domain::access::Permission;
use crate::domain::cause::Cause;

/// Who may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody who reaches the listener.
    Open,
    /// Whoever has a token or a key.
    AnyKey,
    /// Roles with this permission.
    May(Permission),
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Metrics,
    Health,
    Readiness,
    OpenApi,
    WhoAmI,
    Campaigns,
    CampaignApply,
    CampaignShow,
    CampaignPause,
    CampaignResume,
    CampaignEnd,
    CampaignCopy,
    Drafts,
    DraftShow,
    DraftMake,
    DraftApprove,
    Recovery,
    Recover,
    Receipts,
    ReceiptHonour,
    ReceiptVoid,
    LatePayments,
    LatePaymentRefunded,
    Quarantine,
    QuarantineSettle,
    Bans,
    BanAdd,
    BanLift,
    VoucherShow,
    VoucherFreeze,
    VoucherRelease,
    VoucherVoid,
    VoucherRecover,
    Books,
    Postings,
    Periods,
    PeriodClose,
    Payments,
    PaymentNote,
    Repayments,
    RepaymentNote,
    Transfers,
    TransferMake,
    Reversals,
    Reverse,
    Waiting,
    Withdraw,
    Keys,
    KeyAdd,
    KeyRotate,
    KeyRevoke,
    Merchants,
    MerchantShow,
    MerchantImport,
    MerchantReview,
    MerchantActivate,
    MerchantSuspend,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// With its parameters in braces.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
    pub(super) call: Call,
}

const fn get(path: &'static str, access: Access, call: Call) -> Endpoint {
    Endpoint { method: "GET", path, access, call }
}

const fn post(path: &'static str, permission: Permission, call: Call) -> Endpoint {
    Endpoint { method: "POST", path, access: Access::May(permission), call }
}

const fn read(path: &'static str, permission: Permission, call: Call) -> Endpoint {
    get(path, Access::May(permission), call)
}

/// All of them; those of one path stand together.
pub const ENDPOINTS: &[Endpoint] = &[
    get("/metrics", Access::Open, Call::Metrics),
    get("/healthz", Access::Open, Call::Health),
    get("/readyz", Access::Open, Call::Readiness),
    get("/openapi.json", Access::Open, Call::OpenApi),
    get("/admin/v1/me", Access::AnyKey, Call::WhoAmI),
    read("/admin/v1/campaigns", Permission::ReadCampaigns, Call::Campaigns),
    post("/admin/v1/campaigns", Permission::ApplyCampaigns, Call::CampaignApply),
    read("/admin/v1/campaigns/{id}", Permission::ReadCampaigns, Call::CampaignShow),
    post("/admin/v1/campaigns/{id}/pause", Permission::SwitchCampaigns, Call::CampaignPause),
    post("/admin/v1/campaigns/{id}/resume", Permission::SwitchCampaigns, Call::CampaignResume),
    post("/admin/v1/campaigns/{id}/end", Permission::EndCampaigns, Call::CampaignEnd),
    post("/admin/v1/campaigns/{id}/copy", Permission::DraftCampaigns, Call::CampaignCopy),
    read("/admin/v1/campaigns/{id}/books", Permission::ReadBooks, Call::Books),
    read("/admin/v1/campaigns/{id}/postings", Permission::ReadBooks, Call::Postings),
    read("/admin/v1/campaigns/{id}/periods", Permission::ReadBooks, Call::Periods),
    post("/admin/v1/campaigns/{id}/periods", Permission::CloseBooks, Call::PeriodClose),
    read("/admin/v1/campaigns/{id}/payments", Permission::ReadBooks, Call::Payments),
    post("/admin/v1/campaigns/{id}/payments", Permission::MoveMoney, Call::PaymentNote),
    read("/admin/v1/campaigns/{id}/repayments", Permission::ReadBooks, Call::Repayments),
    post("/admin/v1/campaigns/{id}/repayments", Permission::MoveMoney, Call::RepaymentNote),
    read("/admin/v1/campaigns/{id}/transfers", Permission::ReadBooks, Call::Transfers),
    post("/admin/v1/campaigns/{id}/transfers", Permission::MoveMoney, Call::TransferMake),
    read("/admin/v1/campaigns/{id}/reversals", Permission::ReadBooks, Call::Reversals),
    post("/admin/v1/campaigns/{id}/reversals", Permission::MoveMoney, Call::Reverse),
    read("/admin/v1/campaigns/{id}/waiting", Permission::ReadBooks, Call::Waiting),
    post("/admin/v1/campaigns/{id}/waiting/withdraw", Permission::MoveMoney, Call::Withdraw),
    read("/admin/v1/vouchers/{id}", Permission::ReadVouchers, Call::VoucherShow),
    post("/admin/v1/vouchers/{id}/freeze", Permission::FreezeVouchers, Call::VoucherFreeze),
    post("/admin/v1/vouchers/{id}/release", Permission::JudgeVouchers, Call::VoucherRelease),
    post("/admin/v1/vouchers/{id}/void", Permission::JudgeVouchers, Call::VoucherVoid),
    post("/admin/v1/vouchers/{id}/recover", Permission::RecoverVouchers, Call::VoucherRecover),
    read("/admin/v1/drafts", Permission::ReadCampaigns, Call::Drafts),
    post("/admin/v1/drafts", Permission::DraftCampaigns, Call::DraftMake),
    read("/admin/v1/drafts/{id}", Permission::ReadCampaigns, Call::DraftShow),
    post("/admin/v1/drafts/{id}/approve", Permission::ApproveCampaigns, Call::DraftApprove),
    read("/admin/v1/recovery", Permission::ReadRecovery, Call::Recovery),
    post("/admin/v1/recovery", Permission::Recover, Call::Recover),
    read("/admin/v1/receipts", Permission::ReadReceipts, Call::Receipts),
    post("/admin/v1/receipts/{number}/honour", Permission::SettleReceipts, Call::ReceiptHonour),
    post("/admin/v1/receipts/{number}/void", Permission::SettleReceipts, Call::ReceiptVoid),
    read("/admin/v1/late-payments", Permission::ReadLatePayments, Call::LatePayments),
    post(
        "/admin/v1/late-payments/{number}/refunded",
        Permission::RefundLatePayments,
        Call::LatePaymentRefunded,
    ),
    read("/admin/v1/quarantine", Permission::ReadQuarantine, Call::Quarantine),
    post("/admin/v1/quarantine/{number}/settle", Permission::SettleQuarantine, Call::QuarantineSettle),
    read("/admin/v1/bans", Permission::ReadBans, Call::Bans),
    post("/admin/v1/bans", Permission::Ban, Call::BanAdd),
    post("/admin/v1/bans/lift", Permission::Ban, Call::BanLift),
    read("/admin/v1/keys", Permission::ReadKeys, Call::Keys),
    post("/admin/v1/keys", Permission::ManageMerchantKeys, Call::KeyAdd),
    post("/admin/v1/keys/{id}/rotate", Permission::ManageMerchantKeys, Call::KeyRotate),
    post("/admin/v1/keys/{id}/revoke", Permission::ManageMerchantKeys, Call::KeyRevoke),
    read("/admin/v1/merchants", Permission::ReadMerchants, Call::Merchants),
    post("/admin/v1/merchants", Permission::EnterMerchants, Call::MerchantImport),
    read("/admin/v1/merchants/{id}", Permission::ReadMerchants, Call::MerchantShow),
    post("/admin/v1/merchants/{id}/review", Permission::ReviewMerchants, Call::MerchantReview),
    post("/admin/v1/merchants/{id}/activate", Permission::ReviewMerchants, Call::MerchantActivate),
    post("/admin/v1/merchants/{id}/suspend", Permission::SuspendMerchants, Call::MerchantSuspend),
];

/// The calls of one path.
struct Place {
    calls: Vec<&'static Endpoint>,
    /// Their methods, as a header names them.
    allow: String,
}

static PLACES: LazyLock<Router<Place>> = LazyLock::new(|| {
    let mut router = Router::new();
    for calls in ENDPOINTS.chunk_by(|one, next| one.path == next.path) {
        let path = calls.first().map_or("/", |endpoint| endpoint.path);
        let named =
            |endpoint: &Endpoint| if endpoint.method == "GET" { "GET, HEAD" } else { endpoint.method };
        let allow = calls.iter().map(named).collect::<Vec<_>>().join(", ");
        #[expect(
            clippy::expect_used,
            reason = "constant paths; the first request of any test would show it"
        )]
        router
            .insert(path, Place { calls: calls.iter().collect(), allow })
            .expect("the paths do not overlap");
    }
    router
});

/// The call that is asked for, and what stands in the places of its parameters. HEAD goes with GET: hyper leaves the body out.
///
/// # Errors
/// 404 for a path that is not there, 405 with the methods for one that is.
pub(super) fn find(method: &Method, path: &str) -> Result<(&'static Endpoint, Vec<String>), Problem> {
    let matched = PLACES.at(path).map_err(|_| Problem::from(Cause::NotFound))?;
    let place: &'static Place = matched.value;
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let found = place.calls.iter().find(|endpoint| endpoint.method == method.as_str());
    let endpoint = found.ok_or_else(|| Problem {
        allow: Some(place.allow.as_str()),
        ..Problem::from(Cause::MethodNotAllowed)
    })?;
    Ok((endpoint, matched.params.iter().map(|(_, value)| value.to_owned()).collect()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_call_is_found_once() {
        let mut seen = HashSet::new();
        for endpoint in ENDPOINTS {
            assert!(seen.insert((endpoint.method, endpoint.path)), "{} stands twice", endpoint.path);
            let path = endpoint.path.replace("{id}", "x").replace("{number}", "7");
            let method: Method = endpoint.method.parse().unwrap();
            let (found, values) = find(&method, &path).expect("it is there");
            assert_eq!((found.method, found.path), (endpoint.method, endpoint.path));
            assert_eq!(values.len(), endpoint.path.matches('{').count());
            let read = matches!(endpoint.access, Access::May(permission) if permission.as_str().starts_with("read_"));
            assert!(
                !read || endpoint.method == "GET",
                "{}: what changes something is no reading",
                endpoint.path
            );
        }
        let refused = find(&Method::DELETE, "/admin/v1/keys").expect_err("nothing is deleted");
        assert_eq!((refused.cause, refused.allow), (Cause::MethodNotAllowed, Some("GET, HEAD, POST")));
        assert!(find(&Method::HEAD, "/admin/v1/keys").is_ok_and(|(found, _)| found.call == Call::Keys));
        let refused = find(&Method::HEAD, "/admin/v1/bans/lift").expect_err("it changes something");
        assert_eq!(refused.allow, Some("POST"));
        assert_eq!(find(&Method::GET, "/admin/v1/nothing").expect_err("no such path").cause, Cause::NotFound);
    }
}
