//! What every ledger must do, in small named cases. A store's tests call [`all`] with a way to make a fresh one.

mod accounts;
mod bonds;
mod campaigns;
pub(crate) mod contra;
mod documents;
mod epochs;
mod expiry;
mod funds;
mod groups;
pub(crate) mod life;
pub(crate) mod model;
mod payments;
mod receipts;
pub(crate) mod references;
mod returns;
mod shown;
pub(crate) mod tampering;
mod whole;

use super::{Balances, ClaimRow, Committed, Group, Ledger};
use crate::domain::campaign::Campaign;
use crate::domain::claim::{JournalEntry, JournalEvent, JournalId, Poison, Takers};
use crate::domain::ids::{ClaimNumber, DropId, DropNumber, Epoch, Shard};
use crate::domain::money::Fen;

/// The clock of every case.
pub(crate) const NOW_MS: i64 = 1_700_445_600_000;
/// The drop with vouchers of 10.00, one a person.
pub(crate) const MONEY: &str = "shop-money";
/// The drop of something that is not money, three a person.
pub(crate) const THINGS: &str = "shop-things";

const CAMPAIGN: &str = r#"
id = "shop"
budget = "1000.00 CNY"
time_zone = "Asia/Shanghai"
[[drop]]
id = "shop-money"
opens_at = "2023-11-20T10:00:00+08:00"
closes_at = "2023-11-27T10:00:00+08:00"
stock = 100
limit_per_person = 1
voucher = { face = "10.00", threshold = "50.00", valid_for = "7d" }
[[drop]]
id = "shop-things"
opens_at = "2023-11-20T10:00:00+08:00"
closes_at = "2023-11-27T10:00:00+08:00"
stock = 50
limit_per_person = 3
"#;

/// The campaign of every case, with drops 1 and 2.
pub(crate) fn campaign() -> Campaign {
    Campaign::parse(CAMPAIGN).expect("the campaign is well formed")
}

/// Runs every case, each with a fresh ledger.
pub(crate) async fn all<L: Ledger>(make: impl AsyncFn() -> L) {
    macro_rules! cases {
        ($($module:ident :: $case:ident),* $(,)?) => {
            $(
                println!("{}", stringify!($case));
                // In a place of its own: all of them would make one future too large.
                Box::pin($module::$case(&make().await)).await;
            )*
        };
    }
    cases![
        campaigns::an_empty_ledger_has_nothing,
        campaigns::a_campaign_is_stored_with_its_budget_and_numbers,
        campaigns::applying_twice_changes_nothing,
        campaigns::a_stale_revision_is_refused,
        campaigns::a_refused_campaign_changes_nothing,
        campaigns::a_changed_budget_is_posted,
        campaigns::a_drop_keeps_the_days_on_which_it_was_open,
        campaigns::a_daily_budget_that_comes_back_counts_what_was_claimed,
        campaigns::pausing_and_loading_raise_the_revision,
        groups::claims_become_rows_money_and_a_position,
        groups::claims_are_paged_over_shards_and_epochs,
        groups::a_group_that_does_not_follow_is_not_written,
        groups::entries_must_ascend,
        groups::claims_that_are_there_word_for_word_are_passed_over,
        groups::a_number_that_somebody_else_holds_goes_to_quarantine,
        groups::what_cannot_be_accepted_goes_to_quarantine_and_the_rest_goes_on,
        groups::poison_is_kept_once,
        groups::every_group_adds_a_record_to_the_chain,
        groups::every_head_that_there_was_is_found_again,
        groups::a_standing_is_all_of_one_moment,
        groups::too_many_claims_and_repeated_marks_are_found,
        groups::persons_in_several_drops_are_found,
        groups::money_is_conserved_to_the_fen,
        returns::a_return_gives_the_money_back,
        returns::a_return_without_another_claim_recycles_the_money,
        returns::a_return_is_written_once,
        returns::a_return_of_a_foreign_or_missing_claim_goes_to_quarantine,
        returns::a_claim_may_be_returned_in_its_own_group,
        epochs::a_rebuilt_drop_is_noted_once_and_recorded,
        epochs::the_highest_number_seen_is_kept,
        epochs::a_seal_holds_until_it_is_broken_or_outdated,
        epochs::the_earliest_release_instant_is_kept,
        epochs::a_row_says_how_it_was_returned,
        bonds::the_first_to_show_a_dimension_holds_it,
        bonds::one_drop_is_chosen_until_it_is_over,
        life::a_redemption_is_made_once_and_told_again,
        life::terms_and_caps_are_kept,
        life::an_order_takes_one_voucher,
        life::a_full_refund_in_time_gives_the_voucher_back,
        life::a_partial_or_late_refund_loses_the_voucher,
        life::a_redemption_is_taken_back_for_a_while,
        life::a_redemption_taken_back_in_its_own_transaction_counts_nothing,
        life::fraud_is_frozen_voided_and_recovered,
        life::holds_are_confirmed_cancelled_or_lapse,
        payments::a_payment_counts_once_whatever_came_between,
        life::vouchers_expire_in_pages,
        expiry::a_longer_validity_ends_too,
        expiry::a_clock_that_is_behind_keeps_no_voucher_from_expiring,
        life::merchants_are_paid_what_they_are_owed,
        life::money_that_may_be_claimed_stays,
        funds::a_lower_budget_takes_what_came_back,
        funds::a_lower_budget_leaves_what_may_be_claimed,
        funds::nothing_is_kept_of_a_campaign_that_is_over,
        funds::what_was_never_issued_goes_back_when_the_campaign_is_over,
        references::money_moves_once_by_a_reference,
        references::what_a_merchant_owes_is_given_back_once,
        references::what_a_merchant_still_has_is_not_moved,
        references::another_campaign_may_be_paid_for_by_the_same_reference,
        contra::a_payment_is_reversed_once_and_noted_again,
        contra::a_repayment_is_reversed,
        contra::nothing_goes_back_that_is_not_there,
        contra::what_staff_did_not_move_is_not_reversed,
        life::a_closed_period_stays_closed,
        life::a_used_voucher_does_not_go_back_to_stock,
        life::a_trial_changes_nothing,
        shown::a_till_that_is_barred_is_told_what_it_did_and_takes_nothing,
        shown::a_code_is_refused_where_qr_codes_alone_are_taken,
        whole::a_whole_campaign,
        accounts::a_vouchers_life_is_read_in_pages,
        accounts::a_decision_is_about_what_was_seen,
        accounts::movements_add_up_to_the_accounts,
        accounts::postings_and_money_steps_are_read_in_pages,
        accounts::a_campaigns_periods_are_read_in_pages,
        accounts::late_payments_are_counted_from_the_first,
        receipts::a_receipt_is_registered_once_for_a_person,
        receipts::a_claim_that_the_ledger_has_leaves_no_receipt,
        receipts::a_receipt_is_settled_once,
        receipts::a_claim_is_honoured_for_one_person_alone,
        documents::a_document_has_every_revision_once,
        documents::a_stale_document_is_refused_and_so_is_what_came_with_it,
        documents::documents_of_a_kind_are_paged_by_their_ids,
        documents::of_two_who_change_a_document_one_is_first,
    ];
}

/// A ledger that holds [`campaign`].
pub(crate) async fn stocked<L: Ledger>(ledger: &L) {
    ledger.apply_campaign(&campaign(), 0, "ann", NOW_MS).await.unwrap();
}

pub(crate) fn id(ms: u64) -> JournalId {
    JournalId { ms, seq: 0 }
}

/// Claims of the first epoch.
pub(crate) fn claims(drop: &str, first_seq: u32, takers: &str) -> JournalEvent {
    JournalEvent::Claimed {
        drop: DropId::new(drop).unwrap(),
        epoch: Epoch::FIRST,
        claimed_at_ms: NOW_MS + i64::from(first_seq),
        first_seq,
        takers: Takers::new(takers),
    }
}

/// A return in the first epoch.
pub(crate) fn returned(drop: &str, seq: u32, person: &str, may_claim_again: bool) -> JournalEvent {
    JournalEvent::Returned {
        drop: DropId::new(drop).unwrap(),
        epoch: Epoch::FIRST,
        seq,
        person: person.to_owned(),
        returned_at_ms: NOW_MS + 9,
        may_claim_again,
    }
}

pub(crate) fn poison(text: &str) -> Poison {
    Poison { raw: text.to_owned(), reason: "it is nonsense".to_owned() }
}

/// A group of shard 0 after `after`, its entries numbered `after + 1` and on.
pub(crate) fn group(after: u64, contents: Vec<Result<Vec<JournalEvent>, Poison>>) -> Group {
    let entries =
        (after + 1..).zip(contents).map(|(ms, content)| JournalEntry { id: id(ms), content }).collect();
    Group { shard: Shard(0), after: id(after), entries, now_ms: NOW_MS }
}

/// Commits a group that must be written: (claims, returns, poisoned).
pub(crate) async fn written<L: Ledger>(ledger: &L, group: Group) -> (u64, u64, u64) {
    let last = group.entries.last().unwrap().id;
    match ledger.commit(group).await.unwrap() {
        Committed::Written { claims, returns, poisoned, position } => {
            assert_eq!(position, last);
            (claims, returns, poisoned)
        }
        Committed::Moved { position } => panic!("the ledger stands at {position}"),
    }
}

/// (seq, person) of a drop's claims.
async fn holders<L: Ledger>(ledger: &L, drop: u32) -> Vec<(u32, String)> {
    let rows = ledger.claims(DropNumber(drop), None, 1_000).await.unwrap();
    rows.into_iter().map(|row| (row.number.seq, row.person)).collect()
}

fn pairs(expected: &[(u32, &str)]) -> Vec<(u32, String)> {
    expected.iter().map(|(seq, person)| (*seq, (*person).to_owned())).collect()
}

async fn claim<L: Ledger>(ledger: &L, drop: u32, seq: u32) -> ClaimRow {
    let number = ClaimNumber { drop: DropNumber(drop), shard: Shard(0), epoch: Epoch::FIRST, seq };
    ledger.claim(number).await.unwrap().expect("the claim is there")
}

/// The only campaign's (unissued, live, recycled), after checking that they add up to the budget.
pub(crate) async fn money<L: Ledger>(ledger: &L) -> (i64, i64, i64) {
    let balances = ledger.balances().await.unwrap();
    let [books @ Balances { budget, unissued, live, recycled, unbalanced, .. }] = balances.as_slice() else {
        panic!("one campaign, not {balances:?}");
    };
    assert_eq!((books.spread(), *unbalanced), (Some(*budget), 0));
    (unissued.0, live.0, recycled.0)
}

/// Checks that the chain verifies and that its head is the one that is reported.
pub(crate) async fn verified<L: Ledger>(ledger: &L) {
    let head = ledger.verify_chain().await.unwrap().expect("the chain verifies");
    assert_eq!(head, ledger.chain_head().await.unwrap());
}
