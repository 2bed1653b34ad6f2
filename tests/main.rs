//! One integration binary, by behaviour.

#[cfg(test)]
mod setup_script;
#[cfg(test)]
mod tidy;
