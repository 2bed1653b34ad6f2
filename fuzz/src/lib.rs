//! Fuzz targets of claimrush.
//!
//! A package of its own, and one test program: a fuzzer instruments every test program of the package that it builds, and
//! only one that holds its targets can be linked then.

#[cfg(test)]
#[path = "../../tests/support/mmdb.rs"]
#[expect(dead_code, reason = "shared with the tests, which use the rest of it")]
mod mmdb;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod seeds;
