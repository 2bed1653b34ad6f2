//! One integration binary, by behaviour.

#[cfg(test)]
mod claim_model;
#[cfg(test)]
mod claim_mutants;
#[cfg(test)]
mod lua_contract;
#[cfg(test)]
mod script_calls;
#[cfg(test)]
mod support;
