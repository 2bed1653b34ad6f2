//! Many people at one drop, each asking until somebody gives an answer that counts, and what they were told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::http::{Answer, Client, bearer, claims_path};
use super::mint::Mint;

/// How long one person goes on asking a service that is down or full.
const STAMINA: Duration = Duration::from_secs(300);
/// The pause before asking again, as a client keeps it.
const PAUSE: Duration = Duration::from_millis(5);

/// What one person was told in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// "Yours", with this claim id.
    Claimed(String),
    /// "Sold out".
    SoldOut,
}

/// One wish of one person: a claim without a key, or one with it where a person may have several.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wish {
    pub(crate) person: String,
    pub(crate) key: Option<&'static str>,
}

impl Wish {
    /// A person's one claim.
    pub(crate) fn of(person: impl Into<String>) -> Self {
        Self { person: person.into(), key: None }
    }

    /// The claim that this key of the person's names.
    pub(crate) fn keyed(person: impl Into<String>, key: &'static str) -> Self {
        Self { person: person.into(), key: Some(key) }
    }
}

/// A drop, where it is served now, and how many answers have come.
pub(crate) struct Crowd {
    drop: String,
    mint: Mint,
    address: Mutex<SocketAddr>,
    answers: AtomicUsize,
}

impl Crowd {
    /// A crowd before a drop.
    pub(crate) fn new(drop: &str, mint: Mint, address: SocketAddr) -> Self {
        Self { drop: drop.to_owned(), mint, address: Mutex::new(address), answers: AtomicUsize::new(0) }
    }

    /// Tells everybody where the service listens now.
    pub(crate) fn move_to(&self, address: SocketAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// How many answers that count have come so far.
    pub(crate) fn answers(&self) -> usize {
        self.answers.load(Ordering::Acquire)
    }

    /// All ask, over so many connections; what was told to each wish in the end.
    pub(crate) fn rush(&self, wishes: &[Wish], connections: usize) -> HashMap<Wish, Told> {
        self.rush_with_pauses(wishes, connections, PAUSE)
    }

    /// The same with another pause before somebody asks again.
    pub(crate) fn rush_with_pauses(
        &self,
        wishes: &[Wish],
        connections: usize,
        pause: Duration,
    ) -> HashMap<Wish, Told> {
        let next = AtomicUsize::new(0);
        let told = Mutex::new(HashMap::new());
        std::thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| {
                    let mut client = None;
                    while let Some(wish) = wishes.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let answer = self.ask(&mut client, wish, pause);
                        told.lock().unwrap_or_else(PoisonError::into_inner).insert(wish.clone(), answer);
                        self.answers.fetch_add(1, Ordering::Release);
                    }
                });
            }
        });
        told.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// One person asks until the answer counts.
    fn ask(&self, client: &mut Option<Client>, wish: &Wish, pause: Duration) -> Told {
        let ticket = self.ticket(wish);
        let began = Instant::now();
        loop {
            let answer = self.attempt(client, &ticket, wish.key);
            match answer.as_ref().map(|answer| answer.status) {
                Some(200 | 201) => return Told::Claimed(answer.expect("it was seen").text("claim_id")),
                Some(410) => return Told::SoldOut,
                // Somebody else's service on a port that was ours, or none, or one that cannot tell now.
                Some(401 | 404 | 429 | 503) | None => {}
                Some(other) => assert!(other == 0, "{wish:?} was told {other}"),
            }
            assert!(began.elapsed() < STAMINA, "{wish:?} got no answer: {answer:?}");
            std::thread::sleep(pause);
        }
    }

    /// The ticket of a wish's person.
    pub(crate) fn ticket(&self, wish: &Wish) -> String {
        self.mint.ticket(&self.drop, &wish.person)
    }

    /// One attempt, on this connection or a new one; nothing when there is no answer.
    pub(crate) fn attempt(
        &self,
        client: &mut Option<Client>,
        ticket: &str,
        key: Option<&str>,
    ) -> Option<Answer> {
        let address = *self.address.lock().unwrap_or_else(PoisonError::into_inner);
        if client.as_ref().is_none_or(|client| client.peer() != Some(address)) {
            *client = Client::try_connect(address).ok();
        }
        let authorization = bearer(ticket);
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let answer = client.as_mut()?.try_call("POST", &claims_path(&self.drop), &headers, b"").ok();
        if answer.as_ref().is_none_or(|answer| matches!(answer.status, 401 | 404)) {
            *client = None;
        }
        answer
    }
}
