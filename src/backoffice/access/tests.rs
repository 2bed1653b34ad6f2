//! Keys over time, and over two front ends with one ledger.

use super::*;
use crate::backoffice::documents::DocumentWatch;
use crate::clock::Clock;
use crate::ledger::sqlite::SqliteLedger;

struct Front {
    access: Arc<Access>,
    watch: DocumentWatch,
}

fn front(path: &Path, clock: Clock) -> Front {
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(path).unwrap());
    let access = Arc::new(Access::new(Arc::clone(&ledger), path.with_file_name("token"), clock));
    let watch = DocumentWatch::new(ledger, vec![Arc::clone(&access) as _]);
    Front { access, watch }
}

#[tokio::test]
async fn another_front_end_knows_with_its_next_look() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let (here, there) = (front(&path, Clock::System), front(&path, Clock::System));
    there.watch.catch_up().await.unwrap();
    let by = Caller::admin();
    let add = || here.access.add(&by, Role::Merchant, "till", Some("m-1".to_owned()));
    let nobody = add().await.unwrap_err();
    assert_eq!(nobody.to_string(), "there is no merchant \"m-1\"");
    let put = PutDocument::new(merchants::KIND, "m-1", 0, &"whatever it says", "ann").unwrap();
    here.access.ledger.put_document(put, 1).await.unwrap();
    let (view, key) = add().await.unwrap();
    let text = key.expose();
    assert_eq!(here.access.caller(&text).unwrap().merchant.as_deref(), Some("m-1"));
    assert_eq!(there.access.caller(&text), Err(Denied::Unknown));
    there.watch.catch_up().await.unwrap();
    assert_eq!(there.access.merchant(&text).unwrap().role, Role::Merchant);
    here.access.revoke(&by, &view.id).await.unwrap();
    assert_eq!(here.access.merchant(&text), Err(Denied::Unknown), "at once");
    there.watch.catch_up().await.unwrap();
    assert_eq!(there.access.merchant(&text), Err(Denied::Unknown));
    // What was read before the revocation and comes late does not bring the key back.
    let old = here.access.ledger.document_history(KIND, &view.id, 2, 1).await.unwrap();
    there.access.take(&old[0]).unwrap();
    assert_eq!(there.access.merchant(&text), Err(Denied::Unknown));
}

#[tokio::test]
async fn a_rotated_secret_ends_when_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(1_000);
    let hand = clock.clone();
    let Front { access, .. } = front(&folder.path().join("ledger.db"), clock);
    let by = Caller::admin();
    let (view, first) = access.add(&by, Role::Auditor, "Ann", None).await.unwrap();
    let (rotated, second) = access.rotate(&by, &view.id, 5_000).await.unwrap();
    assert!(rotated.old_until.is_some());
    hand.set(5_999);
    assert!(access.caller(&first.expose()).is_ok() && access.caller(&second.expose()).is_ok());
    hand.set(6_000);
    assert_eq!(access.caller(&first.expose()), Err(Denied::Unknown));
    assert!(access.caller(&second.expose()).is_ok());
    let error = access.rotate(&by, &view.id, -1).await.unwrap_err();
    assert!(matches!(error, KeyError::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_key_whose_document_cannot_be_read_is_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let Front { access, watch } = front(&folder.path().join("ledger.db"), Clock::System);
    let (view, key) = access.add(&Caller::admin(), Role::Auditor, "Ann", None).await.unwrap();
    let put = PutDocument::new(KIND, &view.id, 1, &"of a later version", "later").unwrap();
    access.ledger.put_document(put, 1).await.unwrap();
    watch.catch_up().await.unwrap();
    assert_eq!(access.caller(&key.expose()), Err(Denied::Unknown));
}
