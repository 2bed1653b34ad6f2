//! A voucher's QR code: for its holder alone, readable by a camera, good for seconds, and of no use as a code.

use claimrush::clock::Clock;
use claimrush::domain::ids::ClaimNumber;
use claimrush::domain::qr::{QrFlaw, QrSigner};
use claimrush::guard::ticket::{KEY_FILE_NAME, KeyFile};
use jiff::Timestamp;

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Answer, Client, bearer};
use crate::support::service::{PATIENCE, Service};
use crate::support::{merchants, wait_for};

fn ask(service: &Service, path: &str, ticket: &str, accept: &str) -> Answer {
    let bearer = bearer(ticket);
    let headers = [("authorization", &*bearer), ("accept", accept)];
    let given = usize::from(!accept.is_empty()) + 1;
    Client::connect(service.address()).call("GET", path, &headers[..given], b"")
}

/// What a camera reads in a picture: the rectangles of its path, put on paper and read by another library.
fn read_picture(svg: &str) -> String {
    let side: usize = svg.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
    let path = svg.rsplit(" d=\"").next().unwrap().split('"').next().unwrap();
    let mut paper = vec![255_u8; side * side];
    for rectangle in path.split('M').skip(1) {
        let number = |text: &str| -> usize {
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap()
        };
        let (left, rest) = rectangle.split_once(' ').unwrap();
        let (top, rest) = rest.split_once('h').unwrap();
        let (width, height) = rest.split_once('v').unwrap();
        let (left, top, width, height) = (number(left), number(top), number(width), number(height));
        for y in top..top + height {
            paper[y * side + left..y * side + left + width].fill(0);
        }
    }
    let mut seen = rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| paper[y * side + x]);
    let grids = seen.detect_grids();
    assert_eq!(grids.len(), 1, "one QR code is in the picture");
    grids[0].decode().expect("it is read").1
}

#[test]
fn a_holder_shows_a_qr_code_that_is_good_for_seconds() {
    let service = Service::start_with(&[("voucher.qr_valid_s", "45")], &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 6)]));
    let (ann, bob) = (service.ticket("d-1", "ann"), service.ticket("d-1", "bob"));
    let claim = service.claim("d-1", &ann);
    let code = claim.text("voucher");
    let path = format!("/v1/vouchers/{code}/qr");

    let answer = ask(&service, &path, &ann, "");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let shown = answer.json();
    let (payload, svg) = (answer.text("payload"), answer.text("svg"));
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"), "{svg}");
    assert_eq!(read_picture(&svg), payload);
    assert!(!svg.contains(&code[16..]) && !payload.contains(&code[16..]), "no code is given away");
    let instant = |name: &str| answer.text(name).parse::<Timestamp>().expect("RFC 3339").as_millisecond();
    let left_ms = instant("expires_at") - instant("server_time");
    assert!((44_000..=45_000).contains(&left_ms), "{shown}");
    assert_eq!(
        (&shown["valid_ms"], &shown["refresh_after_ms"]),
        (&left_ms.into(), &(left_ms - 5_000).into())
    );

    // Who has the secret can check it without the service.
    let keys = KeyFile::load(&service.data().join(KEY_FILE_NAME)).expect("it is there");
    let signer = QrSigner::new(keys.voucher_secret().bytes(), 45);
    let number = ClaimNumber::parse_claim_id(&claim.text("claim_id")).expect("a claim id");
    assert_eq!(signer.verify(&payload, Clock::System.now_ms()), Ok(number));
    assert_eq!(signer.verify(&payload, instant("expires_at")), Err(QrFlaw::Expired));

    let picture = ask(&service, &path, &ann, "image/svg+xml");
    assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/svg+xml")));
    assert_eq!(picture.header("cache-control"), Some("no-store"));
    let read = read_picture(std::str::from_utf8(&picture.body).expect("text"));
    assert_eq!(signer.verify(&read, Clock::System.now_ms()), Ok(number));

    // Neither somebody else nor who has the picture gets a fresh one, and nobody learns the code from it.
    let refused = |path: &str, ticket: &str| {
        let answer = ask(&service, path, ticket, "");
        (answer.status, answer.code())
    };
    assert_eq!(refused(&path, &bob), (404, "unknown_voucher".to_owned()));
    for shown in [format!("/v1/vouchers/{payload}"), format!("/v1/vouchers/{payload}/qr")] {
        assert_eq!(refused(&shown, &ann), (404, "unknown_voucher".to_owned()), "{shown}");
    }
    assert_eq!(refused(&path, "x.y.z"), (401, "ticket_invalid".to_owned()));
    assert_eq!(Client::connect(service.address()).call("POST", &path, &[], b"").status, 405);
}

#[test]
fn a_till_sees_what_it_needs_and_not_whose_the_voucher_is() {
    let service = Service::start();
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 6)]));
    let claim = service.claim("d-1", &service.ticket("d-1", "ann-of-kunming"));
    let code = claim.text("voucher");
    let key = |args: &[&str]| {
        let output = service.command(&["key", "add"]).args(args).output().expect("it runs");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    merchants::enter(&service, "m-1");
    let till = key(&["--role", "merchant", "--name", "till 1", "--merchant", "m-1"]);
    let show = |shown: &str, key: &str| ask(&service, &format!("/v1/vouchers/{shown}"), key, "");
    let answer =
        wait_for("the ledger has it", PATIENCE, || Some(show(&code, &till)).filter(|got| got.status == 200));
    let seen = answer.json();
    let names: Vec<&str> = seen.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["claim_id", "currency", "drop", "expires_at", "face", "merchants", "status", "threshold"]
    );
    assert_eq!(
        (&seen["status"], &seen["face"], &seen["threshold"]),
        (&"issued".into(), &"1.00".into(), &"5.00".into())
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(!String::from_utf8_lossy(&answer.body).contains("kunming"));
    // The holder sees as much, and that it is theirs.
    let own =
        ask(&service, &format!("/v1/vouchers/{code}"), &service.ticket("d-1", "ann-of-kunming"), "").json();
    for name in ["status", "face", "threshold", "currency", "expires_at", "merchants"] {
        assert_eq!(own[name], seen[name], "{name}");
    }
    assert_eq!(own["voucher"], code.as_str());

    let keys = KeyFile::load(&service.data().join(KEY_FILE_NAME)).expect("it is there");
    let signer = QrSigner::new(keys.voucher_secret().bytes(), 30);
    let number = ClaimNumber::parse_claim_id(&claim.text("claim_id")).expect("a claim id");
    let now_ms = Clock::System.now_ms();
    assert_eq!(show(&signer.sign(number, now_ms).text, &till).json(), seen, "by its QR code too");
    let refused = |shown: &str, key: &str| {
        let answer = show(shown, key);
        (answer.status, answer.code())
    };
    assert_eq!(refused(&signer.sign(number, now_ms - 31_000).text, &till), (410, "qr_expired".to_owned()));
    assert_eq!(refused("x", &till), (404, "unknown_voucher".to_owned()));
    let auditor = key(&["--role", "auditor", "--name", "Bob"]);
    for stranger in [&*auditor, "crk_0123456789_00"] {
        assert_eq!(refused(&code, stranger), (401, "unauthorized".to_owned()));
    }
}
