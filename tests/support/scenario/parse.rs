//! From a sentence to a step. A sentence that is not known is an error that says so; nothing is
//! guessed.

use crate::support::bank::Deed;
use crate::support::bank::far_side::LookupDeed;
use crate::support::bank::work::refusal_named;
use payhall::domain::case::{CaseKind, CaseState, Decision};
use payhall::domain::exception::Phase;
use payhall::domain::flow::Operation;
use payhall::domain::merchant::MerchantState;
use payhall::domain::order::OrderState;
use payhall::domain::refusal::RefusalCode;
use std::time::Duration;

/// How a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With an order in this state.
    State(OrderState),
    /// With the same order as another one.
    SameAs(String),
    /// It is refused; perhaps naming another order.
    Refused(RefusalCode, Option<String>),
}

/// What can be counted about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    Debits,
    Reversals,
    Credits,
    Calls(Operation),
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Issue {
        item: String,
        bill_no: String,
        due_minor: i64,
    },
    Order(NewOrder),
    Tell {
        operation: Operation,
        order: String,
        deeds: Vec<Deed>,
        for_ever: Option<Deed>,
    },
    TellBiller {
        bill_no: String,
        deed: LookupDeed,
    },
    Confirm {
        order: String,
        answer: Answer,
    },
    Cancel {
        order: String,
        answer: Answer,
    },
    After(Duration),
    Poll,
    PollFor(Duration),
    PollUntil {
        order: String,
        state: OrderState,
        within: Duration,
    },
    Expire,
    State {
        order: String,
        state: OrderState,
        because: Option<String>,
    },
    Phase {
        order: String,
        phase: Option<Phase>,
    },
    Case {
        order: String,
        kind: Option<CaseKind>,
        state: Option<CaseState>,
    },
    Propose {
        who: String,
        order: String,
        decision: Decision,
        letter: String,
        answer: Option<RefusalCode>,
    },
    Approve {
        who: String,
        order: String,
        answer: Option<RefusalCode>,
    },
    ApproveAtOnce {
        one: String,
        other: String,
        order: String,
    },
    Reject {
        who: String,
        order: String,
        answer: Option<RefusalCode>,
    },
    OpenCase {
        order: String,
    },
    Count {
        what: Counted,
        order: String,
        times: usize,
    },
    Alarm {
        order: String,
        kind: Option<String>,
    },
    Merchant {
        code: String,
        state: MerchantState,
    },
    Item {
        code: String,
        enabled: bool,
    },
    Crash,
    LetGo,
    CarryOut,
    Drop {
        order: String,
        reason: &'static str,
    },
    MayStay {
        order: String,
    },
    CorrectedOutside {
        order: String,
    },
}

/// An order to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    pub name: String,
    pub item: String,
    pub bill_no: String,
    pub amount_minor: i64,
    pub merchant: Option<String>,
    pub request_no: Option<String>,
    pub answer: Option<Answer>,
}

type Parsed = Result<Step, String>;

/// Reads a sentence.
pub fn parse(line: &str) -> Parsed {
    let (said, answer) = match line.split_once("->") {
        Some((said, answer)) => (said.trim(), Some(answer.trim())),
        None => (line, None),
    };
    if let Some((told, deeds)) = said.split_once(": ")
        && !told.contains('"')
    {
        return told_to_do(told, deeds);
    }
    let (said, quote) = quoted(said)?;
    let words: Vec<&str> = said.split_whitespace().collect();
    let step = match answer {
        Some(answer) => request(&words, quote, &self::answer(answer)?)?,
        None => event(&words, quote)?.or(statement(&words)?),
    };
    step.ok_or_else(|| "this sentence is not known; see tests/scenarios/README.md".to_owned())
}

/// Sentences with an answer: somebody asks for something and is told how it went.
fn request(words: &[&str], quote: Option<String>, answer: &Answer) -> Result<Option<Step>, String> {
    let refused = || match answer {
        Answer::Refused(code, None) => Ok(Some(*code)),
        other => Err(format!(
            "this is refused or it is not; {other:?} is no answer to it"
        )),
    };
    let (answer, order) = (answer.clone(), || {
        words.get(1).map_or("", |word| *word).to_owned()
    });
    Ok(Some(match words {
        ["order", ..] => Step::Order(new_order(words, Some(answer))?),
        ["confirm", _] => Step::Confirm {
            order: order(),
            answer,
        },
        ["cancel", _] => Step::Cancel {
            order: order(),
            answer,
        },
        [who, "proposes", decision, "for", order, "with"] => {
            propose(who, decision, order, quote, refused()?)?
        }
        [who, "approves", order] => Step::Approve {
            who: (*who).to_owned(),
            order: (*order).to_owned(),
            answer: refused()?,
        },
        [who, "rejects", order] => Step::Reject {
            who: (*who).to_owned(),
            order: (*order).to_owned(),
            answer: refused()?,
        },
        _ => return Ok(None),
    }))
}

/// Sentences in which something happens.
fn event(words: &[&str], quote: Option<String>) -> Result<Option<Step>, String> {
    let text = |word: &&str| (*word).to_owned();
    Ok(Some(match words {
        ["bill", bill_no, "of", item, "is", due] => Step::Issue {
            item: text(item),
            bill_no: text(bill_no),
            due_minor: amount(due)?,
        },
        ["order", ..] => Step::Order(new_order(words, None)?),
        ["after", number, unit] => Step::After(duration(number, unit)?),
        ["poll"] => Step::Poll,
        ["poll", "for", number, unit] => Step::PollFor(duration(number, unit)?),
        ["poll", "until", order, "is", state, "within", number, unit] => Step::PollUntil {
            order: text(order),
            state: named(state)?,
            within: duration(number, unit)?,
        },
        ["expire"] => Step::Expire,
        [who, "proposes", decision, "for", order, "with"] => {
            propose(who, decision, order, quote, None)?
        }
        [one, "and", other, "approve", order, "at", "once"] => Step::ApproveAtOnce {
            one: text(one),
            other: text(other),
            order: text(order),
        },
        [who, "approves", order] => Step::Approve {
            who: text(who),
            order: text(order),
            answer: None,
        },
        [who, "rejects", order] => Step::Reject {
            who: text(who),
            order: text(order),
            answer: None,
        },
        ["the", "auditors", "open", "a", "case", "about", order] => {
            Step::OpenCase { order: text(order) }
        }
        ["merchant", code, "is", state] => Step::Merchant {
            code: text(code),
            state: named(&state.to_uppercase())?,
        },
        ["item", code, "is", state @ ("on" | "off")] => Step::Item {
            code: text(code),
            enabled: *state == "on",
        },
        ["the", "program", "crashes", "and", "starts", "again"] => Step::Crash,
        ["the", "bank", "lets", "go"] => Step::LetGo,
        ["the", "bank", "carries", "out", "what", "it", "holds"] => Step::CarryOut,
        ["the", "bank", "drops", order, "for", reason] => Step::Drop {
            order: text(order),
            reason: reason_named(reason)?,
        },
        [order, "may", "stay", "as", "it", "is"] => Step::MayStay { order: text(order) },
        ["the", "books", "of", order, "are", "corrected", "outside"] => {
            Step::CorrectedOutside { order: text(order) }
        }
        _ => return Ok(None),
    }))
}

/// Sentences that say how something is.
fn statement(words: &[&str]) -> Result<Option<Step>, String> {
    let text = |word: &&str| (*word).to_owned();
    let count = |what, order: &&str, times: &[&str]| {
        let (order, times) = (text(order), self::times(times)?);
        Ok::<_, String>(Step::Count { what, order, times })
    };
    let case = |order: &&str, kind, state: Option<&&str>| {
        let state = state
            .map(|state| named(&state.to_uppercase()))
            .transpose()?;
        let order = text(order);
        Ok::<_, String>(Step::Case { order, kind, state })
    };
    Ok(Some(match words {
        [order, "is", "in", "phase", phase] => Step::Phase {
            order: text(order),
            phase: Some(named(phase)?),
        },
        [order, "has", "no", "exception"] => Step::Phase {
            order: text(order),
            phase: None,
        },
        [order, "has", "no", "open", "case"] => case(order, None, None)?,
        ["late", "case", "of", order, "is", state] => {
            case(order, Some(CaseKind::LateSuccess), Some(state))?
        }
        ["case", "of", order, "is", state] => case(order, Some(CaseKind::Doubt), Some(state))?,
        [order, "is", state, "because", reason] => Step::State {
            order: text(order),
            state: named(state)?,
            because: Some(text(reason)),
        },
        [order, "is", state] => Step::State {
            order: text(order),
            state: named(state)?,
            because: None,
        },
        ["the", "bank", "debited", order, times @ ..] => count(Counted::Debits, order, times)?,
        ["the", "bank", "reversed", order, times @ ..] => count(Counted::Reversals, order, times)?,
        ["the", "biller", "was", "credited", "for", order, times @ ..] => {
            count(Counted::Credits, order, times)?
        }
        ["the", "bank", "was", "told", "to", "pay", order, times @ ..] => {
            count(Counted::Calls(Operation::Pay), order, times)?
        }
        [
            "the",
            "bank",
            "was",
            "told",
            "to",
            "reverse",
            order,
            times @ ..,
        ] => count(Counted::Calls(Operation::Reverse), order, times)?,
        ["the", "bank", "was", "asked", "about", order, times @ ..] => {
            count(Counted::Calls(Operation::Query), order, times)?
        }
        ["no", "alarm", "for", order] => Step::Alarm {
            order: text(order),
            kind: None,
        },
        ["alarm", kind, "for", order] => Step::Alarm {
            order: text(order),
            kind: Some(text(kind)),
        },
        _ => return Ok(None),
    }))
}

fn propose(
    who: &str,
    decision: &str,
    order: &str,
    letter: Option<String>,
    answer: Option<RefusalCode>,
) -> Parsed {
    Ok(Step::Propose {
        who: who.to_owned(),
        order: order.to_owned(),
        decision: named(decision)?,
        letter: letter.ok_or("a proposal needs its evidence in quotes")?,
        answer,
    })
}

/// `order A of ITEM bill NO over AMOUNT [by MERCHANT] [as REQUEST]`; without an item it is a topup.
fn new_order(words: &[&str], answer: Option<Answer>) -> Result<NewOrder, String> {
    let (name, item, rest) = match words {
        ["order", name, "of", "bill", rest @ ..] => (name, "topup", rest),
        ["order", name, "of", item, "bill", rest @ ..] => (name, *item, rest),
        _ => return Err("an order is made: order A of ITEM bill NUMBER over AMOUNT".to_owned()),
    };
    let [bill_no, "over", over, options @ ..] = rest else {
        return Err("an order names its bill and its amount".to_owned());
    };
    let option = |word: &str| {
        let pairs = options.chunks(2).find(|pair| pair.first() == Some(&word));
        pairs
            .and_then(|pair| pair.get(1))
            .map(|word| (*word).to_owned())
    };
    Ok(NewOrder {
        name: (*name).to_owned(),
        item: item.to_owned(),
        bill_no: (*bill_no).to_owned(),
        amount_minor: amount(over)?,
        merchant: option("by"),
        request_no: option("as"),
        answer,
    })
}

/// `the bank answers OPERATION of ORDER: DEED; DEED x 3; DEED for ever`
fn told_to_do(told: &str, deeds: &str) -> Parsed {
    let words: Vec<&str> = told.split_whitespace().collect();
    match words.as_slice() {
        ["the", "biller", "answers", "bill", bill_no] => Ok(Step::TellBiller {
            bill_no: (*bill_no).to_owned(),
            deed: match deeds {
                "the truth" => LookupDeed::Honest,
                "unavailable" => LookupDeed::Unavailable,
                "hangs" => LookupDeed::Hang,
                other => return Err(format!("a biller does not do {other:?}")),
            },
        }),
        ["the", "bank", "answers", operation, "of", order] => {
            let mut queue = Vec::new();
            let mut for_ever = None;
            for said in deeds.split(';').map(str::trim) {
                if let Some(said) = said.strip_suffix(" for ever") {
                    for_ever = Some(deed(said)?);
                    continue;
                }
                let (said, times) = match said.rsplit_once(" x ") {
                    Some((said, times)) => (
                        said,
                        times
                            .parse()
                            .map_err(|_| format!("{times:?} is no number"))?,
                    ),
                    None => (said, 1),
                };
                queue.extend(std::iter::repeat_n(deed(said)?, times));
            }
            Ok(Step::Tell {
                operation: named(&operation.to_uppercase())?,
                order: (*order).to_owned(),
                deeds: queue,
                for_ever,
            })
        }
        _ => Err("only the bank and the billers are told what to answer".to_owned()),
    }
}

fn deed(said: &str) -> Result<Deed, String> {
    Ok(
        match said.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["the", "truth"] => Deed::Honest,
            ["refused", reason] => Deed::Refuse(reason_named(reason)?),
            ["unknown"] => Deed::Unknown,
            ["done,", "answer", "lost"] => Deed::Lost,
            ["done", number, unit, "later"] => Deed::Late(duration(number, unit)?),
            ["pending"] => Deed::Pending,
            ["not", "found"] => Deed::NotFound,
            ["not", "sent"] => Deed::NotSent,
            ["wrong", "amount"] => Deed::WrongAmount,
            ["wrong", "bill"] => Deed::WrongBill,
            ["garbage"] => Deed::Garbage,
            ["it", "stands"] => Deed::Stands,
            ["hangs"] => Deed::Hang,
            ["done,", "then", "hangs"] => Deed::WorkThenHang,
            ["unknown,", "after", "a", "hang"] => Deed::UnknownThenHang,
            _ => return Err(format!("the bank does not do {said:?}")),
        },
    )
}

/// `STATE`, `same as A`, `refused CODE`, `refused CODE, see A`
fn answer(said: &str) -> Result<Answer, String> {
    let words: Vec<&str> = said.split_whitespace().collect();
    Ok(match words.as_slice() {
        ["same", "as", other] => Answer::SameAs((*other).to_owned()),
        ["refused", code] => Answer::Refused(named(code)?, None),
        ["refused", code, "see", other] => Answer::Refused(
            named(code.trim_end_matches(','))?,
            Some((*other).to_owned()),
        ),
        [state] => Answer::State(named(state)?),
        _ => return Err(format!("{said:?} is no answer")),
    })
}

fn quoted(said: &str) -> Result<(String, Option<String>), String> {
    let parts: Vec<&str> = said.split('"').collect();
    match parts.as_slice() {
        [plain] => Ok(((*plain).to_owned(), None)),
        [before, quote, after] => Ok((format!("{before}{after}"), Some((*quote).to_owned()))),
        _ => Err("one pair of quotes a line".to_owned()),
    }
}

fn named<T: std::str::FromStr>(word: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    word.parse().map_err(|error: T::Err| error.to_string())
}

fn reason_named(reason: &str) -> Result<&'static str, String> {
    refusal_named(reason).ok_or_else(|| format!("the bank never refuses for {reason:?}"))
}

/// `never`, `once`, `twice`, `5 times`
fn times(words: &[&str]) -> Result<usize, String> {
    match words {
        ["never"] => Ok(0),
        ["once"] => Ok(1),
        ["twice"] => Ok(2),
        [number, "times"] => number
            .parse()
            .map_err(|_| format!("{number:?} is no number")),
        _ => Err(format!("{words:?} does not say how often")),
    }
}

/// `88.00` in minor units of a currency with two digits.
fn amount(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no amount; two digits follow the point, as in 88.00");
    let (whole, cents) = text.split_once('.').ok_or_else(wrong)?;
    if cents.len() != 2 {
        return Err(wrong());
    }
    format!("{whole}{cents}").parse().map_err(|_| wrong())
}

fn duration(number: &str, unit: &str) -> Result<Duration, String> {
    let number: u64 = number
        .parse()
        .map_err(|_| format!("{number:?} is no number"))?;
    let seconds = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        _ => return Err(format!("{unit:?} is no unit; s, min and h are")),
    };
    Ok(Duration::from_secs(number * seconds))
}
