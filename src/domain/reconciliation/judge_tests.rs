//! The table of classes, held line by line; and what holds for every line of it.

use super::class::{Class, Rule};
use super::judge::{Verdict, classify};
use super::row::{Asked, Bill, Edge, Row, RowState, Sides};
use super::rules::{Rules, Waited};
use crate::domain::flow::FlowKind::{Payment, Reversal};
use crate::domain::money::{Currency, Money};

/// A side in one word a row: `Y` it moved, `N` it did not, `P` pending; then the amount, `r` for a
/// reversal, `k` for a row that does not tell its kind, `$` for dollars, `~` for near the edge, `!` for
/// another bill. Rows are separated by a blank; `-` is no row.
fn rows(text: &str) -> Vec<Row> {
    let words = text.split(' ').filter(|word| *word != "-");
    words.map(row).collect()
}

pub(super) fn row(word: &str) -> Row {
    let state = match word.as_bytes()[0] {
        b'Y' => RowState::Succeeded,
        b'N' => RowState::Failed,
        b'P' => RowState::Pending,
        _ => panic!("{word}"),
    };
    let amount: String = word.chars().filter(char::is_ascii_digit).collect();
    let dollars = Currency::try_new("USD").unwrap();
    let currency = if word.contains('$') {
        dollars
    } else {
        Currency::CNY
    };
    let amount = Money::new(amount.parse().unwrap(), currency);
    let mut row = Row::new(Payment, state, amount);
    if word.contains('r') {
        row.kind = Some(Reversal);
    }
    if word.contains('k') {
        row.kind = None;
    }
    if word.contains('~') {
        row.edge = Edge::Near;
    }
    if word.contains('!') {
        row.bill = Bill::Other;
    }
    row
}

fn asked(text: &str) -> Asked {
    match text {
        "both" => Asked::Both,
        "bank" => Asked::Bank,
        "biller" => Asked::Biller,
        "nobody" => Asked::Nobody,
        _ => panic!("{text}"),
    }
}

/// Two fen of tolerance for renminbi.
fn lenient() -> Rules {
    Rules {
        tolerance_minor: [("CNY".to_owned(), 2)].into(),
        ..Rules::default()
    }
}

fn judge(who: &str, sides: [&str; 3], waited: u32) -> Verdict {
    let [mut ours, bank, biller] = sides.map(rows);
    for row in &mut ours {
        row.asked = asked(who);
    }
    let sides = Sides {
        ours: &ours,
        bank: &bank,
        biller: &biller,
    };
    classify(sides, &[lenient()], Waited(waited))
}

/// Who has to list it; ours, bank, biller; business days waited; class, rule, at risk.
type Line = (&'static str, [&'static str; 3], u32, Class, Rule, i64);

use Class as C;
use Rule as R;

#[rustfmt::skip]
const TABLE: &[Line] = &[
    // Everybody agrees.
    ("both",   ["Y100", "Y100", "Y100"], 0, C::Matched, R::AllAgree, 0),
    ("bank",   ["Y100", "Y100", "-"],    0, C::Matched, R::AllAgree, 0),
    ("biller", ["Y100", "-", "Y100"],    0, C::Matched, R::AllAgree, 0),
    ("nobody", ["Y100", "-", "-"],       0, C::Matched, R::AllAgree, 0),
    ("both",   ["Y100r", "Y100r", "Y100r"], 0, C::Matched, R::AllAgree, 0),
    ("both",   ["Y100r", "Y100k", "Y100k"], 0, C::Matched, R::AllAgree, 0),
    ("both",   ["Y100~", "Y100", "Y100~"],  0, C::Matched, R::AllAgree, 0),
    // A partner that lists it although nobody asked counts all the same.
    ("bank",   ["Y100", "Y100", "Y100"], 0, C::Matched, R::AllAgree, 0),
    ("bank",   ["Y100", "Y100", "Y90"],  0, C::Amount, R::AmountDiffers, 10),

    // Nobody says that money moved, whatever else they say.
    ("both",   ["N100", "-", "-"],       0, C::Matched, R::NobodyPaid, 0),
    ("both",   ["N100", "N100", "-"],    0, C::Matched, R::NobodyPaid, 0),
    ("both",   ["N100", "-", "N70"],     0, C::Matched, R::NobodyPaid, 0),
    ("both",   ["N100", "N100$", "N1r"], 0, C::Matched, R::NobodyPaid, 0),
    ("both",   ["-", "N100", "-"],       0, C::Matched, R::NobodyPaid, 0),
    ("both",   ["-", "-", "N100~"],      0, C::Matched, R::NobodyPaid, 0),

    // 长款.
    ("both",   ["-", "Y100", "-"],       0, C::Long, R::NotOurs, 100),
    ("both",   ["-", "Y100", "Y100"],    0, C::Long, R::NotOurs, 100),
    ("both",   ["-", "Y100", "Y70"],     0, C::Long, R::NotOurs, 100),
    ("both",   ["-", "Y100", "N100"],    0, C::Long, R::NotOurs, 100),
    ("both",   ["-", "P100", "-"],       0, C::Long, R::NotOurs, 100),
    ("both",   ["-", "Y100r", "-"],      0, C::Long, R::NotOurs, 100),
    ("both",   ["-", "-", "Y100"],       0, C::Long, R::BillerAlone, 100),
    ("both",   ["-", "N100", "Y100"],    0, C::Long, R::BillerAlone, 100),
    ("both",   ["-", "-", "P100"],       0, C::Long, R::BillerAlone, 100),
    ("both",   ["-", "Y100~", "-"],      0, C::Expected, R::NearCutOff, 100),
    ("both",   ["-", "Y100~", "-"],      2, C::Expected, R::NearCutOff, 100),
    ("both",   ["-", "Y100~", "-"],      3, C::Long, R::NotOurs, 100),
    ("both",   ["-", "-", "Y100~"],      0, C::Expected, R::NearCutOff, 100),
    ("both",   ["-", "-", "Y100~"],      9, C::Long, R::BillerAlone, 100),

    // 短款.
    ("both",   ["Y100", "-", "-"],       0, C::Short, R::BankMissing, 100),
    ("both",   ["Y100", "-", "Y100"],    0, C::Short, R::BankMissing, 100),
    ("both",   ["Y100", "Y100", "-"],    0, C::Short, R::BillerMissing, 100),
    ("biller", ["Y100", "-", "-"],       0, C::Short, R::BillerMissing, 100),
    ("bank",   ["Y100r", "-", "-"],      0, C::Short, R::BankMissing, 100),
    ("bank",   ["Y100~", "-", "-"],      0, C::Expected, R::NearCutOff, 100),
    ("bank",   ["Y100~", "-", "-"],      3, C::Short, R::BankMissing, 100),
    ("both",   ["Y100", "Y100~", "-"],   1, C::Expected, R::NearCutOff, 100),
    ("both",   ["Y100", "Y101", "-"],    0, C::Short, R::BillerMissing, 101),

    // Different words about the same flow.
    ("both",   ["Y100", "N100", "-"],    0, C::Status, R::BankSaysNo, 100),
    ("both",   ["Y100~", "N100", "-"],   0, C::Status, R::BankSaysNo, 100),
    ("both",   ["N100", "Y100", "-"],    0, C::Status, R::BankSaysYes, 100),
    ("both",   ["N100", "Y70", "Y70"],   0, C::Status, R::BankSaysYes, 70),
    ("both",   ["Y100", "P100", "Y100"], 0, C::Status, R::BankUndecided, 100),
    ("both",   ["N100", "P100", "-"],    0, C::Status, R::BankUndecided, 100),
    ("both",   ["Y100", "Y100", "N100"], 0, C::Status, R::BillerSaysNo, 100),
    ("both",   ["N100", "-", "Y100"],    0, C::Status, R::BillerSaysYes, 100),
    ("both",   ["Y100", "Y100", "P100"], 0, C::Status, R::BillerUndecided, 100),
    ("both",   ["N100", "N100", "P100"], 0, C::Status, R::BillerUndecided, 100),
    ("both",   ["Y100", "Y100r", "Y100"], 0, C::Status, R::KindDiffers, 200),
    ("both",   ["Y100", "Y100", "Y100r"], 0, C::Status, R::KindDiffers, 200),
    // The bank comes first, and a certain difference before one that can heal.
    ("both",   ["Y100", "N100", "N100"], 0, C::Status, R::BankSaysNo, 100),
    ("both",   ["Y100", "N70$", "-"],    0, C::Status, R::BankSaysNo, 100),

    // Another bill. Whether money moved at all comes first, how much comes after.
    ("both",   ["Y100", "Y100", "Y100!"], 0, C::Status, R::OtherBill, 100),
    ("both",   ["Y100", "Y100!", "Y100"], 0, C::Status, R::OtherBill, 100),
    ("both",   ["Y100", "Y90", "Y90!"],  0, C::Status, R::OtherBill, 100),
    ("both",   ["Y100", "Y100", "Y7!$"], 0, C::Status, R::OtherBill, 100),
    ("both",   ["Y100~", "-", "Y100!"],  0, C::Status, R::OtherBill, 100),
    ("both",   ["Y100r", "Y100r!", "Y100r"], 0, C::Status, R::OtherBill, 100),
    ("both",   ["P100", "Y100!", "-"],   0, C::Status, R::OtherBill, 100),
    ("both",   ["Y100", "N100!", "-"],   0, C::Status, R::BankSaysNo, 100),
    ("both",   ["N100", "Y100!", "-"],   0, C::Status, R::BankSaysYes, 100),
    ("both",   ["N100", "N100!", "N100!"], 0, C::Matched, R::NobodyPaid, 0),
    ("both",   ["Y100", "Y100", "Y100! Y100"], 0, C::Duplicate, R::ListedTwice, 100),

    // Different amounts.
    ("both",   ["Y100", "Y103", "Y100"], 0, C::Amount, R::AmountDiffers, 3),
    ("both",   ["Y100", "Y100", "Y97"],  0, C::Amount, R::AmountDiffers, 3),
    ("both",   ["Y100", "Y97", "Y103"],  0, C::Amount, R::AmountDiffers, 6),
    ("both",   ["Y100~", "Y97", "-"],    0, C::Amount, R::AmountDiffers, 100),
    ("both",   ["Y100r", "Y90r", "Y100r"], 0, C::Amount, R::AmountDiffers, 10),
    ("both",   ["Y100", "Y102", "Y98"],  0, C::Matched, R::WithinTolerance, 0),
    ("both",   ["Y100$", "Y101$", "Y100$"], 0, C::Amount, R::AmountDiffers, 1),
    ("both",   ["Y100", "Y100$", "Y100"], 0, C::Amount, R::CurrencyDiffers, 100),
    ("both",   ["Y100$", "Y100$", "Y700"], 0, C::Amount, R::CurrencyDiffers, 100),

    // We are undecided: the bank's line decides, if it is about the same thing.
    ("both",   ["P100", "Y100", "Y100"], 0, C::Matched, R::AllAgree, 0),
    ("bank",   ["P100", "Y100", "-"],    0, C::Matched, R::AllAgree, 0),
    ("bank",   ["P100", "N100", "-"],    0, C::Matched, R::NobodyPaid, 0),
    ("both",   ["P100", "Y100", "-"],    0, C::Short, R::BillerMissing, 100),
    ("both",   ["P100", "N100", "Y100"], 0, C::Status, R::BillerSaysYes, 100),
    ("both",   ["P100", "Y101", "Y101"], 0, C::Expected, R::Undecided, 101),
    ("both",   ["P100", "Y103", "Y103"], 0, C::Amount, R::AmountDiffers, 103),
    ("both",   ["P100", "N103", "-"],    0, C::Amount, R::AmountDiffers, 100),
    ("both",   ["P100", "Y100$", "-"],   0, C::Amount, R::CurrencyDiffers, 100),
    ("both",   ["P100", "Y100r", "-"],   0, C::Status, R::KindDiffers, 200),
    ("both",   ["P100", "-", "-"],       0, C::Expected, R::Undecided, 100),
    ("both",   ["P100", "-", "-"],       2, C::Expected, R::Undecided, 100),
    ("both",   ["P100", "-", "-"],       3, C::Status, R::Undecided, 100),
    ("both",   ["P100", "P100", "-"],    0, C::Expected, R::Undecided, 100),
    // A biller's word settles nothing.
    ("both",   ["P100", "-", "Y100"],    0, C::Expected, R::Undecided, 100),
    ("biller", ["P100", "-", "Y100"],    3, C::Status, R::Undecided, 100),

    // Twice is twice, whatever it says.
    ("both",   ["Y100", "Y100 Y100", "Y100"], 0, C::Duplicate, R::ListedTwice, 100),
    ("both",   ["Y100", "Y100 Y70", "Y100"],  0, C::Duplicate, R::ListedTwice, 70),
    ("both",   ["Y100", "Y100 N100", "Y100"], 0, C::Duplicate, R::ListedTwice, 0),
    ("both",   ["Y100", "Y100", "Y100 Y100 Y100"], 0, C::Duplicate, R::ListedTwice, 200),
    ("both",   ["N100", "N100 N100", "-"],    0, C::Duplicate, R::ListedTwice, 0),
    ("both",   ["-", "Y100~ Y100~", "-"],     0, C::Duplicate, R::ListedTwice, 200),
    ("both",   ["Y100 Y100", "Y100", "Y100"], 0, C::Duplicate, R::ListedTwice, 100),
    ("both",   ["Y100", "Y100 Y100r", "Y100"], 0, C::Duplicate, R::ListedTwice, 100),
    ("both",   ["P100", "Y100 Y100", "-"],    0, C::Duplicate, R::ListedTwice, 200),
];

#[test]
fn the_table_of_classes() {
    for (who, sides, waited, class, rule, at_risk) in TABLE {
        let verdict = judge(who, *sides, *waited);
        let told = (verdict.class, verdict.rule, verdict.at_risk.amount_minor);
        assert_eq!(
            told,
            (*class, *rule, *at_risk),
            "{who} {sides:?} after {waited}"
        );
    }
}

#[test]
fn the_table_has_every_class_and_every_rule() {
    for class in Class::ALL {
        assert!(TABLE.iter().any(|line| line.3 == *class), "{class}");
    }
    // Whoever knows which bank carried what decides by it; the table does not know banks apart.
    for rule in Rule::ALL.iter().filter(|rule| **rule != Rule::OtherBank) {
        assert!(TABLE.iter().any(|line| line.4 == *rule), "{rule}");
    }
}

#[test]
fn only_the_bank_s_only_line_about_the_same_thing_proves_something() {
    let proof = |sides| judge("both", sides, 0).proves;
    assert_eq!(proof(["P100", "Y100", "-"]), Some(RowState::Succeeded));
    assert_eq!(proof(["P100", "N100", "-"]), Some(RowState::Failed));
    assert_eq!(proof(["P100k", "Y100", "Y100"]), Some(RowState::Succeeded));
    // The biller may say what it wants; that is a class of its own, and no less proven.
    assert_eq!(
        proof(["P100", "Y100", "Y100 Y100"]),
        Some(RowState::Succeeded)
    );
    for nothing in [
        ["P100", "-", "Y100"],
        ["P100", "P100", "-"],
        ["P100", "Y101", "-"],
        ["P100", "Y100$", "-"],
        ["P100", "Y100r", "-"],
        ["P100", "Y100!", "-"],
        ["P100", "Y100 Y100", "-"],
        ["Y100", "N100", "-"],
        ["N100", "Y100", "-"],
        ["-", "Y100", "-"],
    ] {
        assert_eq!(proof(nothing), None, "{nothing:?}");
    }
}

#[test]
fn what_is_at_risk_never_leaves_an_amount() {
    let most = Row::new(
        Payment,
        RowState::Succeeded,
        Money::new(i64::MAX, Currency::CNY),
    );
    let verdict = classify(
        Sides {
            bank: &[most; 3],
            ..Sides::default()
        },
        &[],
        Waited(0),
    );
    assert_eq!(verdict.at_risk.amount_minor, i64::MAX);
}

/// Everything that a side can be, without duplicates.
const WORDS: &[&str] = &[
    "-", "Y100", "N100", "P100", "Y100~", "Y101", "Y150", "Y100r", "Y100$", "Y100!",
];

#[test]
fn what_holds_for_every_combination() {
    for ours in WORDS {
        for bank in WORDS {
            for biller in WORDS {
                for who in ["both", "bank", "biller", "nobody"] {
                    for waited in [0, 3] {
                        holds(who, [ours, bank, biller], waited);
                    }
                }
            }
        }
    }
}

fn holds(who: &str, sides: [&str; 3], waited: u32) {
    let verdict = judge(who, sides, waited);
    let what = format!("{who} {sides:?} after {waited}: {verdict:?}");
    let (class, at_risk) = (verdict.class, verdict.at_risk.amount_minor);
    assert_eq!(class == Class::Matched, at_risk == 0, "{what}");
    assert!(waited < 3 || class != Class::Expected, "{what}");
    assert_eq!(
        class == Class::Long || (class == Class::Expected && sides[0] == "-"),
        sides[0] == "-" && class != Class::Matched,
        "{what}"
    );
    if class == Class::Short {
        assert!(sides[1] == "-" || sides[2] == "-", "{what}");
    }
    // Settled by its proof, a flow has the class that it had before.
    if let Some(state) = verdict.proves {
        let settled = if state == RowState::Succeeded {
            "Y100"
        } else {
            "N100"
        };
        let edge = if sides[0].contains('~') { "~" } else { "" };
        let after = judge(
            who,
            [&format!("{settled}{edge}"), sides[1], sides[2]],
            waited,
        );
        let told = |verdict: &Verdict| (verdict.class, verdict.rule, verdict.at_risk);
        assert_eq!(told(&verdict), told(&after), "{what}");
    }
}
