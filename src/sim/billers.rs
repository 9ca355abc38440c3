//! The billers of the simulated world, and the bills that they have open.
//!
//! There is no table of bills. Amount, period and holder are computed from the bill's number, so
//! that any number that fits the biller's rule is an open bill, always the same one, at no cost of
//! memory; only what has been paid is remembered, and that by the bank.

use super::protocol::status;

/// What a bill number looks like at a biller.
#[derive(Debug)]
enum Form {
    Digits(usize),
    Mobile,
    School,
}

/// Which amounts a biller takes.
#[derive(Debug, PartialEq, Eq)]
enum Amounts {
    Exact,
    AtLeast,
    Range(i64, i64),
    Any,
}

/// One biller.
#[derive(Debug)]
pub(super) struct Biller {
    /// Its place in the list; part of [`Biller::bill_key`].
    id: u64,
    /// As it is written in requests.
    pub name: &'static str,
    /// Whether a bill can be looked up, and is closed once it has been paid.
    pub has_lookup: bool,
    form: Form,
    amounts: Amounts,
}

static BILLERS: [Biller; 5] = [
    Biller {
        id: 1,
        name: "bj-power",
        has_lookup: true,
        form: Form::Digits(10),
        amounts: Amounts::Exact,
    },
    Biller {
        id: 2,
        name: "bj-water",
        has_lookup: true,
        form: Form::Digits(9),
        amounts: Amounts::AtLeast,
    },
    Biller {
        id: 3,
        name: "sh-gas",
        has_lookup: true,
        form: Form::Digits(12),
        amounts: Amounts::Exact,
    },
    Biller {
        id: 4,
        name: "sh-telecom",
        has_lookup: false,
        form: Form::Mobile,
        amounts: Amounts::Range(100, 50_000),
    },
    Biller {
        id: 5,
        name: "sh-school",
        has_lookup: false,
        form: Form::School,
        amounts: Amounts::Any,
    },
];

/// The names on the masked bills.
const SURNAMES: [&str; 16] = [
    "王", "李", "张", "刘", "陈", "杨", "黄", "赵", "吴", "周", "徐", "孙", "马", "朱", "胡", "林",
];

/// What a lookup shows of an open bill.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bill {
    pub amount_minor: i64,
    pub period: String,
    pub holder: String,
    pub bill_ref: String,
}

/// The biller of that name.
pub(super) fn find(name: &str) -> Option<&'static Biller> {
    BILLERS.iter().find(|biller| biller.name == name)
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Biller> {
    BILLERS.iter()
}

/// All names, for messages.
pub(super) fn names() -> String {
    BILLERS.each_ref().map(|biller| biller.name).join(", ")
}

impl Biller {
    /// Whether `bill_no` can be a bill of this biller.
    pub fn accepts(&self, bill_no: &str) -> bool {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        match self.form {
            Form::Digits(length) => bill_no.len() == length && digits(bill_no),
            Form::Mobile => {
                bill_no.len() == 11
                    && digits(bill_no)
                    && bill_no.starts_with('1')
                    && bill_no.as_bytes()[1] >= b'3'
            }
            Form::School => bill_no.len() == 9 && bill_no.strip_prefix('S').is_some_and(digits),
        }
    }

    /// The open bill of that number. The amount is between 10.00 and 500.00.
    pub fn bill(&self, bill_no: &str) -> Bill {
        let hash = hash(self.name, bill_no);
        let amount_minor = 1_000 + (hash % 49_001) as i64;
        let month = 1 + (hash >> 20) % 12;
        let surname = SURNAMES[(hash >> 32) as usize % SURNAMES.len()];
        Bill {
            amount_minor,
            period: format!("2026-{month:02}"),
            holder: format!("{surname}*"),
            bill_ref: format!("R{bill_no}-{amount_minor}"),
        }
    }

    /// Whether this bill, for this amount, can be paid: `Err` is the status that refuses it.
    ///
    /// The amount is checked against the bill only when the payment carries the bill's reference:
    /// the reference is what binds them.
    pub fn check(
        &self,
        bill_no: &str,
        amount_minor: i64,
        bill_ref: Option<&str>,
    ) -> Result<(), u16> {
        if !self.accepts(bill_no) {
            return Err(status::BILL_NOT_FOUND);
        }
        let right_amount = match (&self.amounts, bill_ref) {
            (Amounts::Range(low, high), _) => (*low..=*high).contains(&amount_minor),
            (Amounts::Exact | Amounts::AtLeast, Some(bill_ref)) => {
                let billed = billed_amount(bill_no, bill_ref).ok_or(status::BILL_NOT_FOUND)?;
                let over = amount_minor > billed && self.amounts == Amounts::AtLeast;
                amount_minor == billed || over
            }
            (Amounts::Exact | Amounts::AtLeast, None) | (Amounts::Any, _) => true,
        };
        if amount_minor > 0 && right_amount {
            Ok(())
        } else {
            Err(status::WRONG_AMOUNT)
        }
    }

    /// Whether a bill that has been paid once can be paid again.
    pub fn takes_more(&self) -> bool {
        self.amounts != Amounts::Exact
    }

    /// A number for one bill of a biller with lookup, for a small table of what has been paid.
    ///
    /// The digits fit, because such a biller's bill numbers have a fixed length of at most 12.
    pub fn bill_key(&self, bill_no: &str) -> Option<u64> {
        if !self.has_lookup || !self.accepts(bill_no) {
            return None;
        }
        bill_no
            .parse::<u64>()
            .ok()
            .map(|digits| self.id << 56 | digits)
    }
}

/// The amount that a reference binds to this bill; `None` if it is not a reference of this bill.
fn billed_amount(bill_no: &str, bill_ref: &str) -> Option<i64> {
    let (bill, amount) = bill_ref.strip_prefix('R')?.rsplit_once('-')?;
    if bill == bill_no {
        amount.parse().ok()
    } else {
        None
    }
}

/// FNV-1a over both names, then stirred, so that neighbouring bills look unlike each other.
fn hash(biller: &str, bill_no: &str) -> u64 {
    let bytes = biller.bytes().chain([b'/']).chain(bill_no.bytes());
    let sum = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    super::stir(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn biller(name: &str) -> &'static Biller {
        find(name).expect("a biller of the table")
    }

    #[test]
    fn bill_numbers_follow_the_rule_of_their_biller() {
        for (name, good, bad) in [
            ("bj-power", "1234567890", "123456789"),
            ("bj-water", "123456789", "12345678x"),
            ("sh-gas", "123456789012", ""),
            ("sh-telecom", "13912345678", "12912345678"),
            ("sh-school", "S12345678", "12345678S"),
        ] {
            assert!(biller(name).accepts(good), "{name} {good}");
            assert!(!biller(name).accepts(bad), "{name} {bad}");
        }
        assert!(!biller("sh-school").accepts("S1234567é"));
        assert!(find("nobody").is_none());
    }

    #[test]
    fn bills_are_deterministic_and_in_range() {
        let power = biller("bj-power");
        for number in 0..2_000 {
            let bill_no = format!("{number:010}");
            let bill = power.bill(&bill_no);
            assert_eq!(bill, power.bill(&bill_no));
            assert!((1_000..=50_000).contains(&bill.amount_minor));
            assert_eq!(bill.bill_ref, format!("R{bill_no}-{}", bill.amount_minor));
        }
        assert_ne!(power.bill("0000000001"), power.bill("0000000002"));
    }

    #[test]
    fn the_reference_binds_bill_and_amount() {
        let bill_no = "1234567890";
        for (name, bill_no, over) in [
            ("bj-power", bill_no, Err(status::WRONG_AMOUNT)),
            ("bj-water", "123456789", Ok(())),
        ] {
            let bill = biller(name).bill(bill_no);
            let check = |amount| biller(name).check(bill_no, amount, Some(&bill.bill_ref));
            assert_eq!(check(bill.amount_minor), Ok(()));
            assert_eq!(check(bill.amount_minor + 1), over);
            assert_eq!(check(bill.amount_minor - 1), Err(status::WRONG_AMOUNT));
        }
        let other = biller("bj-power").check(bill_no, 5_000, Some("R1234567891-5000"));
        assert_eq!(other, Err(status::BILL_NOT_FOUND));
        assert_eq!(biller("bj-power").check(bill_no, 5_000, None), Ok(()));
        assert_eq!(
            biller("sh-telecom").check("13912345678", 99, None),
            Err(status::WRONG_AMOUNT)
        );
        assert_eq!(
            biller("sh-school").check("S12345678", 0, None),
            Err(status::WRONG_AMOUNT)
        );
        assert_eq!(
            biller("sh-school").check("12", 100, None),
            Err(status::BILL_NOT_FOUND)
        );
    }
}
