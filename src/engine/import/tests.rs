//! What is read, and what is refused with which words.

use super::*;
use crate::domain::ids::{BillerCode, ItemCode};
use crate::domain::item::Item;
use crate::domain::region::{RegionCode, nearest};

const REGIONS: &str = include_str!("../../../deploy/catalogue/regions.csv");
const BILLERS: &str = include_str!("../../../deploy/catalogue/billers.csv");
const ITEMS: &str = include_str!("../../../deploy/catalogue/items.csv");

fn file(name: &str, bytes: impl Into<Vec<u8>>) -> ImportFile {
    ImportFile {
        name: name.to_owned(),
        bytes: bytes.into(),
    }
}

fn shipped() -> Vec<ImportFile> {
    vec![
        file("regions.csv", REGIONS),
        file("billers.csv", BILLERS),
        file("items.csv", ITEMS),
    ]
}

fn adapters() -> Vec<AdapterName> {
    ["bank", "legacy"]
        .map(|name| AdapterName::try_new(name).unwrap())
        .to_vec()
}

/// Reads files onto an empty catalogue.
fn read(files: Vec<ImportFile>) -> Result<CatalogueParts, ImportError> {
    read_catalogue(files, &Catalogue::default(), &adapters())
}

fn parts() -> CatalogueParts {
    read(shipped()).unwrap()
}

/// What is said about one file that comes onto the shipped catalogue.
fn said(name: &str, bytes: impl Into<Vec<u8>>) -> Vec<String> {
    let known = Catalogue::new(1, parts(), Vec::new());
    match read_catalogue(vec![file(name, bytes)], &known, &adapters()) {
        Ok(parts) => panic!("{name} was taken: {parts:?}"),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

fn item<'a>(parts: &'a CatalogueParts, code: &str) -> &'a Item {
    parts
        .items
        .iter()
        .find(|item| item.code.as_str() == code)
        .unwrap()
}

#[test]
fn the_shipped_files_are_good() {
    let parts = parts();
    let counts = (parts.regions.len(), parts.billers.len(), parts.items.len());
    assert_eq!(counts, (399, 5, 5));
    let topup = item(&parts, "sh-telecom-topup");
    assert_eq!(topup.amount_rule.min_minor, Some(100));
    assert_eq!(topup.amount_rule.max_minor, Some(50_000));
    assert_eq!(topup.bill_no_rule.source(), "1[3-9][0-9]{9}");
    assert_eq!(topup.coverage, [RegionCode::try_new("310000").unwrap()]);
    assert!(topup.enabled);
    let fee = item(&parts, "sh-school-fee");
    assert_eq!(fee.adapter.as_str(), "legacy");
}

/// Whoever stands in the middle of a city is in that city.
#[test]
fn the_nearest_prefecture_of_each_listed_place_is_itself() {
    let regions = parts().regions;
    for region in &regions {
        if let Some(place) = region.place {
            assert_eq!(nearest(&regions, place).unwrap(), region);
        }
    }
}

#[test]
fn what_a_spreadsheet_writes_is_read() {
    let quoted = "\u{feff}kind,name_en,code,name_zh\r\n\r\n\
                  \"biller\",\"Power, \"\"North\"\"\",b-1,\"电力\"\r\n,,,\r\n\"biller\",Gas,b-2,燃气";
    let parts = read(vec![file("b.csv", quoted)]).unwrap();
    let names: Vec<&str> = parts.billers.iter().map(|b| b.name_en.as_str()).collect();
    assert_eq!(names, ["Power, \"North\"", "Gas"]);
    let codes: Vec<&BillerCode> = parts.billers.iter().map(|biller| &biller.code).collect();
    assert_eq!(codes[0].as_str(), "b-1");
}

#[test]
fn what_is_named_may_be_in_the_files_or_there_already() {
    let known = Catalogue::new(1, parts(), Vec::new());
    let only_items = vec![file("items.csv", ITEMS)];
    assert!(read_catalogue(only_items.clone(), &known, &adapters()).is_ok());
    let error = read(only_items).unwrap_err();
    assert_eq!(error.problems.len(), 10);
    assert_eq!(
        error.problems[0].to_string(),
        "items.csv:2: coverage: there is no region 110000, neither in these files nor before"
    );
    // The order of the files does not matter.
    let mut backwards = shipped();
    backwards.reverse();
    assert!(read(backwards).is_ok());
}

#[test]
fn a_bad_file_is_refused_with_line_and_reason() {
    let long_line = format!("kind,code\nbiller,{}\n", "x".repeat(64 * 1024));
    let latin = [b"kind,code,name_zh,name_en\nbiller,b,\xB5\xE7,Power\n".as_slice()].concat();
    let table: &[(&[u8], &str)] = &[
        (b"", "1: the file is empty; a header row is needed"),
        (
            b"\xEF\xBB\xBF\r\n",
            "1: the file is empty; a header row is needed",
        ),
        (
            b"kind,code,name_zh,name_en\n",
            "1: there is no row below the header",
        ),
        (
            b"code,name_zh,name_en\nb,x,y\n",
            "1: the header has no column kind, which tells what the file holds",
        ),
        (
            b"kind;code;name_zh;name_en\nbiller;b;x;y\n",
            "1: the header has no column kind, which tells what the file holds; ';' stands between \
             its cells: save the file with commas",
        ),
        (
            b"kind,code\nbillers,b\n",
            "2: kind: \"billers\" is not region, biller, item or contract",
        ),
        (
            b"kind,code,name_zh,name_en\nmerchant,c,x,y\n",
            "2: kind: merchants are not imported: two people register and approve them \
             (docs/MERCHANTS.md)",
        ),
        (
            b"kind,code,name_zh,name_en\n\n\n,b,x,y\n",
            "4: kind: \"\" is not region, biller, item or contract",
        ),
        (
            b"kind,code,name_zh\nbiller,b,x\n",
            "1: name_en: the column is missing",
        ),
        (
            b"kind,code,name_zh,name_en,color\nbiller,b,x,y,z\n",
            "1: \"color\" is not a column of biller files",
        ),
        (
            b"kind,code,code,name_zh,name_en\nbiller,b,b,x,y\n",
            "1: code: the column stands twice",
        ),
        (
            b"kind,code,name_zh,name_en\nbiller,b,x\n",
            "2: the row has 3 cells, the header 4",
        ),
        (
            b"kind,code,name_zh,name_en\nbiller,b,x,y,z\n",
            "2: the row has 5 cells, the header 4",
        ),
        (
            b"kind,code,name_zh,name_en\r\nbiller,a,x,y\r\nbiller,b,,y\r\n",
            "3: name_zh: the cell is empty",
        ),
        (
            b"kind,code,name_zh,name_en\nbiller,b,x,y\0\n",
            "2: name_en: holds the control character U+0000",
        ),
        (
            b"kind,code,name_zh,name_en\nbiller,b,x,a\tb\n",
            "2: name_en: holds the control character U+0009",
        ),
        (
            b"kind,code,name_zh,name_en\nbiller,b,x, y\n",
            "2: name_en: there is white space around the text",
        ),
        (
            b"kind,code,name_zh,name_en\nbiller,b c,x,y\n",
            "2: code: \"b c\" is not a biller's code: 1 to 64 letters, digits, '-', '_' or '.'",
        ),
        (
            b"kind,code,name_zh,name_en\nbiller,..,x,y\n",
            "2: code: a biller's code is a step of a URL, and this one leads elsewhere",
        ),
        (
            b"kind,code,name_zh,name_en\nbiller,b,x,y\nmerchant,c,x,y\n",
            "3: kind: \"merchant\" in a file of kind biller",
        ),
        (
            b"kind,code,name_zh,name_en\nbiller,b,x,y\n\nbiller,c,x,y\nbiller,b,x,y\n",
            "5: code: b stands on line 2 of bad.csv already",
        ),
        (long_line.as_bytes(), "2: the line is longer than 64 KiB"),
        (&latin, "2: the text is not UTF-8"),
        (b"\xFF\xFEk\0i\0n\0d\0", "1: the text is not UTF-8"),
    ];
    for (bytes, wanted) in table {
        let wanted = format!("bad.csv:{wanted}");
        assert_eq!(
            said("bad.csv", *bytes),
            [wanted],
            "{:?}",
            bytes.escape_ascii().to_string()
        );
    }
    let too_large = vec![b'x'; 64 * 1024 * 1024 + 1];
    assert_eq!(
        said("bad.csv", too_large),
        ["bad.csv:1: the file is larger than 64 MiB"]
    );
    let none = read(vec![]).unwrap_err();
    assert_eq!(none.to_string(), "import: there is no file to import");
}

#[test]
fn a_quotation_mark_that_is_not_closed_is_told_where_it_begins() {
    let open = "kind,code,name_zh,name_en\nbiller,b,x,\"y\nbiller,c,x,y\n";
    assert_eq!(
        said("bad.csv", open),
        [
            "bad.csv:2: name_en: the cell runs over the end of its line; is a quotation mark \
             missing?"
        ]
    );
}

#[test]
fn a_region_has_the_place_in_the_tree_that_its_digits_say() {
    let table = [
        (
            "44030,440000,PREFECTURE,x,y,1,1",
            "code: \"44030\" is not a region code: six digits by GB/T 2260, such as 310000, are \
             expected",
        ),
        (
            "440300,440000,CITY,x,y,1,1",
            "level: \"CITY\" is none of PROVINCE, PREFECTURE",
        ),
        (
            "440300,,PROVINCE,x,y,1,1",
            "level: PROVINCE does not fit the code 440300, which would have to end with 0000",
        ),
        (
            "440000,440000,PREFECTURE,x,y,1,1",
            "level: PREFECTURE does not fit the code 440000, which would have to end with 00 but \
             not 0000, or have 90 in the middle",
        ),
        (
            "440305,440300,PREFECTURE,x,y,1,1",
            "level: PREFECTURE does not fit the code 440305, which would have to end with 00 but \
             not 0000, or have 90 in the middle",
        ),
        (
            "440000,100000,PROVINCE,x,y,,",
            "parent: a province has no parent, but here is \"100000\"",
        ),
        (
            "440300,310000,PREFECTURE,x,y,1,1",
            "parent: the parent of 440300 is 440000, but here is \"310000\"",
        ),
        (
            "419001,419000,PREFECTURE,x,y,1,1",
            "parent: the parent of 419001 is 410000, but here is \"419000\"",
        ),
        (
            "990100,990000,PREFECTURE,x,y,1,1",
            "parent: there is no region 990000, neither in these files nor before",
        ),
        (
            "440300,440000,PREFECTURE,x,y,,",
            "latitude: a prefecture needs a place",
        ),
        (
            "440300,440000,PREFECTURE,x,y,1,",
            "longitude: the cell is empty, but latitude is not",
        ),
        (
            "440000,,PROVINCE,x,y,,1",
            "latitude: the cell is empty, but longitude is not",
        ),
        (
            "440300,440000,PREFECTURE,x,y,91,1",
            "latitude: latitude \"91\" is not degrees within ±90",
        ),
        (
            "440300,440000,PREFECTURE,x,y,1,1e2",
            "longitude: longitude \"1e2\" is not degrees within ±180",
        ),
    ];
    for (row, wanted) in table {
        let text =
            format!("kind,code,parent,level,name_zh,name_en,latitude,longitude\nregion,{row}\n");
        assert_eq!(
            said("bad.csv", text),
            [format!("bad.csv:2: {wanted}")],
            "{row}"
        );
    }
}

#[test]
fn an_item_keeps_every_rule() {
    // The first item of the shipped file with one thing changed.
    let table = [
        ("bj-power,POWER", ",POWER", "biller: the cell is empty"),
        (
            "bj-power,POWER",
            "no-power,POWER",
            "biller: there is no biller no-power, neither in these files nor before",
        ),
        (
            "POWER",
            "LIGHT",
            "category: \"LIGHT\" is none of WATER, POWER, GAS, HEATING, TELECOM, TV, SCHOOL, \
             PROPERTY, TRAFFIC, OTHER",
        ),
        (
            "LOOKUP",
            "lookup",
            "mode: \"lookup\" is none of LOOKUP, DIRECT",
        ),
        (
            "LOOKUP",
            "DIRECT",
            "amount_rule: EXACT compares with the bill, and a DIRECT item has none",
        ),
        (
            "CNY",
            "RMB",
            "currency: \"RMB\" is not an ISO 4217 currency code",
        ),
        (
            "EXACT,,",
            "SOME,,",
            "amount_rule: \"SOME\" is none of EXACT, AT_LEAST, RANGE, ANY",
        ),
        (
            "EXACT,,",
            "EXACT,1,",
            "amount_rule: EXACT and ANY take neither amount_min nor amount_max",
        ),
        (
            "EXACT,,",
            "RANGE,5,4",
            "amount_rule: RANGE needs amount_min and amount_max, 0 < min <= max",
        ),
        (
            "EXACT,,",
            "RANGE,0,4",
            "amount_rule: RANGE needs amount_min and amount_max, 0 < min <= max",
        ),
        (
            "EXACT,,",
            "AT_LEAST,,4",
            "amount_rule: AT_LEAST takes amount_min only, above zero",
        ),
        (
            "EXACT,,",
            "AT_LEAST,1.00,",
            "amount_min: \"1.00\" is not an amount: a whole number of minor units (digits only) \
             is expected",
        ),
        (
            "EXACT,,",
            "RANGE,1,１０",
            "amount_max: \"１０\" is not an amount: a whole number of minor units (digits only) is \
             expected",
        ),
        ("[0-9]{10}", "", "bill_no_pattern: the cell is empty"),
        (
            "[0-9]{10}",
            "[0-9",
            "bill_no_pattern: \"[0-9\" is not a regular expression: unclosed character class",
        ),
        (
            "[0-9]{10}",
            "a)|(b",
            "bill_no_pattern: \"a)|(b\" is not a regular expression: unopened group",
        ),
        (
            "客户编号为",
            " 客户编号为",
            "hint_zh: there is white space around the text",
        ),
        (
            ",bank,",
            ",central,",
            "adapter: the settings have no adapter central; they have: bank, legacy",
        ),
        (",110000,", ",,", "coverage: the cell is empty"),
        (
            ",110000,",
            ",110000;110000,",
            "coverage: 110000 stands twice",
        ),
        (
            ",110000,",
            ",110000;,",
            "coverage: \"\" is not a region code: six digits by GB/T 2260, such as 310000, are \
             expected",
        ),
        (
            ",110000,",
            ",110105,",
            "coverage: there is no region 110105, neither in these files nor before",
        ),
        (
            ",true",
            ",yes",
            "enabled: \"yes\" is neither true nor false",
        ),
        (
            ",true",
            ",TRUE",
            "enabled: \"TRUE\" is neither true nor false",
        ),
    ];
    let mut lines = ITEMS.lines();
    let (header, first) = (lines.next().unwrap(), lines.next().unwrap());
    for (good, bad, wanted) in table {
        assert!(first.contains(good), "{good}");
        let text = format!("{header}\n{}\n", first.replacen(good, bad, 1));
        assert_eq!(
            said("bad.csv", text),
            [format!("bad.csv:2: {wanted}")],
            "{bad}"
        );
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_once() {
    let mut files = shipped();
    files[1] = file(
        "billers.csv",
        BILLERS
            .replace("京城电力", "")
            .replace("Jingcheng Water", " "),
    );
    files[2] = file(
        "items.csv",
        ITEMS
            .replace("sh-gas,GAS", "sh-gaz,GAS")
            .replace("ANY,", "ALL,"),
    );
    let error = read(files).unwrap_err();
    let told: Vec<String> = error
        .problems
        .iter()
        .map(ImportProblem::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "billers.csv:2: name_zh: the cell is empty",
            "billers.csv:3: name_en: there is white space around the text",
            "items.csv:4: biller: there is no biller sh-gaz, neither in these files nor before",
            "items.csv:6: amount_rule: \"ALL\" is none of EXACT, AT_LEAST, RANGE, ANY",
        ]
    );
    // Where a file cannot be read at all, what refers to it is not blamed.
    let mut files = shipped();
    files[1] = file("billers.csv", "");
    assert_eq!(read(files).unwrap_err().problems.len(), 1);
    // The same code in two files.
    let mut files = shipped();
    files.push(file("more.csv", ITEMS));
    let error = read(files).unwrap_err();
    assert_eq!(error.problems.len(), 5);
    let twice = ItemCode::try_new("bj-power-bill").unwrap();
    assert_eq!(
        error.problems[0].to_string(),
        format!("more.csv:2: code: {twice} stands on line 2 of items.csv already")
    );
}

#[test]
fn very_many_problems_are_counted() {
    let rows = "biller,b,,y\n".repeat(1_500);
    let text = format!("kind,code,name_zh,name_en\n{rows}");
    let error = read(vec![file("bad.csv", text)]).unwrap_err();
    assert_eq!(error.problems.len(), 1_000);
    assert_eq!(error.more, 1_999);
    assert!(error.to_string().ends_with("\nand 1999 more"));
}
