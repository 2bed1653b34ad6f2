//! One integration binary, by behaviour.

#[cfg(test)]
mod setup_script;
