//! The tables whose rows are numbered 1, 2, 3 … over the ledger's life and covered by records.
//!
//! Owns the questions that every store asks of each of them, in words that both understand.

macro_rules! numbered {
    ($($table:literal => $variant:ident,)*) => {
        /// One of them.
        #[derive(Debug, Clone, Copy)]
        pub(super) enum Numbered {
            $($variant,)*
        }

        impl Numbered {
            /// The number of the last row.
            pub(super) fn last(self) -> &'static str {
                match self { $(Self::$variant => concat!("SELECT coalesce(max(number), 0) FROM ", $table),)* }
            }

            /// How many rows there are, whatever their numbers.
            pub(super) fn rows(self) -> &'static str {
                match self { $(Self::$variant => concat!("SELECT count(*) FROM ", $table),)* }
            }
        }
    };
}

numbered! {
    "claim_return" => Returns,
    "quarantine" => Quarantine,
    "posting" => Postings,
    "bond" => Bonds,
    "document" => Documents,
    "step" => Steps,
}
