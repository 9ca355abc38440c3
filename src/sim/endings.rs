//! The well-known bill numbers: the last four digits decide how the bank and the biller behave.
//!
//! They are nothing but scripted faults that are always there, so that anybody can try each bad
//! day of a bank from the playground by typing a bill number.

use super::faults::{Answer, Effect, Plan};
use super::ledger::Op;
use super::protocol::status;

/// A well-known ending, 9001 to 9016.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending(u16);

/// What the script may depend on, besides the ending and the operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    /// How many queries about this payment the script has answered before.
    pub asked: u8,
    /// Whether the bank holds the payer's money.
    pub paid: bool,
    /// How late a late success is.
    pub late_success_ms: u64,
}

impl Ending {
    /// The ending of a bill's number, if it is a well-known one.
    ///
    /// In a healed world only 9001 is: a payer without money is nothing that an upstream can heal.
    pub fn of(bill_no: &str, healed: bool) -> Option<Self> {
        let digits = bill_no
            .len()
            .checked_sub(4)
            .and_then(|start| bill_no.get(start..))?;
        let ending = digits.parse().ok()?;
        let last = if healed { 9001 } else { 9016 };
        (9001..=last).contains(&ending).then_some(Self(ending))
    }

    /// What is done instead of the plain thing; `None` where this ending leaves it plain.
    pub fn plan(self, op: Op, scene: Scene) -> Option<Plan> {
        const UNKNOWN: Answer = Answer::status(status::UNKNOWN);
        let (effect, answer) = match (self.0, op) {
            (9001, Op::Pay) => (Effect::Refuse(status::INSUFFICIENT_FUNDS), Answer::Truth),
            (9002, Op::Pay) => (Effect::Now, UNKNOWN),
            (9002, Op::Query) if scene.asked < 2 => (Effect::None, UNKNOWN),
            (9003, Op::Pay | Op::Query | Op::Reverse) => (Effect::None, UNKNOWN),
            (9004, Op::Pay) => (Effect::None, Answer::Hang),
            (9005, Op::Pay) => (Effect::Now, Answer::Hang),
            (9006, Op::Pay) => (Effect::Later(scene.late_success_ms), UNKNOWN),
            (9007, Op::Pay) => (Effect::Now, Answer::WrongAmount),
            (9008, Op::Pay) => (Effect::Now, Answer::bad_gateway()),
            (9009, Op::Pay | Op::Query) => (Effect::None, Answer::Hang),
            (9010, Op::Pay) => (Effect::Now, UNKNOWN),
            (9010, Op::Query) => (Effect::None, UNKNOWN),
            (9011, Op::Pay | Op::Query) => (Effect::None, Answer::status(status::PENDING)),
            // A bank that still works on the payment cannot undo it either.
            (9011, Op::Reverse) => (Effect::None, Answer::status(status::NOT_NOW)),
            (9012, Op::Pay) => (Effect::Refuse(status::ALREADY_PAID), Answer::Truth),
            (9012, Op::Lookup) => (Effect::None, Answer::status(status::ALREADY_PAID as i32)),
            (9013, Op::Pay) => (Effect::Now, UNKNOWN),
            (9013, Op::Query) => (Effect::None, UNKNOWN),
            (9013, Op::Reverse) if scene.paid => (Effect::None, Answer::status(status::STANDS)),
            (9014, Op::Pay) => (Effect::Refuse(status::BILL_NOT_FOUND), Answer::Truth),
            (9014, Op::Lookup) => (Effect::None, Answer::status(status::BILL_NOT_FOUND as i32)),
            (9015, Op::Lookup) => (Effect::None, Answer::Hang),
            (9016, Op::Pay) => (Effect::Refuse(status::INSUFFICIENT_FUNDS), UNKNOWN),
            (9016, Op::Query) if scene.asked < 1 => (Effect::None, UNKNOWN),
            _ => return None,
        };
        Some(Plan { effect, answer })
    }
}

#[cfg(test)]
mod tests {
    use super::Ending;

    #[test]
    fn the_last_four_characters_decide() {
        assert_eq!(Ending::of("1234569001", false), Some(Ending(9001)));
        assert_eq!(Ending::of("S12349016", false), Some(Ending(9016)));
        for other in [
            "1234569000",
            "1234569017",
            "901",
            "",
            "é001",
            "123456+901",
            "S9001x",
        ] {
            assert_eq!(Ending::of(other, false), None, "{other}");
        }
        assert_eq!(Ending::of("1234569001", true), Some(Ending(9001)));
        assert_eq!(Ending::of("1234569002", true), None);
    }
}
