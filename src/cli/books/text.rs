//! Books as tables and as comma-separated values.

use std::fmt::Write as _;

use crate::backoffice::admin_api::{BooksView, MoneyMoved, MoneyWaits, PeriodView, PostingList, PostingView};
use crate::cli::campaign::table;
use crate::cli::{Exit, Failure};
use crate::domain::ids::CampaignId;

pub(super) fn books(books: &BooksView) -> String {
    let BooksView { campaign, currency, at, budget, accounts, .. } = books;
    let adds_up = if books.balanced { "" } else { "  DOES NOT ADD UP" };
    let mut text = format!("{campaign}, {currency}, at {at}\nbudget {budget}{adds_up}\n\n");
    let pots = [
        ("unissued", &accounts.unissued),
        ("live", &accounts.live),
        ("payable", &accounts.payable),
        ("settled", &accounts.settled),
        ("recycled", &accounts.recycled),
        ("treasury", &accounts.treasury),
        ("recovered", &accounts.recovered),
    ];
    let rows = pots.into_iter().map(|(name, amount)| [name.to_owned(), amount.clone()]);
    text.push_str(&table(["ACCOUNT", "HOLDS"], rows));
    if !books.payable.is_empty() {
        let rows = books.payable.iter().map(|owed| [owed.merchant.clone(), owed.amount.clone()]);
        text.push('\n');
        text.push_str(&table(["MERCHANT", "IS OWED"], rows));
    }
    let rows = books.reasons.iter().flat_map(|reason| {
        let lines = reason.accounts.iter().enumerate();
        lines.map(move |(at, line)| {
            let head = |text: String| if at == 0 { text } else { String::new() };
            let (name, postings) = (head(reason.reason.clone()), head(reason.postings.to_string()));
            [name, postings, line.account.clone(), line.amount.clone()]
        })
    });
    text.push('\n');
    text.push_str(&table(["REASON", "POSTINGS", "ACCOUNT", "CHANGE"], rows));
    text
}

pub(super) fn postings(campaign: &CampaignId, list: &PostingList) -> String {
    if list.postings.is_empty() {
        return "no postings\n".to_owned();
    }
    let rows = list.postings.iter().map(|posting| {
        let lines: Vec<_> =
            posting.lines.iter().map(|line| format!("{} {}", line.account, line.amount)).collect();
        let reverses = posting.reverses.map(|number| format!(" of {number}")).unwrap_or_default();
        [
            posting.number.to_string(),
            posting.at.clone(),
            posting.reason.clone() + &reverses,
            posting.drop.clone().unwrap_or_default(),
            lines.join(", "),
        ]
    });
    let mut text = table(["POSTING", "AT", "REASON", "DROP", "LINES"], rows);
    if let Some(last) = list.next {
        let from = last.saturating_add(1);
        let _ = writeln!(text, "\nmore: claimrush books postings {campaign} --from {from}");
    }
    text
}

/// A line for each account of each posting.
pub(super) fn csv(postings: &[PostingView], with_header: bool) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    if with_header {
        writer
            .write_record(["posting", "at", "reason", "drop", "account", "amount", "reverses"])
            .map_err(|error| failed(&error))?;
    }
    for posting in postings {
        let number = posting.number.to_string();
        let drop = posting.drop.as_deref().unwrap_or_default();
        let reverses = posting.reverses.map(|number| number.to_string()).unwrap_or_default();
        for line in &posting.lines {
            let PostingView { at, reason, .. } = posting;
            let record = [&*number, &**at, &**reason, drop, &*line.account, &*line.amount, &*reverses];
            writer.write_record(record).map_err(|error| failed(&error))?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}

pub(super) fn periods(periods: &[PeriodView]) -> String {
    if periods.is_empty() {
        return "no periods\n".to_owned();
    }
    let mut text = String::new();
    for period in periods {
        if !text.is_empty() {
            text.push('\n');
        }
        let from = period.from.as_deref().unwrap_or("the beginning");
        let PeriodView { number, until, closed_at, .. } = period;
        let _ = writeln!(text, "period {number}: from {from} until {until}, closed {closed_at}");
        let rows = period
            .accounts
            .iter()
            .map(|line| [line.account.clone(), line.opening.clone(), line.closing.clone()]);
        text.push_str(&table(["ACCOUNT", "OPENING", "CLOSING"], rows));
    }
    text
}

pub(super) fn moves(moves: &[MoneyMoved]) -> String {
    if moves.is_empty() {
        return "none\n".to_owned();
    }
    let rows = moves.iter().map(|moved| {
        let reversal = match (moved.reverses, moved.reversed_by) {
            (Some(step), _) => format!("of step {step}"),
            (None, Some(step)) => format!("by step {step}"),
            (None, None) => String::new(),
        };
        [
            moved.number.to_string(),
            moved.at.clone(),
            moved.from.clone(),
            moved.to.clone(),
            moved.amount.clone(),
            moved.reference.clone().unwrap_or_default(),
            reversal,
            moved.by.clone().unwrap_or_default(),
            moved.reason.clone().unwrap_or_default(),
        ]
    });
    table(["STEP", "AT", "FROM", "TO", "AMOUNT", "REFERENCE", "REVERSAL", "BY", "REASON"], rows)
}

pub(super) fn waiting(waiting: &[MoneyWaits]) -> String {
    if waiting.is_empty() {
        return "nothing waits\n".to_owned();
    }
    let rows = waiting.iter().map(|waits| {
        let said_by = match &waits.also_said_by {
            Some(other) => format!("{}, {other}: one of them has to say it again", waits.said_by),
            None => waits.said_by.clone(),
        };
        let reverses = waits.reverses.map(|step| format!("of step {step}")).unwrap_or_default();
        [
            waits.id.clone(),
            waits.said_at.clone(),
            waits.from.clone(),
            waits.to.clone(),
            waits.amount.clone(),
            waits.reference.clone(),
            reverses,
            said_by,
            waits.reason.clone().unwrap_or_default(),
        ]
    });
    table(["ID", "SINCE", "FROM", "TO", "AMOUNT", "REFERENCE", "REVERSAL", "SAID BY", "REASON"], rows)
}
