//! A farm beside people: what do people get of a drop without the guard, and with it? The shipped scenario `bot-attack`,
//! small; `make fairness` runs it large, and its figures stand in docs/FAIRNESS.md.

use std::path::{Path, PathBuf};

use claimrush_loadtest::fairness::{self, FairnessArgs};

const ACCOUNTS_PER_PHONE: u64 = 100;

#[test]
fn people_get_what_a_farm_would_have_taken() {
    let out = crate::support::folder();
    let args = FairnessArgs {
        service_bin: PathBuf::from(env!("CARGO_BIN_EXE_claimrush")),
        scenario: Path::new(env!("CARGO_MANIFEST_DIR")).join("loadtest/scenarios/bot-attack.toml"),
        people: 150,
        rounds: 1,
        difficulty: 50,
        out: out.path().to_owned(),
        page: None,
        chart: None,
    };
    let turns = fairness::measure(&args).expect("both turns are taken");
    let [without, with] = &turns[..] else { panic!("one of each: {turns:?}") };
    let phones = with.farm_accounts.div_ceil(ACCOUNTS_PER_PHONE);
    assert_eq!((without.farm_tickets, with.farm_tickets), (without.farm_accounts, phones));
    assert_eq!(
        (without.stock, without.farm_accounts),
        (with.stock, with.farm_accounts),
        "the same people came"
    );
    assert!(without.farm_accounts > 2 * without.stock && with.farm_requests_percent > 80.0, "{with:?}");
    // Three accounts for one person, at the same pace: people should get about a quarter.
    assert!(without.people_percent() < 60.0, "the farm takes a good part: {without:?}");
    assert_eq!(without.people_got + without.farm_got, without.stock, "all is sold");
    assert!(
        with.farm_got <= phones && with.people_got >= with.stock - phones,
        "a phone is one person: {with:?}"
    );
    let [people, farm] = with.hashes_each;
    assert!(people > 0 && farm > 0 && without.hashes_each == [0, 0], "{with:?} {without:?}");
}
