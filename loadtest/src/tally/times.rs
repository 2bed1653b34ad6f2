//! Times, as histograms that are added and never averaged.

use std::{io::Cursor, time::Duration};

use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Deserializer as HistogramReader, Serializer as _, V2DeflateSerializer},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

use super::MICROS_MAX;

/// A time in whole microseconds.
#[must_use]
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Times in microseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Times(Histogram<u64>);

impl Times {
    /// None yet, told apart to so many significant digits.
    ///
    /// # Errors
    /// Never for the digits of this module.
    pub fn new(digits: u8) -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, MICROS_MAX, digits)?))
    }

    /// Notes one time.
    pub fn note(&mut self, time: Duration) {
        self.note_micros(micros(time));
    }

    /// Notes one time, given as [`micros`].
    pub fn note_micros(&mut self, micros: u64) {
        self.0.saturating_record(micros.max(1));
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// Adds others.
    ///
    /// # Errors
    /// They were told apart by more digits.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        Ok(self.0.add(&other.0)?)
    }

    /// The histogram itself.
    #[must_use]
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// HdrHistogram V2, deflated, in base64: the payload of a line of an `.hlog` file.
    ///
    /// # Errors
    /// The histogram cannot be encoded.
    pub fn to_base64(&self) -> Result<String> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.0, &mut bytes)?;
        Ok(STANDARD.encode(bytes))
    }

    /// Reads what [`Times::to_base64`] wrote.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_base64(text: &str) -> Result<Self> {
        let bytes = STANDARD.decode(text)?;
        Ok(Self(HistogramReader::new().deserialize(&mut Cursor::new(bytes))?))
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64().map_err(S::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_base64(&text).map_err(D::Error::custom)
    }
}
