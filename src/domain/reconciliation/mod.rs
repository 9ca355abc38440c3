//! 对账: three lists of one business date laid side by side, and one class for every flow on any of them.
//!
//! Ours, the bank's and the biller's rows of one flow number go into `classify`, and exactly one class
//! comes out, with the rule that decided and the amount at risk. `Matching` brings the rows of one number
//! together, whatever order they come in; `Totals` counts and sums what came out, by class and side, so
//! that both add up to what went in. Nothing here reads a file or a database, asks a clock or remembers
//! anything: the same rows give the same result, which is what makes a re-run worth something.
//!
//! Rejected: a database join (the partner's file would have to be loaded into tables before it is known
//! to be whole), and a hash of the number instead of the number (two flows would be taken for one, once).
//!
//! How one could break this: by a class that depends on when or how often it is asked for; by letting a
//! line settle something although its amount is another; by counting a row in two classes.

mod class;
mod compare;
mod judge;
mod lot;
mod matching;
mod merge;
mod packed;
mod result;
mod row;
mod rules;
mod totals;

pub use class::{Class, Rule, Side};
pub use judge::{Verdict, classify};
pub use lot::Lot;
pub use matching::{Compared, Difference, Matching, MatchingError};
pub use result::{RESULT_HEAD, write_result};
pub use row::{Asked, Bill, Edge, Row, RowState, Sides};
pub use rules::{Day, Rules, Waited};
pub use totals::{Overflow, Sum, Tally, Totals};

#[cfg(test)]
mod judge_tests;
#[cfg(test)]
mod matching_tests;
