//! Fuzz targets of claimrush.
//!
//! A package of its own, and one test program: a fuzzer instruments every test program of the package that it builds, and
//! only one that holds its targets can be linked then.

#[cfg(test)]
mod readers;
