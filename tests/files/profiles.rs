//! Profiles that are wrong are refused with the line and the reason.

use payhall::files::{BUILT_IN, Profile, Profiles};

fn text(name: &str) -> &'static str {
    let built_in = BUILT_IN.iter().find(|(known, _)| *known == name);
    built_in.unwrap().1
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (name, from, to, reason) in [
        ("pipe", "\"UTF-8\"", "\"UTF-7\"", "unknown variant `UTF-7`"),
        (
            "pipe",
            "encoding = ",
            "encodign = ",
            "unknown field `encodign`",
        ),
        (
            "pipe",
            "head = [\"{rows}",
            "head = [\"{row}",
            "{row} is not known; there are rows,",
        ),
        (
            "pipe",
            "{rows}|{amount}",
            "{rows}{amount}",
            "needs a text between",
        ),
        ("pipe", "{rows}|{amount}", "{rows|{amount}", "is not known"),
        ("pipe", "{rows}|{amount}", "rows}", "a } has no {"),
        (
            "pipe",
            "{rows}|{amount}",
            "{sha256}",
            "last line of the trailer only",
        ),
        (
            "pipe",
            "{rows}|{amount}",
            "{any:3}",
            "only numbers have a width",
        ),
        ("pipe", "{rows}|{amount}", "{rows:99}", "from 1 to 32"),
        (
            "pipe",
            "{party}_{date}",
            "{party}/{date}",
            "a file's name is made of",
        ),
        (
            "pipe",
            "{party}_{date}",
            "..{party}",
            "a file's name is made of",
        ),
        (
            "pipe",
            "{party}_{date}",
            "{rows}",
            "a file's name is made of",
        ),
        ("pipe", "\"|\"", "\"||\"", "one ASCII character"),
        ("pipe", "\"|\"", "\"｜\"", "one ASCII character"),
        ("pipe", "\"|\"", "\"0\"", "one ASCII character"),
        ("pipe", "delimiter = \"|\"", "", "needs a delimiter"),
        (
            "pipe",
            "names = ",
            "zone = \"Mars/Base\"\nnames = ",
            "no zone of the IANA",
        ),
        (
            "pipe",
            "field = \"FLOW_NO\"",
            "field = \"BILL_NO\"",
            "a second column holds BILL_NO",
        ),
        (
            "pipe",
            "field = \"FLOW_NO\"",
            "field = \"FLOWNO\"",
            "unknown variant `FLOWNO`",
        ),
        (
            "pipe",
            "field = \"FLOW_NO\"",
            "width = 3\nfield = \"FLOW_NO\"",
            "knows no width",
        ),
        (
            "pipe",
            "field = \"KIND\"",
            "payment_field = \"KIND\"",
            "one and the same column",
        ),
        (
            "pipe",
            "PENDING = [\"2\"]",
            "PENDING = [\"1\"]",
            "\"1\" stands twice",
        ),
        (
            "pipe",
            "PENDING = [\"2\"]",
            "PENDING = [\"a|b\"]",
            "cannot stand in a cell",
        ),
        (
            "pipe",
            "REVERSAL = [\"R\"]",
            "",
            "needs a word for REVERSAL",
        ),
        (
            "pipe",
            "SUCCEEDED = [\"1\"]",
            "",
            "needs a word for SUCCEEDED",
        ),
        (
            "payhall-csv",
            "[\"#END,",
            "[\"{rows},",
            "has to begin with a text",
        ),
        (
            "payhall-csv",
            "name = \"order_no\"",
            "name = \"flow_no\"",
            "called \"flow_no\"",
        ),
        (
            "payhall-csv",
            "name = \"order_no\"",
            "name = \"order,no\"",
            "cannot stand in the file",
        ),
        (
            "alipay",
            "encoding = \"GBK\"",
            "encoding = \"GBK\"\nbom = \"ALWAYS\"",
            "only UTF-8",
        ),
        (
            "alipay",
            "packing = \"ZIP\"",
            "packing = \"GZIP\"",
            "needs an entry_name",
        ),
        ("alipay", "#账号", "#😀", "GBK cannot say this line"),
        (
            "unionpay-zm",
            "names = \"NONE\"",
            "names = \"LINE\"",
            "has no line of names",
        ),
        ("unionpay-zm", "width = 32", "", "needs its width"),
        (
            "unionpay-zm",
            "names = ",
            "guard = \"`\"\nnames = ",
            "guard: the layout FIXED has none",
        ),
        (
            "unionpay-zm",
            "width = 64",
            "width = 64\npad = \"0\"",
            "only amounts are filled up",
        ),
    ] {
        let right = text(name);
        assert!(right.contains(from), "{name} does not say {from:?}");
        let wrong = right.replacen(from, to, 1);
        let problems = Profile::parse(name, &wrong).expect_err(to);
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(
            found.iter().any(|problem| problem.contains(reason)),
            "{to}: {found:?}"
        );
        for problem in &problems {
            assert!(problem.line > 0 && problem.line <= wrong.lines().count());
            assert_eq!(problem.file, format!("{name}.toml"));
        }
    }
    let problems = Profile::parse("pipe", &text("pipe").replace("UTF-8", "ASCII")).unwrap_err();
    assert_eq!(problems[0].line, 4, "{problems:?}");
}

#[test]
fn a_file_that_nothing_tells_the_end_of_needs_a_word_about_it() {
    let unchecked = text("pipe").replace("head = [\"{rows}|{amount}\"]\n", "");
    let problems = Profile::parse("pipe", &unchecked).unwrap_err();
    assert!(
        problems[0].reason.contains("unchecked = true"),
        "{problems:?}"
    );
    let said = unchecked.replace("names = ", "unchecked = true\nnames = ");
    assert!(Profile::parse("pipe", &said).is_ok());
}

#[test]
fn own_profiles_stand_in_for_those_that_are_compiled_in() {
    let own = text("pipe").replace("delimiter = \"|\"", "delimiter = \";\"");
    let profiles = Profiles::load([("pipe", own.as_str()), ("mine", text("wechat"))]).unwrap();
    assert_eq!(profiles.names().count(), BUILT_IN.len() + 1);
    assert_ne!(
        profiles.get("pipe").unwrap().layout,
        super::sample::profile("pipe").layout
    );
    let problems = Profiles::load([("mine", "x = 1"), ("a/b", text("pipe"))]).unwrap_err();
    assert!(
        problems.iter().any(|p| p.file == "mine.toml"),
        "{problems:?}"
    );
    assert!(
        problems
            .iter()
            .any(|p| p.reason.contains("no profile's name")),
        "{problems:?}"
    );
}
