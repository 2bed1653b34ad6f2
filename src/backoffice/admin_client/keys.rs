//! Calls about API keys.

use bytes::Bytes;
use hyper::Method;

use super::{AdminClient, AdminError, segment, to_body};
use crate::backoffice::access::KeyView;
use crate::backoffice::admin_api::{AddKey, KeyList, MadeKey, RotateKey};
use crate::domain::access::Role;

impl AdminClient {
    /// Every key, without its secret.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn keys(&self) -> Result<KeyList, AdminError> {
        self.call(Method::GET, "/admin/v1/keys", Bytes::new()).await
    }

    /// Adds a key.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn add_key(
        &self,
        role: Role,
        name: String,
        merchant: Option<String>,
    ) -> Result<MadeKey, AdminError> {
        self.call(Method::POST, "/admin/v1/keys", to_body(&AddKey { role, name, merchant })?).await
    }

    /// Gives a key a new secret.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn rotate_key(&self, id: &str, overlap_s: u32) -> Result<MadeKey, AdminError> {
        let body = to_body(&RotateKey { overlap_s })?;
        self.call(Method::POST, &format!("/admin/v1/keys/{}/rotate", segment(id)), body).await
    }

    /// Ends a key.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn revoke_key(&self, id: &str) -> Result<KeyView, AdminError> {
        self.call(Method::POST, &format!("/admin/v1/keys/{}/revoke", segment(id)), Bytes::new()).await
    }
}
