//! Each persona against a server that does what a script says.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use claimrush_loadtest::{claims_log::Line, engine::Job, scenario::Reuse};

use crate::{
    engine_run::{Claims, all_answers, answers, crowd, job, minted, run, run_with_log, scenario},
    script::{Act, Asked, Nobody, serve_asked},
    workers::crew::until,
};

/// Longer than anything that is waited for takes, even on a busy machine; nobody waits so long for an answer.
const NEVER: Duration = Duration::from_secs(60);

/// Twenty arrivals of one persona within 200 ms.
fn twenty(address: SocketAddr, persona: &str) -> Job {
    let text = format!(
        "drop = [{{ id = \"d\" }}]\nconnections = {{ count = 4, grace = \"30s\" }}\npersona = [{{ {persona} }}]\n\
         arrivals = {{ profile = \"closed\", duration = \"1s\" }}"
    );
    crowd(job(scenario(address, &text), minted()), 20, Duration::from_millis(10))
}

/// An answer that comes when nobody waits for it any more.
fn too_late(status: u16, body: String) -> Act {
    Act::Reply { after: NEVER, status, body, retry_after: None }
}

/// What a server was asked.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<Asked>>>);

impl Notes {
    fn of(&self, script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> SocketAddr {
        let notes = self.clone();
        serve_asked(move |asked| {
            notes.0.lock().unwrap().push(asked.clone());
            script(asked)
        })
    }

    fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }
}

#[test]
fn a_refresher_who_is_told_to_come_back_in_an_age_does_not_wait_for_it() {
    for (status, body, retry_after) in [
        (503, String::new(), Some(u64::MAX)),
        (200, format!(r#"{{"state":"scheduled","poll_after_ms":{}}}"#, u64::MAX), None),
    ] {
        let address = serve_asked(move |_| Act::Reply {
            after: Duration::ZERO,
            status,
            body: body.clone(),
            retry_after,
        });
        let tally = run(twenty(address, "kind = \"refresher\""));
        let persona = &tally.personas[0];
        assert_eq!((persona.arrivals, persona.requests, persona.mishaps.unsent), (20, 20, 20));
    }
}

#[test]
fn an_answer_to_a_poll_is_no_claim_whatever_its_status() {
    let address = serve_asked(|_| Act::reply(201, r#"{"claim_id":"clm_1","seq":1,"state":"open"}"#.into()));
    let tally = run(twenty(address, "kind = \"refresher\", every = \"1ms\", polls_max = 2"));
    let persona = &tally.personas[0];
    assert_eq!((persona.requests, persona.granted, persona.mishaps.unsent), (40, 0, 20));
    assert_eq!((answers(persona, 201, "state"), persona.granted_response.histogram().len()), (40, 0));
    assert!(tally.intervals.iter().all(|interval| interval.granted == 0));
}

#[test]
fn a_double_clicker_claims_twice_at_once_on_two_connections() {
    let (notes, claims) = (Notes::default(), Claims::default());
    let pressed = Mutex::new(BTreeSet::new());
    let address = notes.of(move |asked| {
        if pressed.lock().unwrap().insert(asked.ticket().to_owned()) {
            claims.next()
        } else {
            Act::reply(200, r#"{"claim_id":"clm_1","seq":1,"replayed":true}"#.into())
        }
    });
    let tally = run(twenty(address, "kind = \"double_clicker\""));
    let persona = &tally.personas[0];
    assert_eq!((persona.arrivals, persona.requests, persona.granted, persona.replayed), (20, 40, 20, 20));
    let mut connections: BTreeMap<String, BTreeSet<SocketAddr>> = BTreeMap::new();
    for asked in notes.all() {
        connections.entry(asked.ticket().to_owned()).or_default().insert(asked.peer);
    }
    assert_eq!(connections.len(), 20);
    assert!(connections.values().all(|peers| peers.len() == 2));
}

#[test]
fn whoever_finds_nobody_to_connect_to_never_left() {
    for (persona, claims) in [("double_clicker", 2), ("refresher", 1), ("abandoner", 1), ("honest", 1)] {
        let nobody = Nobody::new();
        let mut job = twenty(nobody.address, &format!("kind = \"{persona}\""));
        job.scenario.connections.reuse = Reuse::PerPerson;
        job.scenario.connections.grace = Duration::from_millis(100);
        let tally = run(job);
        let mishaps = tally.personas[0].mishaps;
        assert_eq!((tally.schedule.scheduled, tally.schedule.dropped), (20, 20), "{persona}");
        assert_eq!(mishaps.unsent, 20 * claims, "{persona}");
        assert!(mishaps.connect_failures >= 20 * claims, "{persona}: {mishaps:?}");
    }
}

#[test]
fn a_refresher_polls_until_the_drop_is_open() {
    let claims = Claims::default();
    let polls = Mutex::new(BTreeMap::new());
    let address = serve_asked(move |asked| {
        if !asked.line.starts_with("GET /v1/drops/d ") {
            assert_eq!(asked.line, "POST /v1/drops/d/claims HTTP/1.1");
            return claims.next();
        }
        let mut polls = polls.lock().unwrap();
        let poll: &mut u32 = polls.entry(asked.peer).or_default();
        *poll += 1;
        let state = if *poll > 2 { "open" } else { "scheduled" };
        Act::reply(200, format!(r#"{{"state":"{state}","poll_after_ms":120}}"#))
    });
    let obedient = "kind = \"refresher\", every = \"1ms\", polls_max = 5";
    let tally = run(twenty(address, obedient));
    let persona = &tally.personas[0];
    assert_eq!((persona.arrivals, persona.requests, persona.granted, persona.replayed), (20, 80, 20, 0));
    assert_eq!(answers(persona, 200, "state"), 60);
    // The last one came 190 ms after the start and waited twice for 120 ms.
    assert!(tally.last_answer >= Duration::from_millis(430), "{:?}", tally.last_answer);
}

#[test]
fn a_refresher_leaves_when_all_is_sold_or_polls_are_used_up() {
    for (state, polls) in [("sold_out", 1), ("closed", 1), ("paused", 3)] {
        let address = serve_asked(move |_| Act::reply(200, format!(r#"{{"state":"{state}"}}"#)));
        let persona = "kind = \"refresher\", every = \"1ms\", polls_max = 3";
        let tally = run(twenty(address, persona));
        let persona = &tally.personas[0];
        assert_eq!((persona.requests, persona.mishaps.unsent), (20 * polls, 20), "{state}");
    }
}

#[test]
fn a_refresher_can_wait_for_more_when_all_is_sold() {
    let (polls, claims) = (Mutex::new(BTreeMap::new()), Claims::default());
    let address = serve_asked(move |asked| {
        if asked.line.starts_with("POST") {
            return claims.next();
        }
        let mut polls = polls.lock().unwrap();
        let poll: &mut u32 = polls.entry(asked.peer).or_default();
        *poll += 1;
        let state = if *poll > 2 { "open" } else { "sold_out" };
        Act::reply(200, format!(r#"{{"state":"{state}","poll_after_ms":50}}"#))
    });
    let waiting = "kind = \"refresher\", every = \"1ms\", polls_max = 5, waits_for_more = true";
    let tally = run(twenty(address, waiting));
    let persona = &tally.personas[0];
    assert_eq!((persona.requests, persona.granted, persona.mishaps.unsent), (80, 20, 0));
}

#[test]
fn an_impatient_person_hangs_up_and_claims_again() {
    let (notes, claims) = (Notes::default(), Claims::default());
    let seen = Mutex::new(BTreeSet::new());
    let address = notes.of(move |asked| {
        let first = seen.lock().unwrap().insert(asked.ticket().to_owned());
        match claims.next() {
            Act::Reply { status, body, .. } if first => too_late(status, body),
            act => act,
        }
    });
    let persona = "kind = \"impatient\", patience = \"2s\", retries = 2";
    let (tally, log) = run_with_log(twenty(address, persona));
    let persona = &tally.personas[0];
    assert_eq!((persona.arrivals, persona.requests, persona.granted), (20, 40, 20));
    assert_eq!((persona.mishaps.lost_replies, persona.mishaps.retries, persona.unknown), (20, 20, 0));
    assert_eq!(log.len(), 20);
    let peers: BTreeSet<_> = notes.all().iter().map(|asked| asked.peer).collect();
    assert_eq!(peers.len(), 40, "each try has a connection of its own");
}

#[test]
fn an_impatient_person_who_gives_up_never_knows() {
    let address = serve_asked(|_| too_late(201, String::new()));
    let persona = "kind = \"impatient\", patience = \"50ms\", retries = 2";
    let (tally, log) = run_with_log(twenty(address, persona));
    let persona = &tally.personas[0];
    assert_eq!((persona.requests, persona.unknown, all_answers(persona)), (60, 20, 0));
    assert!(log.len() == 20 && log.iter().all(|line| matches!(line, Line::Unknown { .. })));
}

#[test]
fn an_abandoner_sends_its_claim_and_is_gone() {
    let notes = Notes::default();
    let address = notes.of(|_| too_late(201, String::new()));
    let (tally, log) = run_with_log(twenty(address, "kind = \"abandoner\""));
    let persona = &tally.personas[0];
    assert_eq!((persona.requests, persona.unknown, persona.mishaps.lost_replies), (20, 20, 0));
    assert!(log.len() == 20 && log.iter().all(|line| matches!(line, Line::Unknown { .. })));
    // They are gone sooner than the service has read what they sent.
    until(|| notes.all().len() == 20);
}

/// A server that reads nothing and does this with every connection.
fn unwilling(treat: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let treat = treat.clone();
            thread::spawn(move || treat(stream.unwrap()));
        }
    });
    address
}

#[test]
fn a_slowloris_counts_how_it_ended() {
    let run = |address, hold: &str| {
        let persona = format!("kind = \"slowloris\", every = \"5ms\", hold = \"{hold}\"");
        run(twenty(address, &persona)).personas.remove(0)
    };
    let answered = unwilling(|mut stream| {
        thread::sleep(Duration::from_millis(50));
        // A client that has hung up gets no answer.
        let _gone = stream.write_all(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n");
        thread::sleep(NEVER);
    });
    let answered = run(answered, "25s");
    assert_eq!((answered.arrivals, answers(&answered, 408, "")), (20, 20));
    let closed = unwilling(|stream| {
        thread::sleep(Duration::from_millis(50));
        drop(stream);
    });
    let closed = run(closed, "25s");
    assert_eq!((closed.mishaps.closed_on, all_answers(&closed)), (20, 0));
    let held = unwilling(|stream| {
        thread::sleep(NEVER);
        drop(stream);
    });
    let held = run(held, "300ms");
    assert_eq!((held.mishaps.unsent, held.mishaps.closed_on, held.requests), (20, 0, 20));
}

/// What a bot's ticket is worth.
fn worth(asked: &Asked) -> &'static str {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind};
    if asked.ticket().is_empty() {
        return "missing";
    }
    let key = DecodingKey::from_secret(b"0123456789abcdef0123456789abcdef");
    match jsonwebtoken::decode::<serde_json::Value>(asked.ticket(), &key, &Validation::new(Algorithm::HS256))
    {
        Ok(ticket) if ticket.claims.get("drop").is_some_and(|drop| drop == "d") => "valid",
        Ok(_) => "foreign",
        Err(error) if *error.kind() == ErrorKind::ExpiredSignature => "expired",
        Err(error) => {
            assert_eq!(*error.kind(), ErrorKind::InvalidSignature);
            "forged"
        }
    }
}

#[test]
fn bots_come_from_few_addresses_with_tickets_of_all_sorts() {
    let (notes, claims) = (Notes::default(), Claims::default());
    let address = notes.of(move |asked| match worth(asked) {
        "valid" => claims.next(),
        sort => Act::reply(401, format!(r#"{{"code":"{sort}"}}"#)),
    });
    let persona = "kind = \"bot\", requests = 5, addresses = [\"127.0.0.2\", \"127.0.0.3\"], \
                   forwarded_for = [\"203.0.113.1\", \"203.0.113.2\", \"203.0.113.3\"], \
                   tickets = { valid = 2, forged = 1, expired = 1, foreign = 1, missing = 1 }";
    let tally = run(twenty(address, persona));
    let persona = &tally.personas[0];
    assert_eq!((persona.arrivals, persona.requests, all_answers(persona)), (20, 100, 100));
    let asked = notes.all();
    let sorts: BTreeMap<_, u64> = asked.iter().fold(BTreeMap::new(), |mut sorts, asked| {
        *sorts.entry(worth(asked)).or_default() += 1;
        sorts
    });
    assert_eq!(sorts.len(), 5, "{sorts:?}");
    for (&sort, &times) in &sorts {
        let counted = if sort == "valid" { persona.granted } else { answers(persona, 401, sort) };
        assert_eq!(counted, times, "{sort}");
    }
    let addresses: BTreeSet<_> = asked.iter().map(|asked| asked.peer.ip()).collect();
    assert_eq!(addresses, ["127.0.0.2", "127.0.0.3"].map(|ip| ip.parse::<IpAddr>().unwrap()).into());
    let pretended: BTreeSet<_> =
        asked.iter().map(|asked| asked.header("x-forwarded-for").to_owned()).collect();
    assert_eq!(pretended, ["203.0.113.1", "203.0.113.2", "203.0.113.3"].map(String::from).into());
    let connections: BTreeSet<_> = asked.iter().map(|asked| asked.peer).collect();
    assert_eq!(connections.len(), 20, "each bot keeps one connection");
}

#[test]
fn bots_without_addresses_share_the_connections_that_stand() {
    let (notes, claims) = (Notes::default(), Claims::default());
    let address = notes.of(move |_| claims.next());
    let tally = run(twenty(address, "kind = \"bot\", requests = 3"));
    assert_eq!(tally.personas[0].granted, 60);
    let connections: BTreeSet<_> = notes.all().iter().map(|asked| asked.peer).collect();
    assert!(connections.len() <= 4, "{connections:?}");
}

#[test]
fn sessions_beyond_the_limit_are_dropped() {
    let address = serve_asked(|_| too_late(201, String::new()));
    let mut job = twenty(address, "kind = \"double_clicker\"");
    job.scenario.connections.sessions_max = 10;
    job.scenario.connections.grace = Duration::from_secs(1);
    let tally = run(job);
    assert_eq!((tally.schedule.scheduled, tally.schedule.dropped, tally.personas[0].requests), (20, 15, 10));
}
