//! The load-test harness of claimrush.

fn main() {}
