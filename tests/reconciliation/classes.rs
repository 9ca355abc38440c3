//! Every class, planted on the bank's side and on the biller's; nothing else is found.

use super::town::{BANK, TELECOM, Town, line, today};
use crate::support::database::TestDatabase;
use payhall::domain::case::{CaseKind, CaseState};
use payhall::domain::order::OrderState;
use payhall::domain::reconciled::Counted;
use payhall::domain::reconciliation::{Class, Rule, Side};
use payhall::files::LineStatus;
use payhall::storage::{cases, reconciliations};
use std::collections::BTreeMap;

#[test]
fn every_planted_difference_is_found_in_its_class_and_nothing_else_is() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        let orders = town.paid(1, 12);
        let numbers: Vec<String> = orders.iter().map(|order| town.payment(order)).collect();
        let at = town.now();
        let stranger = "202611229999999999900001";
        town.send(
            today(),
            |bank| {
                bank.retain(|said| said.flow_no != numbers[0]);
                said(bank, &numbers[1]).amount_minor += 5;
                said(bank, &numbers[2]).status = LineStatus::Failed;
                let twice = said(bank, &numbers[3]).clone();
                bank.push(twice);
                bank.push(line(stranger, 777, at));
                bank.push(line("not-ours-1", 70, at));
                said(bank, &numbers[8]).status = LineStatus::Pending;
                said(bank, &numbers[9]).bill_no = "13999999999".to_owned();
            },
            |biller| {
                biller.retain(|said| said.flow_no != numbers[4]);
                said(biller, &numbers[5]).amount_minor -= 1;
                said(biller, &numbers[6]).status = LineStatus::Failed;
                let twice = said(biller, &numbers[7]).clone();
                biller.push(twice);
                biller.push(line("202611229999999999900002", 5, at));
                said(biller, &numbers[10]).bill_no.push('0');
                // Who names no bill contradicts nothing.
                said(biller, &numbers[11]).bill_no.clear();
            },
        );
        let report = town.night(today());
        assert_eq!(report.published, [today()], "{report:?}");
        let wanted: BTreeMap<String, (Class, Rule)> = [
            (numbers[0].as_str(), (Class::Short, Rule::BankMissing)),
            (&numbers[1], (Class::Amount, Rule::AmountDiffers)),
            (&numbers[2], (Class::Status, Rule::BankSaysNo)),
            (&numbers[3], (Class::Duplicate, Rule::ListedTwice)),
            (&numbers[4], (Class::Short, Rule::BillerMissing)),
            (&numbers[5], (Class::Amount, Rule::AmountDiffers)),
            (&numbers[6], (Class::Status, Rule::BillerSaysNo)),
            (&numbers[7], (Class::Duplicate, Rule::ListedTwice)),
            (&numbers[8], (Class::Status, Rule::BankUndecided)),
            (&numbers[9], (Class::Status, Rule::OtherBill)),
            (&numbers[10], (Class::Status, Rule::OtherBill)),
            (stranger, (Class::Long, Rule::NotOurs)),
            ("not-ours-1", (Class::Long, Rule::NotOurs)),
            ("202611229999999999900002", (Class::Long, Rule::BillerAlone)),
        ]
        .map(|(number, class)| (number.to_owned(), class))
        .into();
        assert_eq!(town.classes(today()), wanted);
        adds_up(&town, 12, (13, 12));
        each_has_a_case(&town, wanted.len());
        let run = town.run_of(today());
        assert_eq!((run.flow_count, run.difference_count), (15, 14));
        for order in &orders {
            assert_eq!(town.bank.state(&order.order_no), OrderState::Succeeded);
        }
        // Files are named with their lines.
        let amount = &town.differences(today())[&numbers[1]];
        let bank = amount.bank.as_ref().unwrap();
        assert!(
            bank.file.starts_with("partner/first-bank/2026-11-22/v1."),
            "{bank:?}"
        );
        assert_eq!((bank.line, bank.amount_minor), (2, 1_007));
        assert_eq!(amount.risk_minor, 5);
        names_both_bills(&town, &numbers[10]);
    }
}

/// A line about another bill: what is at stake, and what people are shown of it.
fn names_both_bills(town: &Town, number: &str) {
    let other = &town.differences(today())[number];
    assert_eq!(other.risk_minor, 1_011, "all of it went to somebody else");
    let explained = town.bank.engine().reconciliation_explain(number);
    let explained = town.bank.wait(explained).unwrap().unwrap();
    assert_eq!(explained.verdict.rule, Rule::OtherBill);
    let ours = explained.ours.unwrap();
    let bills = explained.heard.iter().map(|heard| heard.bill_no.as_str());
    let bills: Vec<&str> = std::iter::once(ours.bill_no.as_str())
        .chain(bills)
        .collect();
    assert_eq!(bills, ["13800000011", "13800000011", "138000000110"]);
}

fn said<'a>(lines: &'a mut [super::town::Said], number: &str) -> &'a mut super::town::Said {
    lines
        .iter_mut()
        .find(|said| said.flow_no == number)
        .unwrap()
}

/// The classes of a side add up to what it listed.
fn adds_up(town: &Town, ours: u64, (bank, biller): (u64, u64)) {
    let run = town.run_of(today()).run_id;
    let sums = town.bank.read(move |c| reconciliations::sums_of(c, run));
    let count = |counted: Counted| -> u64 {
        let its = sums.iter().filter(|sum| sum.counted == counted);
        its.map(|sum| {
            let tally = sum.tally;
            tally.paid.count + tally.returned.count + tally.unmoved.count
        })
        .sum()
    };
    assert_eq!(count(Counted::Rows(Side::Ours)), ours);
    assert_eq!(count(Counted::Rows(Side::Bank)), bank + 1);
    assert_eq!(count(Counted::Rows(Side::Biller)), biller + 1);
    let files = [(BANK, Side::Bank), (TELECOM, Side::Biller)];
    for (partner, side) in files {
        let file = town.files(partner, today()).pop().unwrap();
        let listed = count(Counted::Rows(side));
        assert_eq!(i64::try_from(listed).unwrap(), file.row_count);
    }
    let minor = |side: Side| -> i128 {
        let its = sums.iter().filter(|sum| sum.counted == Counted::Rows(side));
        its.map(|sum| sum.tally.listed().unwrap().minor).sum()
    };
    let listed: i64 = town
        .honest(today())
        .iter()
        .map(|said| said.amount_minor)
        .sum();
    assert_eq!(minor(Side::Ours), i128::from(listed));
}

fn each_has_a_case(town: &Town, many: usize) {
    let filter = cases::Filter {
        kinds: vec![CaseKind::Discrepancy],
        ..cases::Filter::default()
    };
    let found = town.bank.read(move |c| cases::list(c, &filter, None, 100));
    assert_eq!(found.len(), many);
    assert!(found.iter().all(|case| case.state == CaseState::Open));
    let without_order = found.iter().filter(|case| case.order_no.is_none());
    assert_eq!(without_order.count(), 3);
    for one in town.differences(today()).values() {
        let case = found
            .iter()
            .find(|case| case.flow_no.as_ref() == Some(&one.flow_no));
        assert_eq!(one.case_no.as_ref(), case.map(|case| &case.case_no));
    }
}

#[test]
fn a_day_on_which_all_agree_has_no_differences() {
    for database in TestDatabase::all() {
        let town = Town::new(database);
        town.paid(1, 5);
        town.send_honest(today());
        let report = town.night(today());
        assert_eq!((report.published, report.differences), (vec![today()], 0));
        assert!(town.classes(today()).is_empty());
        adds_up(&town, 5, (4, 4));
    }
}
