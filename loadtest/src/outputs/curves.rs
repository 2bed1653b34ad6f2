//! A histogram as a curve over percentiles, thin enough for a page.

use anyhow::Result;

use crate::{results::ms, tally::Times};

/// Points for each further nine: 90 %, 99 %, 99.9 % and so on are ten apart.
const POINTS_PER_NINE: u32 = 10;
/// As many nines as a curve may have.
const NINES_MAX: u32 = 9;

/// Where a curve's points lie on the axis, in nines: 0 is 0 %, 1 is 90 %, 2 is 99 %, and so on.
pub(crate) fn nines() -> Vec<f64> {
    (0..=NINES_MAX * POINTS_PER_NINE).map(|n| f64::from(n) / f64::from(POINTS_PER_NINE)).collect()
}

/// The times in milliseconds at [`nines`], from a histogram in the form of the results. The curve ends with the
/// first point at which only the longest time is left: there is nothing to say about rarer ones.
///
/// # Errors
/// It is no histogram.
pub(crate) fn curve(encoded: &str) -> Result<Vec<f64>> {
    let times = Times::from_base64(encoded)?;
    let times = times.histogram();
    let ends_after = (times.len().max(1) as f64).log10();
    let mut curve = Vec::new();
    for nines in nines() {
        curve.push(ms(times.value_at_quantile(1.0 - 10_f64.powf(-nines))));
        if nines >= ends_after {
            break;
        }
    }
    Ok(curve)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_curve_runs_from_the_shortest_to_the_longest_time() {
        let mut times = Times::new(3).unwrap();
        for n in 1..=1_000 {
            times.note(Duration::from_millis(n));
        }
        let curve = curve(&times.to_base64().unwrap()).unwrap();
        assert_eq!(curve.len(), 31, "a thousand times have three nines");
        let close = |got: f64, want: f64| assert!((got / want - 1.0).abs() < 0.002, "{got} is not {want}");
        close(curve[0], 1.0);
        close(curve[10], 900.0);
        close(curve[20], 990.0);
        close(curve[30], 1_000.0);
        assert!(curve.is_sorted());
    }

    #[test]
    fn a_curve_of_nothing_has_one_point() {
        assert_eq!(curve(&Times::new(3).unwrap().to_base64().unwrap()).unwrap(), [0.0]);
        assert!(curve("AAAA").is_err());
    }
}
