//! One integration binary, by behaviour.
