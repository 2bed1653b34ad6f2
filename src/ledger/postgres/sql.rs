//! How statements are run, and what their failures mean.

use deadpool_postgres::{GenericClient, HookError, PoolError};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::ledger::LedgerError;

/// What a statement is told.
pub(super) type Parameters<'p> = &'p [&'p (dyn ToSql + Sync)];

pub(super) async fn query<C: GenericClient>(
    client: &C,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<Vec<Row>, LedgerError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query(&statement, parameters).await?)
}

pub(super) async fn query_opt<C: GenericClient>(
    client: &C,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<Option<Row>, LedgerError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query_opt(&statement, parameters).await?)
}

/// The only column of the only row.
pub(super) async fn query_number<C: GenericClient>(
    client: &C,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<i64, LedgerError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query_one(&statement, parameters).await?.try_get(0)?)
}

/// How many rows a statement touched.
pub(super) async fn execute<C: GenericClient>(
    client: &C,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<u64, LedgerError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.execute(&statement, parameters).await?)
}

/// What a connection says. One that failed is used by nobody any more: what it has prepared, or made for itself, may be what
/// failed, where a table was altered, say; the next one finds things as they are.
macro_rules! unhurried {
    ($client:ident, $work:expr) => {{
        let outcome = $work.await;
        if let Err(LedgerError::Unavailable(_) | LedgerError::Corrupt(_)) = &outcome {
            drop(deadpool_postgres::Client::take($client));
        }
        outcome
    }};
}

/// The same, unless it takes too long.
macro_rules! in_time {
    ($client:ident, $work:expr) => {
        $crate::ledger::postgres::unhurried!($client, async {
            let outcome = tokio::time::timeout($crate::limits::LEDGER_ANSWER_TIMEOUT, $work).await;
            let late = "the server did not answer in time";
            outcome.unwrap_or_else(|_| Err(LedgerError::Unavailable(late.to_owned())))
        })
    };
}

pub(super) use {in_time, unhurried};

impl From<tokio_postgres::Error> for LedgerError {
    fn from(error: tokio_postgres::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        let Some(refusal) = error.as_db_error() else {
            // What the server sent is not what the schema says; anything else is the way to it.
            let ours = text.starts_with("error retrieving column")
                || text.starts_with("error deserializing column")
                || text.starts_with("query returned an unexpected number of rows");
            return if ours { LedgerError::Corrupt(text) } else { LedgerError::Unavailable(text) };
        };
        let text = format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code());
        // 22 data, 23 constraints, 42 names that are not there, XX001 and XX002 damaged pages and indexes.
        let code = refusal.code().code();
        let corrupt = ["22", "23", "42P", "42703", "XX00"].iter().any(|class| code.starts_with(class));
        if corrupt { LedgerError::Corrupt(text) } else { LedgerError::Unavailable(text) }
    }
}

impl From<PoolError> for LedgerError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => error.into(),
            PoolError::Timeout(_) => {
                LedgerError::Unavailable("no connection became free, or none was made, in time".to_owned())
            }
            other => LedgerError::Unavailable(other.to_string()),
        }
    }
}

/// A stored form that cannot be read, or not be written.
pub(super) fn encoded(error: impl std::fmt::Display) -> LedgerError {
    LedgerError::Corrupt(error.to_string())
}

/// A number in the width of the other side.
pub(super) fn number<N: Copy + std::fmt::Display, M: TryFrom<N>>(number: N) -> Result<M, LedgerError> {
    M::try_from(number).map_err(|_| LedgerError::Corrupt(format!("{number} does not fit its column")))
}
