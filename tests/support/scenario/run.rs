//! Takes the steps of a scenario on a test bank, and compares.

use super::Scenario;
use super::parse::{Answer, Counted, NewOrder, Step, parse};
use crate::support::bank::books::Effect;
use crate::support::bank::{TestBank, alarms, operator};
use crate::support::database::TestDatabase;
use payhall::domain::case::{Case, CaseKind, CaseState};
use payhall::domain::ids::{CaseNo, MerchantCode, OrderNo, RequestNo};
use payhall::domain::order::{Order, OrderState};
use payhall::domain::refusal::{Refusal, RefusalCode};
use payhall::engine::Clock;
use std::collections::BTreeMap;

/// An arrow of the state machine: from, by, to.
pub type Arrow = (String, String, String);

/// A scenario under way.
struct Play {
    bank: TestBank,
    orders: BTreeMap<String, OrderNo>,
}

/// Plays a scenario on a database; gives the arrows that its orders took.
///
/// # Panics
/// With file and line, when a sentence is not so; and when the bank's own audit finds something.
pub fn play(scenario: &Scenario, database: TestDatabase) -> Vec<Arrow> {
    let place = format!("tests/scenarios/{}.txt on {}", scenario.name, database.kind);
    let mut play = Play {
        bank: TestBank::new(database),
        orders: BTreeMap::new(),
    };
    for (number, line) in &scenario.lines {
        let done = parse(line).and_then(|step| play.take(step));
        if let Err(what) = done {
            panic!("{place}, line {number}: {line}\n    {what}");
        }
    }
    play.arrows()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, wanted: T) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{what}: it is {found:?}, not {wanted:?}"))
}

impl Play {
    fn take(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Issue {
                item,
                bill_no,
                due_minor,
            } => self.issue(&item, &bill_no, due_minor),
            Step::Order(order) => self.make(order)?,
            Step::Tell {
                operation,
                order,
                deeds,
                for_ever,
            } => {
                let bill_no = self.bill_of(&order)?;
                self.bank.far.tell(operation, &bill_no, deeds);
                if let Some(deed) = for_ever {
                    self.bank.far.tell_for_ever(operation, &bill_no, deed);
                }
            }
            Step::TellBiller { bill_no, deed } => {
                self.bank.far.world().lookups.insert(bill_no, deed);
            }
            Step::After(wait) => self.bank.advance(wait),
            Step::Poll => drop(self.bank.poll()),
            Step::PollFor(wait) => self.bank.run_for(wait),
            Step::Expire => drop(self.bank.expire()),
            Step::Merchant { code, state } => self.bank.set_merchant(&code, state),
            Step::Item { code, enabled } => self.bank.set_item(&code, enabled),
            Step::Crash => self.bank.crash(),
            Step::LetGo => self.bank.far.release(),
            Step::CarryOut => self.bank.far.carry_out_all(),
            Step::Drop { order, reason } => {
                let bill_no = self.bill_of(&order)?;
                self.bank.far.world().drop_work(&bill_no, reason);
            }
            Step::MayStay { order } => {
                let order = self.number(&order)?;
                self.bank.declared.unfinished.insert(order);
            }
            Step::CorrectedOutside { order } => {
                let order = self.number(&order)?;
                self.bank.declared.corrected_outside.insert(order);
            }
            step => return self.ask_or_compare(step),
        }
        self.bank.settle_down();
        Ok(())
    }

    /// Steps whose outcome is in the sentence.
    fn ask_or_compare(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Confirm { order, answer } => {
                let order = self.number(&order)?;
                let confirmed = self.bank.confirm(&order).map(|confirmed| confirmed.order);
                self.compare_answer(confirmed, &answer)
            }
            Step::Cancel { order, answer } => {
                let order = self.number(&order)?;
                self.compare_answer(self.bank.cancel(&order), &answer)
            }
            Step::PollUntil {
                order,
                state,
                within,
            } => {
                let number = self.number(&order)?;
                let came = self
                    .bank
                    .run_until(within, || self.bank.state(&number) == state);
                let found = self.bank.state(&number);
                if came {
                    Ok(())
                } else {
                    Err(format!("{order} is still {found}"))
                }
            }
            Step::State {
                order,
                state,
                because,
            } => {
                let found = self.bank.order(&self.number(&order)?);
                same(&order, found.state, state)?;
                match because {
                    Some(reason) => same("reason", found.reason, Some(reason)),
                    None => Ok(()),
                }
            }
            Step::Phase { order, phase } => {
                let found = self.bank.exception(&self.number(&order)?);
                same("phase", found.map(|exception| exception.phase), phase)
            }
            Step::Case { order, kind, state } => self.compare_case(&order, kind, state),
            Step::Propose {
                who,
                order,
                decision,
                letter,
                answer,
            } => {
                let order = self.number(&order)?;
                compare_refusal(self.bank.propose(&who, &order, decision, &letter), answer)
            }
            Step::Approve { who, order, answer } => {
                let order = self.number(&order)?;
                compare_refusal(self.bank.approve(&who, &order), answer)
            }
            Step::Reject { who, order, answer } => {
                let order = self.number(&order)?;
                compare_refusal(self.bank.reject(&who, &order, "not enough"), answer)
            }
            Step::ApproveAtOnce { one, other, order } => self.approve_at_once(&one, &other, &order),
            Step::OpenCase { order } => self.open_case(&order),
            Step::Count { what, order, times } => {
                let found = self.count(what, &order)?;
                same(&format!("{what:?}"), found, times)
            }
            Step::Alarm { order, kind } => self.compare_alarm(&order, kind.as_deref()),
            other => Err(format!("{other:?} was not taken")),
        }
    }

    fn number(&self, name: &str) -> Result<OrderNo, String> {
        let found = self.orders.get(name).cloned();
        found.ok_or_else(|| format!("there is no order {name} in this story"))
    }

    fn bill_of(&self, name: &str) -> Result<String, String> {
        Ok(self.bank.order(&self.number(name)?).bill_no.to_string())
    }

    fn issue(&self, item: &str, bill_no: &str, due_minor: i64) {
        let biller = item.split('-').next().unwrap_or(item);
        self.bank.far.world().issue(biller, bill_no, due_minor);
    }

    fn make(&mut self, order: NewOrder) -> Result<(), String> {
        let mut input = self
            .bank
            .input(&order.item, &order.bill_no, order.amount_minor);
        if let Some(merchant) = &order.merchant {
            input.merchant = MerchantCode::try_new(merchant).map_err(|error| error.to_string())?;
        }
        if let Some(request_no) = &order.request_no {
            input.request_no = RequestNo::try_new(request_no).map_err(|error| error.to_string())?;
        }
        let made = self.bank.try_create(input);
        if let Ok(made) = &made {
            self.orders.insert(order.name, made.order_no.clone());
        }
        let wanted = order.answer.unwrap_or(Answer::State(OrderState::Created));
        self.compare_answer(made, &wanted)
    }

    fn compare_answer(&self, found: Result<Order, Refusal>, wanted: &Answer) -> Result<(), String> {
        match (found, wanted) {
            (Ok(order), Answer::State(state)) => same("answer", order.state, *state),
            (Ok(order), Answer::SameAs(name)) => same("order", order.order_no, self.number(name)?),
            (Err(refusal), Answer::Refused(code, see)) => {
                same("refusal", refusal.code, *code)?;
                match see {
                    Some(name) => same("named", refusal.order_no, Some(self.number(name)?)),
                    None => Ok(()),
                }
            }
            (found, wanted) => Err(format!("it went {found:?}, not {wanted:?}")),
        }
    }

    fn compare_case(
        &self,
        order: &str,
        kind: Option<CaseKind>,
        state: Option<CaseState>,
    ) -> Result<(), String> {
        let case = self.bank.case(&self.number(order)?);
        match (kind, state) {
            (Some(kind), Some(state)) => same(
                "case",
                case.map(|case| (case.kind, case.state)),
                Some((kind, state)),
            ),
            _ => {
                let open = case.filter(|case| case.state != CaseState::Closed);
                same("open case", open.map(|case| case.kind), None)
            }
        }
    }

    /// Two people press the button in one moment: one of them decides.
    fn approve_at_once(&self, one: &str, other: &str, order: &str) -> Result<(), String> {
        let case = self
            .bank
            .case(&self.number(order)?)
            .ok_or("there is no case")?;
        let engine = self.bank.engine();
        let (one, other) = (operator(one), operator(other));
        let answers = self.bank.wait(async {
            tokio::join!(
                engine.case_approve(&case.case_no, case.version, &one),
                engine.case_approve(&case.case_no, case.version, &other)
            )
        });
        let decided = usize::from(answers.0.is_ok()) + usize::from(answers.1.is_ok());
        same("decisions", decided, 1)
    }

    /// A case that no machine would open: about an order that is at rest as it should be.
    fn open_case(&self, order: &str) -> Result<(), String> {
        let now = self.bank.clock.now();
        let order_no = self.number(order)?;
        // A number of long ago, one for each order: whatever the engine opens later comes after it.
        let case_no = CaseNo::try_new(format!("2000{}", &order_no.as_str()[4..]));
        let case = Case {
            case_no: case_no.map_err(|error| error.to_string())?,
            order_no: Some(order_no),
            flow_no: None,
            owner: None,
            kind: CaseKind::Doubt,
            state: CaseState::Open,
            cause: "the auditors ask".to_owned(),
            opened_at: now,
            due_at: now,
            proposal: None,
            checker: None,
            closed_at: None,
            resolution: None,
            version: 0,
        };
        let opened = self
            .bank
            .wait(self.bank.store().solo(move |tx| tx.open_case(&case)));
        same("opened", opened.map_err(|error| error.to_string())?, true)
    }

    fn count(&self, what: Counted, order: &str) -> Result<usize, String> {
        let payment = self.bank.payment(&self.number(order)?).flow_no;
        let effects = |effect| self.bank.far.books().count(payment.as_str(), effect);
        Ok(match what {
            Counted::Debits => effects(Effect::Debit),
            Counted::Reversals => effects(Effect::Reversal),
            Counted::Credits => effects(Effect::Credit),
            Counted::Calls(operation) => self.bank.far.count(operation, &payment),
        })
    }

    fn compare_alarm(&self, order: &str, kind: Option<&str>) -> Result<(), String> {
        let heard = alarms::about(&self.number(order)?);
        match kind {
            None if heard.is_empty() => Ok(()),
            Some(kind) if heard.iter().any(|alarm| alarm.kind == kind) => Ok(()),
            _ => Err(format!("the alarms were {heard:?}")),
        }
    }

    /// The arrows that the orders took, from the audit rows.
    fn arrows(&self) -> Vec<Arrow> {
        let facts = self.bank.facts();
        let rows = facts.chains.into_iter().flatten().map(|row| row.entry);
        rows.filter(|entry| entry.subject_kind == "ORDER")
            .filter_map(|entry| Some((entry.before?, entry.action, entry.after?)))
            .collect()
    }
}

fn compare_refusal<T: std::fmt::Debug>(
    found: Result<T, Refusal>,
    wanted: Option<RefusalCode>,
) -> Result<(), String> {
    match (found, wanted) {
        (Ok(_), None) => Ok(()),
        (Err(refusal), Some(code)) => same("refusal", refusal.code, code),
        (found, wanted) => Err(format!("it went {found:?}, not {wanted:?}")),
    }
}
