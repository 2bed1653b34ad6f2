//! What several integration tests share: real servers, started and ended here.

pub(crate) mod redis;
