//! What people who run a programme do.

pub mod admin_api;
pub mod admin_client;
