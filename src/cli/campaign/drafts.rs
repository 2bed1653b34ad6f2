//! How drafts of campaigns are printed.

use std::fmt::Write as _;

use super::super::{Exit, Failure};
use super::table;
use crate::backoffice::admin_api::{DraftList, DraftView};
use crate::backoffice::drafts::DraftState;

const fn word(state: DraftState) -> &'static str {
    match state {
        DraftState::Waiting => "waiting",
        DraftState::Approved => "approved",
    }
}

/// One draft: what it changes, and who has done what.
pub(super) fn text(draft: &DraftView) -> String {
    let DraftView { campaign, state, revision, .. } = draft;
    let mut text = format!("draft of {campaign}, revision {revision}, is {}\n", word(*state));
    for change in &draft.changes {
        let _ = writeln!(text, "  {change}");
    }
    let _ = writeln!(text, "  drafted by {}", draft.drafted_by);
    if let Some(by) = &draft.approved_by {
        let _ = writeln!(text, "  approved by {by}");
    }
    text
}

/// All of them.
pub(super) fn list(list: &DraftList) -> String {
    if list.drafts.is_empty() {
        return "no drafts\n".to_owned();
    }
    let rows = list.drafts.iter().map(|draft| {
        [
            draft.campaign.clone(),
            word(draft.state).to_owned(),
            draft.revision.to_string(),
            draft.drops.len().to_string(),
            draft.budget.clone(),
            draft.drafted_by.clone(),
            draft.approved_by.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    table(["CAMPAIGN", "STATE", "REVISION", "DROPS", "BUDGET", "DRAFTED BY", "APPROVED BY"], rows)
}

/// One draft, whole.
pub(super) fn json(draft: &DraftView) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(draft);
    text.map(|text| text + "\n").map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}
