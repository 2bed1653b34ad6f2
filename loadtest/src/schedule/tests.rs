//! Known answers for every profile.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn whole(arrivals: &Arrivals) -> Vec<Due> {
    Schedule::new(arrivals, 42, None).unwrap().collect()
}

fn constant(rate: f64, seconds: u64, spacing: Spacing) -> Arrivals {
    Arrivals::Constant { rate, duration: SECOND * u32::try_from(seconds).unwrap(), spacing }
}

fn spike(people: u64) -> Arrivals {
    Arrivals::Spike {
        people,
        release_after: SECOND * 3,
        reaction: Duration::from_millis(350),
        reaction_sigma: 0.6,
        early: 0.03,
        latest: SECOND * 30,
    }
}

fn soak(spacing: Spacing) -> Arrivals {
    Arrivals::Soak {
        rate: 200.0,
        duration: SECOND * 110,
        ramp_up: SECOND * 10,
        wave: 0.5,
        period: SECOND * 20,
        spacing,
    }
}

fn every_profile() -> Vec<Arrivals> {
    let (duration, step) = (SECOND * 20, SECOND * 5);
    let mut all = vec![spike(5_000), Arrivals::Closed { duration, people: Some(1_000) }];
    for spacing in [Spacing::Even, Spacing::Poisson] {
        all.push(constant(333.3, 20, spacing));
        all.push(Arrivals::Ramp { from: 400.0, to: 10.0, duration, spacing });
        all.push(Arrivals::Stairs { rates: vec![100.0, 0.0, 700.0, 1.0], step, spacing });
        all.push(soak(spacing));
    }
    all
}

/// How many are due in each of so many equal parts of the plan.
fn histogram(due: &[Due], length: Duration, parts: usize) -> Vec<f64> {
    let mut counts = vec![0.0; parts];
    for due in due {
        let place = due.at.as_nanos() * parts as u128 / length.as_nanos();
        counts[usize::try_from(place).unwrap().min(parts - 1)] += 1.0;
    }
    counts
}

#[test]
fn even_arrivals_come_like_clockwork_and_rounding_does_not_add_up() {
    let due = whole(&constant(7.0, 3_600, Spacing::Even));
    assert_eq!(due.len(), 7 * 3_600);
    for due in &due {
        let exact = due.n * 1_000_000_000 / 7;
        let nanos = u64::try_from(due.at.as_nanos()).unwrap();
        assert!(nanos.abs_diff(exact) <= 2, "{due:?} is not at {exact}");
    }
    // After a day at the highest rate, the moment is still right to the microsecond.
    let day = Curve::new([Shape::Line { from: 1e7, to: 1e7, seconds: 86_400.0 }]);
    let last = day.inverse(1e7 * 86_399.0);
    assert!(last.abs_diff(SECOND * 86_399) < Duration::from_micros(1), "{last:?}");
    assert_eq!(whole(&constant(0.1, 30, Spacing::Even)).len(), 3);
}

#[test]
fn poisson_gaps_have_the_mean_and_variance_of_exponential_ones() {
    let due = whole(&constant(1_000.0, 200, Spacing::Poisson));
    let count = due.len() as f64;
    assert!((count - 200_000.0).abs() < 5.0 * 200_000_f64.sqrt(), "{count}");
    let gaps: Vec<f64> = due.windows(2).map(|pair| pair[1].at.abs_diff(pair[0].at).as_secs_f64()).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    assert!((mean - 0.001).abs() < 0.000_02, "{mean}");
    assert!((variance / (mean * mean) - 1.0).abs() < 0.03, "{variance}");
    let long = gaps.iter().filter(|gap| **gap > 0.001).count() as f64 / gaps.len() as f64;
    assert!((long - (-1.0_f64).exp()).abs() < 0.01, "{long} of the gaps are longer than the mean");
}

#[test]
fn a_ramp_s_second_half_has_three_quarters() {
    for (spacing, off) in [(Spacing::Even, 1.5), (Spacing::Poisson, 600.0)] {
        let due = whole(&Arrivals::Ramp { from: 0.0, to: 2_000.0, duration: SECOND * 20, spacing });
        let halves = histogram(&due, SECOND * 20, 2);
        assert!((halves[0] - 5_000.0).abs() <= off && (halves[1] - 15_000.0).abs() <= off, "{halves:?}");
    }
    let falling = Arrivals::Ramp { from: 2_000.0, to: 0.0, duration: SECOND * 20, spacing: Spacing::Even };
    assert_eq!(histogram(&whole(&falling), SECOND * 20, 2), [15_000.0, 5_000.0]);
}

#[test]
fn stairs_have_their_rate_on_each_step() {
    let stairs =
        |spacing| Arrivals::Stairs { rates: vec![100.0, 0.0, 700.0, 20.0], step: SECOND * 10, spacing };
    let counts = histogram(&whole(&stairs(Spacing::Even)), SECOND * 40, 4);
    for (count, expected) in counts.iter().zip([1_000.0, 0.0, 7_000.0, 200.0]) {
        assert!((count - expected).abs() <= 1.0, "{counts:?}");
    }
    let counts = histogram(&whole(&stairs(Spacing::Poisson)), SECOND * 40, 4);
    for (count, expected) in counts.iter().zip([1_000.0, 0.0, 7_000.0, 200.0_f64]) {
        assert!((count - expected).abs() <= 5.0 * expected.sqrt(), "{counts:?}");
    }
}

#[test]
fn a_soak_ramps_up_and_then_waves_round_its_rate() {
    for (spacing, off) in [(Spacing::Even, 1.5), (Spacing::Poisson, 330.0)] {
        let due = whole(&soak(spacing));
        let tens = histogram(&due, SECOND * 110, 11);
        // The ramp brings half of its rate; a half wave brings wave · period / π more or less.
        let swing = 200.0 * 0.5 * 20.0 / std::f64::consts::PI;
        for (at, count) in tens.iter().enumerate() {
            let expected = match at {
                0 => 1_000.0,
                odd if odd % 2 == 1 => 2_000.0 + swing,
                _ => 2_000.0 - swing,
            };
            assert!((count - expected).abs() <= off, "{spacing:?} {at}: {count}, not {expected}");
        }
    }
}

#[test]
fn a_trace_is_played_at_its_speed() {
    let offsets: Arc<[u64]> = vec![0, 1_500_000_001, 2_000_000_000].into();
    let play = |speed| {
        let profile = Arrivals::Trace { file: "trace.csv".into(), speed };
        let schedule = Schedule::new(&profile, 1, Some(Arc::clone(&offsets))).unwrap();
        (schedule.planned_length(), schedule.map(|due| due.at).collect::<Vec<_>>())
    };
    let nanos = Duration::from_nanos;
    assert_eq!(play(1.0), (SECOND * 2, vec![nanos(0), nanos(1_500_000_001), SECOND * 2]));
    assert_eq!(play(4.0), (SECOND / 2, vec![nanos(0), nanos(375_000_000), SECOND / 2]));
    let profile = Arrivals::Trace { file: "trace.csv".into(), speed: 1.0 };
    assert!(Schedule::new(&profile, 1, None).is_err());
    assert!(Schedule::new(&profile, 1, Some(vec![2, 1].into())).is_err());
}

#[test]
fn the_closed_model_hands_out_numbers() {
    let people = Some(3);
    let schedule = Schedule::new(&Arrivals::Closed { duration: SECOND * 9, people }, 1, None).unwrap();
    assert!(!schedule.is_open_model());
    assert_eq!((schedule.planned_length(), schedule.expected_arrivals()), (SECOND * 9, Some(3)));
    assert_eq!(schedule.map(|due| due.n).collect::<Vec<_>>(), [0, 1, 2]);
    let endless = Schedule::new(&Arrivals::Closed { duration: SECOND, people: None }, 1, None).unwrap();
    assert_eq!(endless.expected_arrivals(), None);
    assert_eq!(endless.share(5, 7).take(3).map(|due| due.n).collect::<Vec<_>>(), [5, 12, 19]);
}

#[test]
fn every_profile_is_in_order_within_its_plan_and_as_many_as_expected() {
    for profile in every_profile() {
        let schedule = Schedule::new(&profile, 42, None).unwrap();
        let (length, expected) = (schedule.planned_length(), schedule.expected_arrivals().unwrap());
        let due: Vec<_> = schedule.collect();
        assert!(due.windows(2).all(|pair| pair[0].at <= pair[1].at), "{profile:?}");
        assert!(due.iter().zip(0..).all(|(due, n)| due.n == n), "{profile:?}");
        assert!(due.last().unwrap().at <= length, "{profile:?}");
        let off = (due.len() as u64).abs_diff(expected);
        let poisson = format!("{profile:?}").contains("Poisson");
        assert!(off == 0 || (poisson && (off as f64) < 5.0 * (expected as f64).sqrt()), "{profile:?}: {off}");
    }
}

#[test]
fn the_seed_decides_the_random_ones() {
    for profile in every_profile() {
        let of = |seed| Schedule::new(&profile, seed, None).unwrap().collect::<Vec<_>>();
        assert_eq!(of(42), of(42), "{profile:?}");
        let random = matches!(profile, Arrivals::Spike { .. }) || format!("{profile:?}").contains("Poisson");
        assert_eq!(of(42) != of(43), random, "{profile:?}");
    }
}

#[test]
fn shares_together_are_the_whole_for_any_count() {
    for profile in every_profile() {
        let schedule = Schedule::new(&profile, 42, None).unwrap();
        let expected: Vec<_> = schedule.clone().collect();
        let mut begun = schedule;
        begun.next();
        for slots in [1, 2, 3, 16] {
            let mut together = Vec::new();
            for slot in 0..slots {
                let share: Vec<_> = begun.share(slot, slots).collect();
                assert!(share.iter().all(|due| due.n % slots == slot), "{profile:?}");
                together.extend(share);
            }
            together.sort_unstable_by_key(|due| due.n);
            assert_eq!(together, expected, "{profile:?} over {slots}");
        }
    }
}
