//! Files of both kinds with everything that can be wrong in them, and merchants from entry to suspension.

use super::*;
use crate::domain::access::Actor;
use crate::domain::merchant::Status;
use crate::ledger::sqlite::SqliteLedger;

const GOOD: &str = "\u{feff}id,name,category,region,shop_id,shop_name,cap_per_day,uat\n\
    m-1,过桥米线,H6210,530102,s-1,总店,100,\n\
    m-1,过桥米线,H6210,530102,s-2,\"分店, 东\",100,\n\
    \n\
    m-2,超市,F5211,530100,,,,yes\n";

fn flaws(text: &str) -> Vec<(u64, String, String)> {
    let flaws = match file::read(text.as_bytes()).and_then(|rows| file::gather(rows, &Categories::default()))
    {
        Ok(read) => panic!("{text}: {read:?}"),
        Err(flaws) => flaws,
    };
    flaws.into_iter().map(|flaw| (flaw.line, flaw.column, flaw.what)).collect()
}

/// (line, column, a word of what is wrong)
type Flaws = &'static [(u64, &'static str, &'static str)];

#[test]
fn every_flaw_has_its_line_and_column() {
    let head = "id,name,category,region,shop_id,cap_per_day,uat\n";
    let cases: [(&str, Flaws); 11] = [
        ("", &[(1, "", "the file is empty")]),
        ("id,name,category,region\n", &[(1, "", "there is no row")]),
        (
            "id,name,colour\nm,n,c\n",
            &[(1, "colour", "no such column"), (1, "category", "missing"), (1, "region", "missing")],
        ),
        ("id,id,name,category,region\n1,1,n,F,530102\n", &[(1, "id", "stands twice")]),
        (
            "HEADM 1,n,F52,530102,,,\nm-2,n,F62,530102,,,\nm-3,n,F52,yunnan,,,\n",
            &[(2, "id", "may not contain 'M'"), (3, "category", "GB/T 4754"), (4, "region", "GB/T 2260")],
        ),
        (
            "HEADm-1,n,F52,530102,s,-1,\nm-2,,F52,530102,s,,\nm-3,n,F52,530102,s,,maybe\n",
            &[(2, "cap_per_day", "above zero"), (3, "name", "must have 1 to"), (4, "uat", "yes or no")],
        ),
        (
            "HEADm-1,n,F52,530102,s-1,,\nm-1,other,F52,530102,s-2,,\nm-1,n,F52,530102,s-1,,\n",
            &[(3, "name", "differs from line 2"), (4, "shop_id", "stands twice")],
        ),
        ("HEADm-1\n", &[(2, "name", "must have"), (2, "category", "GB/T 4754"), (2, "region", "GB/T 2260")]),
        ("HEADm-1,\"n\n", &[(2, "category", "GB/T 4754"), (2, "region", "GB/T 2260")]),
        (
            "HEADM 1,,X,99,S 1,-1,maybe\n",
            &[
                (2, "cap_per_day", "above zero"),
                (2, "uat", "yes or no"),
                (2, "name", "must have"),
                (2, "category", "GB/T 4754"),
                (2, "region", "GB/T 2260"),
                (2, "shop_id", "may not contain"),
                (2, "id", "may not contain 'M'"),
            ],
        ),
        // A comma that is not quoted moves everything behind it to the right.
        (
            "HEADm-1,n,F52,530102,s-1,7,no,left over\nm-2,n,F52,530102,,,,,\n",
            &[(2, "", "\"left over\" stands under no column's name")],
        ),
    ];
    for (text, expected) in cases {
        let text = text.replace("HEAD", head);
        let found = flaws(&text);
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
        for ((line, column, what), (known_line, known_column, known_what)) in found.iter().zip(expected) {
            assert_eq!((*line, column.as_str()), (*known_line, *known_column), "{text}: {found:?}");
            assert!(what.contains(known_what), "{text}: {what}");
        }
    }
    let many = (0..1_000).fold(head.to_owned(), |text, _| text + "WRONG,n,F52,530102,,,\n");
    assert_eq!(flaws(&many).len(), limits::IMPORT_FLAWS_SHOWN);
}

#[test]
fn a_workbook_says_the_same_as_a_table_of_texts() {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    let head =
        ["商户编号", "商户名称", "行业代码", "区划代码", "门店编号", "门店名称", "每日核销上限", "测试"];
    sheet.write_row(0, 0, head).unwrap();
    for (row, shop, name) in [(1, "s-1", "总店"), (2, "s-2", "分店, 东")] {
        sheet.write_row(row, 0, ["m-1", "过桥米线", "H6210"]).unwrap();
        sheet.write_number(row, 3, 530_102).unwrap();
        sheet.write_row(row, 4, [shop, name]).unwrap();
        sheet.write_number(row, 6, 100).unwrap();
    }
    sheet.write_row(4, 0, ["m-2", "超市", "F5211", "530100", "", "", "", "是"]).unwrap();
    let bytes = book.save_to_buffer().unwrap();
    let own = Categories::default();
    let gathered = |bytes: &[u8]| file::gather(file::read(bytes).unwrap(), &own).unwrap();
    assert_eq!(gathered(&bytes), gathered(GOOD.as_bytes()));
    let (gbk, _, _) = encoding_rs::GB18030.encode(&GOOD[3..]);
    assert_eq!(gathered(&gbk), gathered(GOOD.as_bytes()), "as spreadsheets in China save it");
    let lines: Vec<_> = file::read(&bytes).unwrap().iter().map(|row| row.line).collect();
    assert_eq!(lines, [2, 3, 5]);
    for broken in [&bytes[..bytes.len() / 2], b"PK\x03\x04 and nothing"] {
        let flaws = file::read(broken).unwrap_err();
        assert!(flaws[0].what.contains("the workbook cannot be read"), "{flaws:?}");
    }
}

#[test]
fn lines_are_those_of_an_editor_however_they_end() {
    let rows =
        "m-1,n,F52,530102,,,\nM 2,n,F52,530102,,,\n\nm-3,\"n\n1\",F52,yunnan,,,\n \nm-4,n,F52,530102,,0,\n";
    let text = format!("id,name,category,region,shop_id,cap_per_day,uat\n{rows}");
    let expected = [(3, "id"), (5, "name"), (5, "region"), (8, "cap_per_day")];
    for end in ["\n", "\r\n", "\r"] {
        for (before, moved) in [("", 0), ("\u{feff}", 0), ("\n\n", 2)] {
            let text = format!("{before}{text}").replace('\n', end);
            let mut found: Vec<_> =
                flaws(&text).into_iter().map(|(line, column, _)| (line, column)).collect();
            found.sort();
            let expected = expected.map(|(line, column)| (line + moved, column.to_owned()));
            assert_eq!(found, expected, "{text:?}");
        }
    }
}

/// A workbook with a head and one row, and one more cell.
fn workbook_with(row: u32, column: u16, text: &str) -> Vec<u8> {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    sheet.write_row(0, 0, ["id", "name", "category", "region"]).unwrap();
    sheet.write_row(1, 0, ["m-1", "n", "F52", "530102"]).unwrap();
    sheet.write_string(row, column, text).unwrap();
    book.save_to_buffer().unwrap()
}

#[test]
fn a_cell_far_away_is_refused_by_its_name() {
    for (row, column, name) in
        [(1_048_575, 16_383, "XFD1048576"), (1, 64, "BM2"), (20_002, 0, "A20003"), (20_002, 64, "BM20003")]
    {
        let flaws = file::read(&workbook_with(row, column, "x")).unwrap_err();
        let what =
            format!("cell {name} is not empty: nothing may stand below line 20002 or right of column BL");
        assert_eq!(flaws.len(), 1, "{flaws:?}");
        assert_eq!((flaws[0].line, &flaws[0].what), (u64::from(row) + 1, &what));
        assert_eq!(file::read(&workbook_with(row, column, " ")).unwrap().len(), 1, "blanks are nothing");
    }
    let last: Vec<_> =
        file::read(&workbook_with(20_001, 63, "x")).unwrap().iter().map(|row| row.line).collect();
    assert_eq!(last, [2, 20_002]);
}

#[test]
fn texts_that_cells_share_are_counted_as_often_as_they_are_shown() {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    // Some 10 KB packed, and 160 MB as texts.
    let text = "x".repeat(32_000);
    for row in 0..5_000 {
        sheet.write_string(row, 0, &text).unwrap();
    }
    let flaws = file::read(&book.save_to_buffer().unwrap()).unwrap_err();
    assert!(flaws[0].what.contains("its cells hold more than 134217728 bytes"), "{flaws:?}");
}

fn caller(name: &str, role: Role) -> Caller {
    Caller { role, actor: Actor { key: Some(name.to_lowercase()), name: name.to_owned() }, merchant: None }
}

#[tokio::test]
async fn a_merchant_goes_from_entry_to_suspension() {
    let folder = tempfile::tempdir().unwrap();
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&folder.path().join("ledger.db")).unwrap());
    let merchants =
        |approval| Merchants::new(Arc::clone(&ledger), Categories::default(), approval, Clock::System);
    let own = merchants(Approval::OneStep);
    let (ann, bob) = (caller("Ann", Role::Operator), caller("Bob", Role::Approver));
    let rows = || file::read(GOOD.as_bytes()).unwrap();

    let dry = own.import(&ann, rows(), true).await.unwrap();
    assert_eq!((dry.applied, dry.rows, dry.new.len()), (false, 3, 2));
    assert!(own.list("").await.unwrap().is_empty(), "nothing was entered");
    let report = own.import(&ann, rows(), false).await.unwrap();
    assert_eq!((report.new, report.unchanged), (vec!["m-1".to_owned(), "m-2".to_owned()], 0));
    assert_eq!(own.import(&bob, rows(), false).await.unwrap().unchanged, 2, "again changes nothing");
    assert_eq!(own.find("m-1").unwrap().status, Status::Applied);

    let refused = own.review(&ann, "m-1", Some(1)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "merchant m-1: Ann (crk_ann) entered it, and somebody else has to review it"
    );
    for unseen in [own.review(&bob, "m-1", None).await, own.step(&bob, "m-1", Step::Review, None).await] {
        assert!(matches!(unseen, Err(MerchantError::Refused(_, StepError::Unseen))), "{unseen:?}");
    }
    let other = own.review(&bob, "m-1", Some(2)).await;
    assert!(matches!(other, Err(MerchantError::Refused(_, StepError::Changed(1)))), "{other:?}");
    own.review(&bob, "m-1", Some(1)).await.unwrap();
    let active = own.step(&bob, "m-1", Step::Activate, None).await.unwrap();
    assert_eq!((active.status, active.changed_by.as_str()), (Status::Active, "Bob (crk_bob)"));
    assert_eq!(own.find("m-1").unwrap().active().unwrap().shops.len(), 2);
    own.step(&bob, "m-1", Step::Suspend, Some("complaints".to_owned())).await.unwrap();
    assert!(own.find("m-1").unwrap().active().is_none());
    assert!(matches!(own.review(&bob, "m-9", None).await, Err(MerchantError::Unknown(_))));

    // One person alone is enough where the configuration says so, and never otherwise.
    let admin = Caller::admin();
    let text = "id,name,category,region\nm-3,n,F52,530102\n";
    own.import(&admin, file::read(text.as_bytes()).unwrap(), false).await.unwrap();
    let strict = merchants(Approval::TwoPerson);
    assert!(strict.review(&admin, "m-3", Some(1)).await.is_err());
    assert!(own.review(&admin, "m-3", None).await.is_ok());
    // This one has not looked since: it is told so instead of overwriting what others did.
    let behind = strict.import(&ann, rows(), false).await.unwrap_err();
    assert!(matches!(behind, MerchantError::Ledger(LedgerError::StaleDocument { .. })), "{behind}");
    assert!(ledger.verify_chain().await.unwrap().is_ok());
}
