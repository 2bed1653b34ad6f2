//! Calls about drafts of campaigns.

use bytes::Bytes;
use hyper::Method;

use super::{AdminClient, AdminError, to_body};
use crate::backoffice::admin_api::{Approve, Copy, DraftList, DraftView};
use crate::clock::UnixMs;
use crate::domain::ids::CampaignId;

impl AdminClient {
    /// Keeps a campaign file as a draft.
    ///
    /// # Errors
    /// [`AdminError::Refused`] holds the service's sentence, which begins with the file's line where there is one.
    pub async fn draft(&self, file: String, opens_at_ms: Option<UnixMs>) -> Result<DraftView, AdminError> {
        let path = match opens_at_ms {
            Some(at) => format!("/admin/v1/drafts?opens_at_ms={at}"),
            None => "/admin/v1/drafts".to_owned(),
        };
        self.call(Method::POST, &path, file.into()).await
    }

    /// Every draft.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn drafts(&self) -> Result<DraftList, AdminError> {
        self.call(Method::GET, "/admin/v1/drafts", Bytes::new()).await
    }

    /// One draft.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn show_draft(&self, id: &CampaignId) -> Result<DraftView, AdminError> {
        self.call(Method::GET, &format!("/admin/v1/drafts/{id}"), Bytes::new()).await
    }

    /// Approves a draft, which applies it.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn approve(&self, id: &CampaignId, revision: Option<u64>) -> Result<DraftView, AdminError> {
        let body = to_body(&Approve { revision })?;
        self.call(Method::POST, &format!("/admin/v1/drafts/{id}/approve"), body).await
    }

    /// Drafts another campaign like one that stands.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn copy(
        &self,
        id: &CampaignId,
        new: &CampaignId,
        opens_at_ms: UnixMs,
    ) -> Result<DraftView, AdminError> {
        let body = to_body(&Copy { id: new.to_string(), opens_at_ms })?;
        self.call(Method::POST, &format!("/admin/v1/campaigns/{id}/copy"), body).await
    }
}
