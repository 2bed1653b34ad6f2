use std::{convert::Infallible, net::SocketAddr};

use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpSocket},
    time::sleep,
};

use super::*;

/// Longer than any answer may take.
const NEVER: Duration = Duration::from_secs(3_600);
/// Longer than anything that is waited for takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const METRICS: &str = "claimrush_drain_lag_seconds 0.5\n\
    claimrush_drain_lag_entries 12\n\
    claimrush_queue_claims{core=\"0\"} 3\n\
    claimrush_queue_claims{core=\"1\"} 4\n\
    claimrush_redis_up 1\n\
    claimrush_drop_stock_left{drop=\"two\"} 77\n";

/// A server that answers each path with a status and a text, after a while, until the test ends.
fn serve(answer: fn(&str) -> (u16, &'static str, Duration)) -> SocketAddr {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let service = service_fn(move |request: Request<Incoming>| async move {
        let (status, text, after) = answer(request.uri().path());
        sleep(after).await;
        let response = Response::builder().status(status).body(Full::new(Bytes::from(text)));
        Ok::<_, Infallible>(response.unwrap())
    });
    thread::spawn(move || {
        runtime.block_on(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
    });
    address
}

fn scrape(public: SocketAddr, admin: Option<SocketAddr>) -> Scrape {
    let targets = ScrapeTargets {
        url: format!("http://{public}"),
        state_path: "/v1/drops/{drop}".into(),
        drops: vec!["one".into(), "two".into()],
        admin_url: admin.map(|admin| format!("http://{admin}")),
    };
    Scrape::start(&targets).unwrap()
}

/// Waits for a state like that.
fn until(scrape: &Scrape, wanted: impl Fn(&ServiceState) -> bool) -> ServiceState {
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        let state = scrape.state();
        if wanted(&state) {
            return state;
        }
        assert!(Instant::now() < give_up_at, "{state:?}");
        thread::yield_now();
    }
}

fn healthy(path: &str) -> (u16, &'static str, Duration) {
    let text = match path {
        "/metrics" => METRICS,
        "/v1/drops/one" => r#"{"state":"open","stock_left":123,"stock_total":1000,"more":[]}"#,
        _ => r#"{"state":"paused","stock_left":7,"stock_total":500}"#,
    };
    (200, text, Duration::ZERO)
}

#[test]
fn a_healthy_service_tells_everything() {
    let server = serve(healthy);
    let state = until(&scrape(server, Some(server)), |state| {
        let whole = state.queue_claims.is_some() && state.stock().0.is_some_and(|left| left != 77);
        whole && state.troubles.is_empty()
    });
    let drop = |id: &str, state: &str, left, total| DropState {
        id: id.into(),
        state: Some(state.into()),
        left: Some(left),
        total: Some(total),
    };
    let expected = ServiceState {
        drops: vec![drop("one", "open", 123, 1_000), drop("two", "paused", 7, 500)],
        drain_lag_s: Some(0.5),
        journal_entries: Some(12),
        queue_claims: Some(7),
        redis_up: Some(true),
        troubles: Vec::new(),
    };
    assert_eq!(state, expected);
    assert_eq!(state.stock(), (Some(130), Some(1_500)));
}

#[test]
fn a_slow_admin_address_holds_up_nothing() {
    let public = serve(healthy);
    let admin = serve(|_| (200, METRICS, NEVER));
    let scrape = scrape(public, Some(admin));
    let troubles = ["metrics: no answer within 800 ms"];
    let state = until(&scrape, |state| state.troubles == troubles && state.stock().0.is_some());
    assert_eq!((state.drain_lag_s, state.queue_claims, state.redis_up), (None, None, None));
    assert_eq!(state.stock().0, Some(130));
}

#[test]
fn a_broken_service_is_named_and_metrics_stand_in_for_its_stock() {
    let public = serve(|_| (500, "", Duration::ZERO));
    let admin = serve(healthy);
    let scrape = scrape(public, Some(admin));
    let troubles = ["state: /v1/drops/one: answered 500"];
    let state = until(&scrape, |state| state.troubles == troubles && state.queue_claims.is_some());
    assert_eq!((state.drops[0].left, state.drops[1].left), (None, Some(77)));
    assert_eq!(state.stock(), (None, None), "a sum with a part missing is no sum");
}

#[test]
fn a_service_that_speaks_of_other_things_is_no_trouble() {
    let other = serve(|_| (200, "<html>{}</html> 1\n\"", Duration::ZERO));
    let scrape = scrape(other, Some(other));
    let heard = |scrape: &Scrape| {
        let states = scrape.board.states.lock().unwrap().last.is_some();
        states && scrape.board.metrics.lock().unwrap().last.is_some()
    };
    let state = until(&scrape, |_| heard(&scrape));
    assert_eq!((state.troubles.len(), state.drain_lag_s, state.stock()), (0, None, (None, None)));
}

#[test]
fn an_absent_service_is_said_to_be_absent() {
    // Taken, so that nobody else gets it, and not listened on.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gone = socket.local_addr().unwrap();
    until(&scrape(gone, Some(gone)), |state| {
        let [of_state, of_metrics] = &state.troubles[..] else { return false };
        of_state.starts_with("state: /v1/drops/one: no connection: ")
            && of_metrics.starts_with("metrics: no connection: ")
    });
}

#[test]
fn without_an_admin_address_only_states_are_asked_for() {
    let scrape = scrape(serve(healthy), None);
    let state = until(&scrape, |state| state.stock().0.is_some() && state.troubles.is_empty());
    assert_eq!((state.stock().0, state.drain_lag_s), (Some(130), None));
}

#[test]
fn what_was_heard_long_ago_is_no_longer_told() {
    let board = Board { drops: vec!["two".into()], ..Board::default() };
    let heard_at = Instant::now();
    board.metrics.lock().unwrap().hear(Ok(Bytes::from(METRICS)), heard_at);
    board.metrics.lock().unwrap().hear(Err(anyhow::anyhow!("gone")), heard_at + ASK_EVERY);
    let soon = board.state(heard_at + FRESH_FOR);
    assert_eq!((soon.queue_claims, soon.stock().0), (Some(7), Some(77)));
    assert_eq!(soon.troubles, ["metrics: gone"]);
    let late = board.state(heard_at + FRESH_FOR + Duration::from_millis(1));
    assert_eq!((late.queue_claims, late.stock().0), (None, None));
}

#[test]
fn an_address_that_cannot_be_understood_is_named() {
    let targets = ScrapeTargets { url: "https://shop.example".into(), ..ScrapeTargets::default() };
    let error = Scrape::start(&targets).err().unwrap();
    assert_eq!(error.to_string(), "address https://shop.example: only http:// is spoken");
}
