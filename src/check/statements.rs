//! I12: what stands in the statements of a day is what its flows say.
//!
//! Every version's object has the bytes that its row promises, and versions have no gaps. The last version's
//! sums are computed once more here, from the flows, with the checker's own idea of a contract and of
//! rounding; so are the settlement summaries. A day that the night has not come back to yet, because flows of
//! it moved since, is not judged: it is not wrong, it is not finished.

use super::report::{Findings, Invariant};
use crate::domain::business_day::ClosedDay;
use crate::domain::contract::Contract;
use crate::domain::flow::FlowState;
use crate::domain::statement::{PartyKind, Statement};
use crate::output::Objects;
use crate::storage::day_flows::{self, DayLine};
use crate::storage::{
    AnyConnection, StoreError, View, business_days, contracts, settlement_summaries, statements,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// How many closed days are looked at, the first ones first.
const DAYS_MAX: i64 = 100_000;

/// What flows of one kind and outcome come to: how many, their amounts, their fees.
type Sums = BTreeMap<(String, &'static str), (i64, i128, i128)>;

/// Judges every closed day; `files` is where the objects lie, none where they cannot be seen.
pub(super) fn judge(
    view: &mut View,
    files: Option<&Objects>,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let c = view.connection();
    let all: Vec<Contract> = contracts::load(c)?.iter().cloned().collect();
    for day in business_days::closed_after(c, None, DAYS_MAX)? {
        let stated = statements::of_day(c, day.date)?;
        judge_versions(&stated, findings);
        if let Some(files) = files {
            for statement in &stated {
                judge_objects(statement, files, findings);
            }
        }
        judge_sums(c, &day, &stated, &all, findings)?;
    }
    Ok(())
}

fn named(statement: &Statement) -> String {
    let key = &statement.key;
    format!(
        "{} {} {} v{}",
        key.party, key.date, key.currency, statement.version
    )
}

fn judge_versions(stated: &[Statement], findings: &mut Findings) {
    let mut before: Option<&Statement> = None;
    for statement in stated {
        let follows = before.filter(|last| last.key == statement.key);
        let wanted = follows.map_or(1, |last| last.version + 1);
        if statement.version != wanted {
            let problem = "a version of a statement is missing";
            let evidence = format!("{}: version {wanted} comes before it", named(statement));
            findings.general(Invariant::Statements, problem, evidence);
        }
        before = Some(statement);
    }
}

fn judge_objects(statement: &Statement, files: &Objects, findings: &mut Findings) {
    let xlsx = statement.xlsx.as_ref();
    let stated = [
        Some((&statement.file.object, &statement.file.sha256)),
        xlsx.map(|file| (&file.object, &file.sha256)),
        Some((&statement.sidecar_object, &statement.sidecar_sha256)),
    ];
    for (object, sha256) in stated.into_iter().flatten() {
        let found = digest(files, object);
        let problem = match &found {
            Ok(found) if found == sha256 => continue,
            Ok(_) => "a statement's file does not have the digest of its row",
            Err(_) => "a statement's file cannot be read",
        };
        let told = found.unwrap_or_else(|error| error.to_string());
        let evidence = format!("{}: {object}: {told}, not {sha256}", named(statement));
        findings.general(Invariant::Statements, problem, evidence);
    }
}

fn digest(files: &Objects, object: &str) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let file = files.file(object, u64::MAX);
    std::io::copy(&mut file.map_err(std::io::Error::other)?, &mut hash)?;
    Ok(crate::domain::audit::hex(&hash.finalize()))
}

fn judge_sums(
    c: &mut AnyConnection,
    day: &ClosedDay,
    stated: &[Statement],
    contracts: &[Contract],
    findings: &mut Findings,
) -> Result<(), StoreError> {
    // Flows have moved since the day was counted: the night comes back to it.
    if business_days::count(c, day.date)? != business_days::sums_of(c, day.date)? {
        return Ok(());
    }
    let lines = day_flows::amounts_of(c, day.date)?;
    for kind in PartyKind::ALL {
        let work = match kind {
            PartyKind::Merchant => "MERCHANT_STATEMENTS",
            PartyKind::Biller => "BILLER_STATEMENTS",
        };
        if !business_days::is_worked_at(c, day, work)? {
            continue;
        }
        judge_parties(*kind, day, stated, (&lines, contracts), findings);
    }
    if business_days::is_worked_at(c, day, "SETTLEMENT")? {
        judge_settlement(c, day, (&lines, contracts), findings)?;
    }
    Ok(())
}

fn judge_parties(
    kind: PartyKind,
    day: &ClosedDay,
    stated: &[Statement],
    (lines, contracts): (&[DayLine], &[Contract]),
    findings: &mut Findings,
) {
    let mut wanted: BTreeMap<(&str, &str), Sums> = BTreeMap::new();
    for line in lines {
        let code = match kind {
            PartyKind::Merchant => line.merchant.as_str(),
            PartyKind::Biller => line.biller.as_str(),
        };
        let sums = wanted.entry((code, line.currency.as_str())).or_default();
        add(sums, line, day, contracts);
    }
    let mut last: BTreeMap<(&str, &str), &Statement> = BTreeMap::new();
    for statement in stated.iter().filter(|one| one.key.party.kind == kind) {
        let key = (
            statement.key.party.code.as_str(),
            statement.key.currency.code(),
        );
        last.insert(key, statement);
    }
    for (key, sums) in &wanted {
        if !last.contains_key(key) {
            let problem = "flows of a closed day stand on no statement";
            let evidence = format!("{kind} {} on {}: {sums:?}", key.0, day.date);
            findings.general(Invariant::Statements, problem, evidence);
        }
    }
    for (key, statement) in last {
        let told: Sums = statement
            .sums
            .iter()
            .map(|sum| {
                let key = (sum.kind.to_string(), sum.state.as_str());
                let sums = (
                    sum.flows,
                    i128::from(sum.amount_minor),
                    i128::from(sum.fee_minor),
                );
                (key, sums)
            })
            .collect();
        let wanted = wanted.remove(&key).unwrap_or_default();
        let rows: i64 = told.values().map(|(flows, ..)| flows).sum();
        if told != wanted || rows != statement.flows {
            let problem = "a statement's sums are not those of the day's flows";
            let evidence = format!(
                "{}: {rows} of {} rows, {told:?}, and the flows say {wanted:?}",
                named(statement),
                statement.flows
            );
            findings.general(Invariant::Statements, problem, evidence);
        }
    }
}

/// Adds the flows of a line: their fee is worked out once, for they are all of one amount.
fn add(sums: &mut Sums, line: &DayLine, day: &ClosedDay, contracts: &[Contract]) {
    let moved = line.state != FlowState::Failed.as_str();
    let state = if moved { "SUCCEEDED" } else { "FAILED" };
    let (flows, amount, fee) = sums.entry((line.kind.clone(), state)).or_default();
    *flows += line.flows;
    *amount += i128::from(line.amount_minor) * i128::from(line.flows);
    if moved {
        let one = fee_of(line, day, contracts) * i128::from(line.flows);
        *fee += if line.kind == "REVERSAL" { -one } else { one };
    }
}

/// Half of the last digit and more is rounded up.
fn fee_of(line: &DayLine, day: &ClosedDay, contracts: &[Contract]) -> i128 {
    let paid_on = match line.paid_on.as_str() {
        "" => day.date.digits(),
        digits => digits.to_owned(),
    };
    let fits = |one: &&Contract| {
        one.merchant == line.merchant
            && one.biller == line.biller
            && one.currency.code() == line.currency
            && one.valid_from.digits() <= paid_on
    };
    let in_force = contracts.iter().filter(fits);
    let Some(contract) = in_force.max_by_key(|one| one.valid_from.digits()) else {
        return 0;
    };
    let share = i128::from(line.amount_minor) * i128::from(contract.basis_points);
    let (whole, rest) = (share / 10_000, share % 10_000);
    whole + i128::from(rest >= 5_000) + i128::from(contract.fixed_minor)
}

fn judge_settlement(
    c: &mut AnyConnection,
    day: &ClosedDay,
    (lines, contracts): (&[DayLine], &[Contract]),
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let mut wanted: BTreeMap<(String, String, String), Sums> = BTreeMap::new();
    for line in lines {
        let key = (
            line.merchant.clone(),
            line.biller.clone(),
            line.currency.clone(),
        );
        add(wanted.entry(key).or_default(), line, day, contracts);
    }
    for one in settlement_summaries::of_day(c, day.date)? {
        let key = (
            one.merchant.clone(),
            one.biller.clone(),
            one.currency.code().to_owned(),
        );
        let sums = wanted.remove(&key).unwrap_or_default();
        let of = |kind: &str| {
            let found = sums.get(&(kind.to_owned(), "SUCCEEDED"));
            found.copied().unwrap_or_default()
        };
        let (payments, gross, charged) = of("PAYMENT");
        let (reversals, reversed, back) = of("REVERSAL");
        let told = (
            (one.payments, i128::from(one.gross_minor)),
            (one.reversals, i128::from(one.reversed_minor)),
            i128::from(one.fees_minor),
        );
        if told != ((payments, gross), (reversals, reversed), charged + back) {
            let problem = "what is settled is not what the day's flows come to";
            let evidence = format!(
                "{} and {} on {}: {told:?}, and the flows say {sums:?}",
                one.merchant, one.biller, day.date
            );
            findings.general(Invariant::Statements, problem, evidence);
        }
    }
    for ((merchant, biller, _), sums) in wanted {
        let problem = "flows of a closed day are in no settlement";
        let evidence = format!("{merchant} and {biller} on {}: {sums:?}", day.date);
        findings.general(Invariant::Statements, problem, evidence);
    }
    Ok(())
}
