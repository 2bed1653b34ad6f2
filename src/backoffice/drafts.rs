//! Drafts of campaigns: made by one, approved by another, and applied as they were approved.
//!
//! Owns their documents and who may approve whom. What a draft says is checked when it is made and once more, against
//! what stands then, when it is applied.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::Caller;
use super::admin_api::{DraftDrop, DraftView};
use super::campaigns::{ApplyError, Campaigns};
use crate::clock::{UnixMs, rfc3339};
use crate::config::Approval;
use crate::domain::access::{Actor, Role};
use crate::domain::campaign::{self, Campaign, Changes, FileError, Refusal, changes, check_days};
use crate::domain::ids::CampaignId;
use crate::ledger::{Catalogue, Document, DocumentFlaw, LedgerError, PutDocument};

/// The kind of document that holds a draft.
pub const KIND: &str = "draft";
/// Why nobody approves whatever there may be.
const UNSEEN: &str =
    "it may have been changed since it was looked at: name the revision that was (--revision)";

/// Why a draft was not made or approved.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// There is none of that id.
    #[error("there is no draft of campaign {0:?}")]
    UnknownDraft(String),
    /// There is no such campaign to copy.
    #[error("there is no campaign {0:?}")]
    UnknownCampaign(String),
    /// It cannot be.
    #[error("{0}")]
    Refused(String),
    /// The campaign is not good, or cannot be applied to what stands.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The ledger failed, or somebody else changed the draft at the same time.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<DocumentFlaw> for DraftError {
    fn from(flaw: DocumentFlaw) -> Self {
        Self::Refused(flaw.to_string())
    }
}

impl From<FileError> for DraftError {
    fn from(error: FileError) -> Self {
        Self::Apply(error.into())
    }
}

/// How a draft stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DraftState {
    /// It waits for somebody who approves it.
    Waiting,
    /// It was approved, and is applied.
    Approved,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    campaign: Campaign,
    state: DraftState,
    drafted_by: Actor,
    drafted_at_ms: UnixMs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approved_by: Option<Actor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approved_at_ms: Option<UnixMs>,
}

/// Makes, shows and approves drafts.
pub struct Drafts {
    campaigns: Arc<Campaigns>,
    approval: Approval,
}

impl Drafts {
    /// Drafts of these campaigns.
    #[must_use]
    pub fn new(campaigns: Arc<Campaigns>, approval: Approval) -> Self {
        Self { campaigns, approval }
    }

    /// Whether a campaign file may be applied without a draft.
    #[must_use]
    pub fn one_step(&self) -> bool {
        self.approval == Approval::OneStep
    }

    /// Keeps a campaign file as a draft, in the place of an earlier one of the same campaign.
    ///
    /// # Errors
    /// [`DraftError`]; nothing is kept then.
    pub async fn draft(
        &self,
        by: &Caller,
        text: &str,
        opens_at_ms: Option<UnixMs>,
    ) -> Result<DraftView, DraftError> {
        let given = Campaign::parse(text)?;
        let campaign = opens_at_ms.map_or_else(|| given.clone(), |at| given.shift_to(at));
        self.keep(by, campaign, text).await
    }

    /// Drafts another campaign like one that stands, its drops moved so that the first opens at `opens_at_ms`.
    ///
    /// # Errors
    /// [`DraftError`]; nothing is kept then.
    pub async fn copy(
        &self,
        by: &Caller,
        id: &str,
        new: CampaignId,
        opens_at_ms: UnixMs,
    ) -> Result<DraftView, DraftError> {
        let catalogue = self.campaigns.ledger.catalogue().await?;
        let found = catalogue.campaigns.iter().find(|record| record.campaign.id.as_str() == id);
        let record = found.ok_or_else(|| DraftError::UnknownCampaign(id.to_owned()))?;
        if catalogue.campaigns.iter().any(|record| record.campaign.id == new) {
            return Err(DraftError::Refused(format!("there is a campaign {:?} already", new.as_str())));
        }
        let copy = record
            .campaign
            .copy_as(new)
            .map_err(|error| DraftError::Refused(format!("the id of a drop of the copy {error}")))?;
        self.keep(by, copy.shift_to(opens_at_ms), "").await
    }

    async fn keep(&self, by: &Caller, campaign: Campaign, text: &str) -> Result<DraftView, DraftError> {
        self.campaigns.check_tables(&campaign, text)?;
        let catalogue = self.campaigns.ledger.catalogue().await?;
        let planned = planned(&catalogue, &campaign, self.campaigns.redis_now_ms())
            .map_err(|refusal| refused(&refusal, text))?;
        if planned.is_empty() {
            return Err(DraftError::Refused("it says what stands already".to_owned()));
        }
        let id = campaign.id.to_string();
        let before = self.campaigns.ledger.document(KIND, &id).await?;
        let draft = Draft {
            campaign,
            state: DraftState::Waiting,
            drafted_by: by.actor.clone(),
            drafted_at_ms: self.campaigns.clock.now_ms(),
            approved_by: None,
            approved_at_ms: None,
        };
        let row = self.write(by, &id, before.map_or(0, |row| row.revision), &draft).await?;
        Ok(view(&row, &draft, &planned))
    }

    /// Every draft, approved ones too, in order of the campaigns' ids.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn list(&self) -> Result<Vec<DraftView>, LedgerError> {
        let catalogue = self.campaigns.ledger.catalogue().await?;
        let rows = self.campaigns.ledger.all_documents(KIND).await?;
        rows.iter().map(|row| shown(&catalogue, row, self.campaigns.redis_now_ms())).collect()
    }

    /// One draft.
    ///
    /// # Errors
    /// [`DraftError`].
    pub async fn show(&self, id: &str) -> Result<DraftView, DraftError> {
        let (row, _) = self.stored(id).await?;
        Ok(shown(&self.campaigns.ledger.catalogue().await?, &row, self.campaigns.redis_now_ms())?)
    }

    /// Approves a draft and applies it: the revision that the approver has seen, or the same draft once it is approved. Whoever
    /// may do without another person may do without one. Again it applies what was approved and is not there yet.
    ///
    /// # Errors
    /// [`DraftError`]. What cannot be applied goes back to waiting.
    pub async fn approve(
        &self,
        by: &Caller,
        id: &str,
        revision: Option<u64>,
    ) -> Result<DraftView, DraftError> {
        let (row, mut draft) = self.stored(id).await?;
        // In the embedded default the one who holds the admin token may be the only one there is.
        let alone = by.role == Role::Admin && self.one_step();
        if !alone && draft.drafted_by.is_same_as(&by.actor) {
            let what = format!("{} drafted it, and somebody else has to approve it", draft.drafted_by);
            return Err(DraftError::Refused(what));
        }
        // To approve a draft writes it once more, as it is.
        let is_seen = |seen: u64| {
            let is_approved = draft.state == DraftState::Approved;
            seen == row.revision || (is_approved && seen.checked_add(1) == Some(row.revision))
        };
        match revision {
            Some(seen) if !is_seen(seen) => {
                let what = format!("the draft was changed meanwhile: it is at revision {}", row.revision);
                return Err(DraftError::Refused(what));
            }
            // It may have been changed by whoever drafted it, since it was looked at.
            None if !alone => return Err(DraftError::Refused(UNSEEN.to_owned())),
            _ => {}
        }
        let mut expected = row.revision;
        if draft.state == DraftState::Waiting {
            // Approved before it is applied: nobody can slip another draft in between.
            draft.state = DraftState::Approved;
            draft.approved_by = Some(by.actor.clone());
            draft.approved_at_ms = Some(self.campaigns.clock.now_ms());
            expected = self.write(by, id, expected, &draft).await?.revision;
        }
        match self.campaigns.store(&draft.campaign, "", &by.actor.to_string()).await {
            Ok((_, applied)) => {
                let (row, draft) = self.stored(id).await?;
                Ok(view(&row, &draft, &applied))
            }
            Err(error @ ApplyError::Load(_)) => Err(error.into()),
            Err(error) => {
                (draft.state, draft.approved_by, draft.approved_at_ms) = (DraftState::Waiting, None, None);
                self.write(by, id, expected, &draft).await?;
                Err(error.into())
            }
        }
    }

    async fn stored(&self, id: &str) -> Result<(Document, Draft), DraftError> {
        let row = self.campaigns.ledger.document(KIND, id).await?;
        let row = row.ok_or_else(|| DraftError::UnknownDraft(id.to_owned()))?;
        let draft = row.read()?;
        Ok((row, draft))
    }

    async fn write(
        &self,
        by: &Caller,
        id: &str,
        expected: u64,
        draft: &Draft,
    ) -> Result<Document, DraftError> {
        let put = PutDocument::new(KIND, id, expected, draft, by.actor.to_string())?;
        Ok(self.campaigns.ledger.put_document(put, self.campaigns.clock.now_ms()).await?)
    }
}

/// What applying a campaign would change of what stands.
fn planned(catalogue: &Catalogue, new: &Campaign, now_ms: UnixMs) -> Result<Changes, Refusal> {
    let record = catalogue.campaigns.iter().find(|record| record.campaign.id == new.id);
    if record.is_some_and(|record| record.ended_at_ms.is_some()) {
        return Err(Refusal::Ended(new.id.clone()));
    }
    let old = record.map(|record| &record.campaign);
    let changes = changes(old, new, |_| 0)?;
    // What was claimed is looked at when it is applied.
    check_days(old, new, now_ms, |_| None)?;
    Ok(changes)
}

fn refused(refusal: &Refusal, text: &str) -> ApplyError {
    ApplyError::Refused { line: campaign::line_of_refusal(text, refusal), what: refusal.to_string() }
}

fn shown(catalogue: &Catalogue, row: &Document, now_ms: UnixMs) -> Result<DraftView, LedgerError> {
    let draft: Draft = row.read()?;
    // What cannot be applied any more shows no changes; approving it says why.
    let planned = planned(catalogue, &draft.campaign, now_ms).unwrap_or_default();
    Ok(view(row, &draft, &planned))
}

fn view(row: &Document, draft: &Draft, changes: &Changes) -> DraftView {
    let campaign = &draft.campaign;
    let money = |amount| format!("{amount} {}", campaign.currency);
    DraftView {
        campaign: campaign.id.to_string(),
        name: campaign.name.clone(),
        state: draft.state,
        revision: row.revision,
        budget: money(campaign.budget),
        daily_budget: campaign.daily_budget.map(money),
        time_zone: campaign.time_zone.clone(),
        rules: campaign.told(),
        drops: campaign
            .drops
            .iter()
            .map(|drop| DraftDrop {
                id: drop.id.to_string(),
                opens_at: rfc3339(drop.opens_at_ms),
                closes_at: rfc3339(drop.closes_at_ms),
                stock: drop.stock,
                limit_per_person: drop.limit_per_person,
                face: drop.voucher.as_ref().map(|terms| money(terms.face)),
                terms: drop.told(),
            })
            .collect(),
        changes: changes.sentences(),
        drafted_by: draft.drafted_by.to_string(),
        drafted_at: rfc3339(draft.drafted_at_ms),
        approved_by: draft.approved_by.as_ref().map(ToString::to_string),
        approved_at: draft.approved_at_ms.map(rfc3339),
    }
}
