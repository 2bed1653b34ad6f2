//! Each persona against a server that does what a script says.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use claimrush_loadtest::claims_log::Line;

use crate::{
    engine_run::{Claims, all_answers, answers, job, minted, run, run_with_log, scenario},
    script::{Act, Asked, serve_asked},
};

/// Twenty arrivals of one persona within 200 ms.
fn twenty(persona: &str) -> String {
    format!(
        "drop = [{{ id = \"d\" }}]\nconnections = {{ count = 4, grace = \"2s\" }}\npersona = [{{ {persona} }}]\n\
         arrivals = {{ profile = \"constant\", rate = 100, duration = \"200ms\", spacing = \"even\" }}"
    )
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
    let tally = run(job(scenario(address, &twenty("kind = \"double_clicker\"")), minted()));
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
    let tally = run(job(scenario(address, &twenty(obedient)), minted()));
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
        let tally = run(job(scenario(address, &twenty(persona)), minted()));
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
    let tally = run(job(scenario(address, &twenty(waiting)), minted()));
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
            Act::Reply { status, body, .. } if first => {
                Act::Reply { after: Duration::from_secs(2), status, body, retry_after: None }
            }
            act => act,
        }
    });
    let persona = "kind = \"impatient\", patience = \"300ms\", retries = 2";
    let (tally, log) = run_with_log(job(scenario(address, &twenty(persona)), minted()));
    let persona = &tally.personas[0];
    assert_eq!((persona.arrivals, persona.requests, persona.granted), (20, 40, 20));
    assert_eq!((persona.mishaps.lost_replies, persona.mishaps.retries, persona.unknown), (20, 20, 0));
    assert_eq!(log.len(), 20);
    let peers: BTreeSet<_> = notes.all().iter().map(|asked| asked.peer).collect();
    assert_eq!(peers.len(), 40, "each try has a connection of its own");
}

#[test]
fn an_impatient_person_who_gives_up_never_knows() {
    let address = serve_asked(|_| Act::Reply {
        after: Duration::from_secs(2),
        status: 201,
        body: String::new(),
        retry_after: None,
    });
    let persona = "kind = \"impatient\", patience = \"50ms\", retries = 2";
    let (tally, log) = run_with_log(job(scenario(address, &twenty(persona)), minted()));
    let persona = &tally.personas[0];
    assert_eq!((persona.requests, persona.unknown, all_answers(persona)), (60, 20, 0));
    assert!(log.len() == 20 && log.iter().all(|line| matches!(line, Line::Unknown { .. })));
}

#[test]
fn an_abandoner_sends_its_claim_and_is_gone() {
    let notes = Notes::default();
    let address = notes.of(|_| Act::Reply {
        after: Duration::from_secs(1),
        status: 201,
        body: String::new(),
        retry_after: None,
    });
    let (tally, log) = run_with_log(job(scenario(address, &twenty("kind = \"abandoner\"")), minted()));
    let persona = &tally.personas[0];
    assert_eq!((persona.requests, persona.unknown, persona.mishaps.lost_replies), (20, 20, 0));
    assert!(log.len() == 20 && log.iter().all(|line| matches!(line, Line::Unknown { .. })));
    assert_eq!(notes.all().len(), 20, "every claim reached the service");
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
    let run = |address| {
        let persona = "kind = \"slowloris\", every = \"5ms\", hold = \"300ms\"";
        run(job(scenario(address, &twenty(persona)), minted())).personas.remove(0)
    };
    let answered = run(unwilling(|mut stream| {
        thread::sleep(Duration::from_millis(50));
        // A client that has hung up gets no answer.
        let _gone = stream.write_all(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n");
        thread::sleep(Duration::from_secs(1));
    }));
    assert_eq!((answered.arrivals, answers(&answered, 408, "")), (20, 20));
    let closed = run(unwilling(|stream| {
        thread::sleep(Duration::from_millis(50));
        drop(stream);
    }));
    assert_eq!((closed.mishaps.closed_on, all_answers(&closed)), (20, 0));
    let held = run(unwilling(|stream| {
        thread::sleep(Duration::from_secs(5));
        drop(stream);
    }));
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
    let tally = run(job(scenario(address, &twenty(persona)), minted()));
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
    let tally = run(job(scenario(address, &twenty("kind = \"bot\", requests = 3")), minted()));
    assert_eq!(tally.personas[0].granted, 60);
    let connections: BTreeSet<_> = notes.all().iter().map(|asked| asked.peer).collect();
    assert!(connections.len() <= 4, "{connections:?}");
}

#[test]
fn sessions_beyond_the_limit_are_dropped() {
    let address = serve_asked(|_| Act::Reply {
        after: Duration::from_secs(1),
        status: 201,
        body: String::new(),
        retry_after: None,
    });
    let mut scenario = scenario(address, &twenty("kind = \"double_clicker\""));
    scenario.connections.sessions_max = 10;
    let tally = run(job(scenario, minted()));
    assert_eq!((tally.schedule.scheduled, tally.schedule.dropped, tally.personas[0].requests), (20, 15, 10));
}
