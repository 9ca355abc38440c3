//! A profile for a plain file that says itself what its columns hold: delimited, with a line of names, and
//! the names are those of the fields.

use super::profile::Profile;
use super::row::Field;
use std::fmt::Write;
use std::io::{BufRead, BufReader, Read};

/// Names by which columns are known beside those of the fields themselves.
const OTHER_NAMES: &[(&str, Field)] = &[
    ("amount_minor", Field::Amount),
    ("fee_minor", Field::Fee),
    ("net_minor", Field::Net),
    ("finished_at", Field::ConcludedAt),
];

/// What everything is but the columns: amounts in minor units, states as words or as the bank's digits.
const REST: &str = r#"
encoding = "UTF-8"
layout = "DELIMITED"
quote = '"'
names = "LINE"
unit = "MINOR"
times = "RFC3339"
unchecked = true
file_name = "{party}_{date}.csv"
[kinds]
PAYMENT = ["PAYMENT"]
REVERSAL = ["REVERSAL"]
[states]
SUCCEEDED = ["SUCCEEDED", "1"]
FAILED = ["FAILED"]
PENDING = ["PENDING", "-1"]
"#;

/// Makes the profile of a file from its first line. A column whose name is no field's is left out; a
/// reversal is told by the word in the column `kind` where there is one, and else by a negative amount.
///
/// # Errors
/// A sentence about what cannot be read, or what is missing.
pub fn profile_by_names(file: impl Read) -> Result<Profile, String> {
    const FIRST_BYTES_MAX: u64 = super::reader::LINE_BYTES_MAX as u64;
    let mut first = Vec::new();
    let mut start = BufReader::new(file.take(FIRST_BYTES_MAX));
    let read = start.read_until(b'\n', &mut first);
    read.map_err(|error| format!("it cannot be read: {error}"))?;
    let first = String::from_utf8(first)
        .map_err(|_| "its first line is not UTF-8; name a profile".to_owned())?;
    let Some(first) = first.strip_suffix('\n') else {
        return Err(
            "its first line does not end; a line with the columns' names is expected".into(),
        );
    };
    let (first, bom) = match first.strip_prefix('\u{feff}') {
        Some(first) => (first, "ALWAYS"),
        None => (first, "NEVER"),
    };
    let (first, line_end) = match first.strip_suffix('\r') {
        Some(first) => (first, "CRLF"),
        None => (first, "LF"),
    };
    let delimiter = first.chars().find(|c| matches!(c, ',' | '|' | ';' | '\t'));
    let delimiter = delimiter.unwrap_or(',');
    let names: Vec<&str> = first.split(delimiter).collect();
    let is_name = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
        !name.is_empty() && name.chars().all(plain)
    };
    if let Some(odd) = names.iter().find(|name| !is_name(name)) {
        let odd: String = odd.chars().take(64).collect();
        return Err(format!(
            "{odd:?} in its first line is no name of a column; name a profile"
        ));
    }
    let has_kind = names.iter().any(|name| field_of(name) == Some(Field::Kind));
    let reversals = if has_kind { "WORD" } else { "NEGATIVE" };
    let mut text = format!(
        "bom = \"{bom}\"\nline_end = \"{line_end}\"\nreversals = \"{reversals}\"\n\
         delimiter = {:?}\n{REST}",
        delimiter.to_string()
    );
    for name in &names {
        let _ = write!(text, "[[columns]]\nname = \"{name}\"\n");
        if let Some(field) = field_of(name) {
            let _ = writeln!(text, "field = \"{field}\"");
        }
    }
    Profile::parse("by-names", &text).map_err(|problems| {
        let reasons: Vec<_> = problems.into_iter().map(|problem| problem.reason).collect();
        format!(
            "its columns are {}: {}",
            names.join(", "),
            reasons.join("; ")
        )
    })
}

fn field_of(name: &str) -> Option<Field> {
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == name);
    let other = other.map(|(_, field)| *field);
    other.or_else(|| name.to_uppercase().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::super::profile::{Bom, Holds, Layout, LineEnd, Reversals};
    use super::*;

    fn by(first: &str) -> Result<Profile, String> {
        profile_by_names(first.as_bytes())
    }

    #[test]
    fn columns_are_known_by_their_names() {
        let profile =
            by("upstream_ref,flow_no,amount_minor,status,finished_at,whatever\n1,2").unwrap();
        assert!(profile.has(Field::FlowNo) && profile.has(Field::ConcludedAt));
        assert_eq!(profile.columns[5].payment, Holds::Text(String::new()));
        assert_eq!(profile.reversals, Reversals::Negative);
        let profile = by("\u{feff}FLOW_NO|amount|kind\r\n").unwrap();
        assert_eq!(
            (profile.bom, profile.line_end),
            (Bom::Always, LineEnd::CrLf)
        );
        assert_eq!(profile.reversals, Reversals::Word);
        assert!(matches!(
            profile.layout,
            Layout::Delimited {
                delimiter: b'|',
                ..
            }
        ));
    }

    #[test]
    fn what_says_nothing_of_its_columns_is_refused() {
        for (first, told) in [
            ("", "does not end"),
            ("flow_no,amount", "does not end"),
            ("202611220000000000000001,\"a\",1\n", "no name of a column"),
            ("flow_no,status\n", "no column holds AMOUNT"),
            (
                "amount,amount_minor,flow_no\n",
                "a second column holds AMOUNT",
            ),
            ("flow_no,,amount\n", "no name of a column"),
        ] {
            let error = by(first).unwrap_err();
            assert!(error.contains(told), "{first:?}: {error}");
        }
        let error = profile_by_names(&b"flow_no,\xff\n"[..]).unwrap_err();
        assert!(error.contains("not UTF-8"), "{error}");
    }
}
