//! The files that the night writes and reads, as bytes: statements for merchants and billers, and what
//! banks and billers send. Profiles say how a file is laid out; nothing here knows where files come
//! from or where they go.
//!
//! Writing: [`StatementWriter`] (or [`WorkbookWriter`], for people), then a [`Sidecar`]. Reading:
//! [`check`] first, which looks at the whole file, then [`Lines`]; or [`read_plain`], for large files of which
//! many are plain.

mod amount;
mod blocks;
mod built_in;
mod cell;
mod charset;
mod claims;
mod line;
mod moment;
mod named;
mod pack;
mod plain;
mod plain_source;
mod plain_times;
pub mod profile;
mod profile_rules;
mod profile_text;
mod reader;
mod row;
mod sidecar;
mod statement;
mod stop;
mod template;
mod unpack;
mod values;
mod walk;
mod workbook;
mod writer;

pub use built_in::{BUILT_IN, NoSuchProfile, Profiles};
pub use named::profile_by_names;
pub use plain::{Plain, PlainError, read_plain};
pub use profile::{Profile, ProfileProblem};
pub use reader::{
    Checked, Expect, LINE_BYTES_MAX, Limits, Line, Lines, ReadError, Refusal, Verdict, check,
};
pub use row::{Field, LineStatus, Row, SumTooLarge, Tally, Totals};
pub use sidecar::{ChainEnd, Sidecar, Sum};
pub use statement::{Head, WriteError, Written};
pub use template::{Slot, Template};
pub use workbook::WorkbookWriter;
pub use writer::StatementWriter;
