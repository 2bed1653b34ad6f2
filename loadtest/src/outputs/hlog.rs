//! The run's histograms in the HdrHistogram log format, for the tools that read it.
//!
//! Untagged lines are the response times of all answers by interval, as log processors expect them. Tagged lines
//! span the whole run: `response.all`, `service.all`, and the same of each persona. Values are microseconds; the
//! maximum of a line is in milliseconds, as in the format's other writers.

use std::{
    io::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use hdrhistogram::{
    Histogram,
    serialization::{
        V2DeflateSerializer,
        interval_log::{IntervalLogWriterBuilder, Tag},
    },
};

use crate::{
    results::Results,
    tally::{DIGITS, Tally, Times},
};

const LEGEND: &str =
    "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"";
const MICROS_PER_MS: f64 = 1_000.0;

/// The log, as text.
///
/// # Errors
/// A histogram cannot be encoded.
pub fn histogram_log(results: &Results, tally: &Tally) -> Result<String> {
    let mut out = Vec::new();
    header(&mut out, results)?;
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .with_max_value_divisor(MICROS_PER_MS)
        .begin_log_with(&mut out, &mut serializer)?;
    let mut write = |times: &Histogram<u64>, start: Duration, length: Duration, tag: Option<&str>| {
        log.write_histogram(times, start, length, tag.and_then(Tag::new))
            .map_err(|error| anyhow::anyhow!("the histogram log: {error}"))
    };
    let whole = tally.last_answer;
    let (mut response, mut service) = (Times::new(DIGITS)?, Times::new(DIGITS)?);
    for persona in &tally.personas {
        response.merge(&persona.response)?;
        service.merge(&persona.service)?;
    }
    write(response.histogram(), Duration::ZERO, whole, Some("response.all"))?;
    write(service.histogram(), Duration::ZERO, whole, Some("service.all"))?;
    for persona in &tally.personas {
        let name = tag_name(&persona.name);
        write(persona.response.histogram(), Duration::ZERO, whole, Some(&format!("response.{name}")))?;
        write(persona.service.histogram(), Duration::ZERO, whole, Some(&format!("service.{name}")))?;
    }
    let mut start = Duration::ZERO;
    for interval in &tally.intervals {
        write(interval.response.histogram(), start, tally.interval, None)?;
        start += tally.interval;
    }
    Ok(String::from_utf8(out)?)
}

/// The lines that readers look for; the legend stands last.
fn header(out: &mut Vec<u8>, results: &Results) -> Result<()> {
    let started_at = &results.environment.started_at;
    let started: SystemTime = humantime::parse_rfc3339(started_at).unwrap_or(UNIX_EPOCH);
    let epoch_s = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let version = &results.environment.version;
    writeln!(out, "#[Logged with claimrush-loadtest {version}; values in microseconds]")?;
    writeln!(out, "#[Histogram log format version 1.3]")?;
    writeln!(out, "#[StartTime: {epoch_s:.3} (seconds since epoch), {started_at}]")?;
    writeln!(out, "#[BaseTime: {epoch_s:.3} (seconds since epoch)]")?;
    writeln!(out, "{LEGEND}")?;
    Ok(())
}

/// A persona's name as a tag: the format has no place for spaces and commas.
fn tag_name(name: &str) -> String {
    name.chars().map(|c| if c == ',' || c.is_whitespace() || c.is_control() { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::outputs::sample;

    #[test]
    fn a_reader_finds_every_histogram_again() {
        let (results, tally) = sample::sold_out();
        let log = histogram_log(&results, &tally).unwrap();
        let (mut tagged, mut intervals, mut headers) = (Vec::new(), Vec::new(), Vec::new());
        for entry in IntervalLogIterator::new(log.as_bytes()) {
            match entry.unwrap() {
                LogEntry::Interval(line) => {
                    let times = Times::from_base64(line.encoded_histogram()).unwrap();
                    match line.tag() {
                        Some(tag) => tagged.push((tag.as_str().to_owned(), times, line.max())),
                        None => intervals.push((line.start_timestamp(), line.duration(), times)),
                    }
                }
                LogEntry::StartTime(at) | LogEntry::BaseTime(at) => headers.push(at.as_secs()),
            }
        }
        assert_eq!(headers, [1_700_445_597; 2], "2023-11-20T01:59:57Z twice");
        assert_eq!(tagged.len(), 2 + 2 * tally.personas.len());
        let (name, times, max_ms) = &tagged[2];
        assert_eq!((name.as_str(), times), ("response.honest", &tally.personas[0].response));
        assert!((max_ms - results.personas[0].part.times.as_ref().unwrap().response.max_ms).abs() < 0.001);
        assert!(tagged.iter().any(|(name, ..)| name == "service.bot_farm_<b>&amp;</b>"));
        assert_eq!(intervals.len(), tally.intervals.len());
        for (n, (start, length, times)) in intervals.iter().enumerate() {
            assert_eq!(*start, tally.interval * u32::try_from(n).unwrap());
            assert_eq!((*length, times), (tally.interval, &tally.intervals[n].response));
        }
    }
}
