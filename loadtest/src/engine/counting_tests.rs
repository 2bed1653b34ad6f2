use super::*;
use crate::{engine::meter::MeterReading, outputs::sample, scenario::Persona};

#[test]
fn every_answer_stands_in_each_histogram_that_is_made_of_it() {
    let mut scenario = sample::scenario();
    scenario.personas = vec![Persona::honest(), Persona { name: Some("others".into()), ..Persona::honest() }];
    let (start, meter) = (Instant::now(), Arc::new(Meter::default()));
    let mut counting = Counting::new(&scenario, Duration::from_millis(1), start, Arc::clone(&meter)).unwrap();
    let kinds = [(201, ""), (200, ""), (200, "state"), (410, "sold_out"), (503, "overloaded")];
    for n in 0..5_000_u64 {
        let (status, code) = kinds[usize::try_from(n % 7 % 5).unwrap()];
        // The times of each kind are a class of their own.
        let ago = |millis| Instant::now().checked_sub(Duration::from_millis(millis)).unwrap();
        let at = Moments { intended: ago(u64::from(status) + 1_050), sent: ago(u64::from(status) + 50) };
        counting.answered(usize::from(n % 3 == 0), status, code, at).unwrap();
        if n == 2_500 {
            counting.publish().unwrap();
        }
    }
    counting.publish().unwrap();
    let recent = MeterReading::of([&*meter].into_iter(), &Times::new(INTERVAL_DIGITS).unwrap()).recent;
    let tally = counting.finish().unwrap();

    let len = |times: &Times| times.histogram().len();
    let of_kinds = |persona: &PersonaTally, wanted: &dyn Fn(u16) -> bool| -> u64 {
        persona.counts.iter().filter(|(kind, _)| wanted(kind.status)).map(|(_, answers)| answers).sum()
    };
    for persona in &tally.personas {
        for (times, wanted) in [
            ([&persona.response, &persona.service], &(|_| true) as &dyn Fn(u16) -> bool),
            ([&persona.granted_response, &persona.granted_service], &|status| status == 201),
            ([&persona.refused_response, &persona.refused_service], &|status| status >= 400),
        ] {
            assert_eq!(times.map(len), [of_kinds(persona, wanted); 2]);
        }
        let least = |times: &Times| times.histogram().min() / 100_000;
        assert_eq!(
            [least(&persona.service), least(&persona.granted_service), least(&persona.refused_service)],
            [2, 2, 4]
        );
        assert_eq!([least(&persona.response), least(&persona.refused_response)], [12, 14]);
        assert!(persona.service.histogram().max() >= 503_000);
    }
    assert_eq!(tally.personas.iter().map(|persona| len(&persona.response)).sum::<u64>(), 5_000);
    assert!(tally.intervals.iter().all(|interval| len(&interval.response) == interval.answers));
    let mut by_interval = Times::new(INTERVAL_DIGITS).unwrap();
    tally.intervals.iter().for_each(|interval| by_interval.merge(&interval.response).unwrap());
    assert_eq!(len(&by_interval), 5_000);
    assert_eq!(by_interval, recent);
}
