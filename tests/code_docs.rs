//! The program of docs/CODES.md: it believes what the service signs and nothing else.

use std::process::{Command, Output};

use claimrush::clock::Clock;
use claimrush::domain::ids::{ClaimNumber, DropNumber, Epoch, Shard};
use claimrush::domain::qr::QrSigner;
use claimrush::domain::voucher::VoucherSigner;

const PAGE: &str = include_str!("../docs/CODES.md");
const SECRET: [u8; 32] = [7; 32];
const NUMBER: ClaimNumber =
    ClaimNumber { drop: DropNumber(70_000), shard: Shard(1), epoch: Epoch(300), seq: 1_234_567 };

fn check(code: &str) -> Output {
    let (_, rest) = PAGE.split_once("```python\n").expect("the page has it");
    let program = rest.split_once("```").expect("it ends").0;
    let mut python = Command::new("python3");
    python.args(["-c", program]).env("SECRET", data_encoding::BASE64URL_NOPAD.encode(&SECRET));
    python.env("CODE", code).env_remove("QR_VALID_S").output().expect("python3 is needed by the tests")
}

fn believed(code: &str) -> String {
    let output = check(code);
    assert!(output.status.success(), "{code}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn refused(code: &str) -> String {
    let output = check(code);
    assert_eq!(output.status.code(), Some(1), "{code}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// The text with one character changed for another one of the alphabet.
fn changed(text: &str, at: usize) -> String {
    let other = if text[at..].starts_with('0') { "1" } else { "0" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

#[test]
fn the_documented_program_tells_good_codes_from_others() {
    let (codes, payloads) = (VoucherSigner::new(&SECRET), QrSigner::new(&SECRET, 30));
    let now_ms = Clock::System.now_ms();
    let (code, payload) = (codes.code(NUMBER), payloads.sign(NUMBER, now_ms).text);
    for good in [&code, &code.to_lowercase(), &payload] {
        assert_eq!(believed(good), "drop 70000 shard 1 epoch 300 seq 1234567\n");
    }
    for at in [0, 15, 16, 31] {
        assert_eq!(refused(&changed(&code, at)), "forged\n");
        assert_eq!(refused(&changed(&payload, at + 5)), "forged\n");
    }
    let other = VoucherSigner::new(&[8; 32]).code(NUMBER);
    for bad in [&other, &code[1..], "", "CRQ1-", &payload[5..], "ÄÖ", &format!("CRQ1-{code}")] {
        assert_eq!(refused(bad), "forged\n");
    }
    assert_eq!(refused(&payloads.sign(NUMBER, now_ms - 31_000).text), "too old\n");
}
