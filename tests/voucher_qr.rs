//! A voucher's QR code: for its holder alone, readable by a camera, good for seconds, and of no use as a code.

use claimrush::clock::Clock;
use claimrush::domain::ids::ClaimNumber;
use claimrush::domain::qr::{QrFlaw, QrSigner};
use claimrush::guard::ticket::{KEY_FILE_NAME, KeyFile};
use jiff::Timestamp;

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Answer, Client, bearer};
use crate::support::service::Service;

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
