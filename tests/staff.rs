//! What staff do about vouchers and money, by the admin listener and by the command line, against the built service on both
//! ledgers.

mod books;
mod money;
mod office;
mod pairs;
mod reversals;
mod texts;
mod vouchers;
