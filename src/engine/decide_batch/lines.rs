//! Reads the lines of a file of decisions.

use crate::domain::case::Decision;
use crate::domain::ids::CaseNo;
use crate::domain::refusal::{Refusal, RefusalCode};

/// How many lines a file may have.
const LINES_MAX: usize = 1_000;
/// The first line.
const HEADER: [&str; 3] = ["case_no", "decision", "evidence"];

/// A line that can be read.
pub(super) struct Wanted {
    pub line: u64,
    pub case_no: CaseNo,
    pub decision: Decision,
    pub evidence: String,
}

/// Why a line cannot be read: the case and the decision as they are written, and the reason.
pub(super) type Unreadable = (String, String, String);

/// A line with its number, as far as it can be read.
pub(super) type ReadLine = (u64, Result<Wanted, Unreadable>);

/// The lines of a file.
pub(super) fn read_lines(content: &str) -> Result<Vec<ReadLine>, Refusal> {
    let bad = |message: String| Refusal::new(RefusalCode::BatchInvalid, message).on("csv");
    let text = content.strip_prefix('\u{feff}').unwrap_or(content);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let header = reader
        .headers()
        .map_err(|error| bad(format!("this is no CSV: {error}")))?;
    if header.iter().ne(HEADER) {
        return Err(bad(format!(
            "the first line has to be {}",
            HEADER.join(",")
        )));
    }
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| bad(format!("this is no CSV: {error}")))?;
        let line = record.position().map_or(0, csv::Position::line);
        lines.push((line, read_line(line, &record)));
        if lines.len() > LINES_MAX {
            return Err(bad(format!("a file may have {LINES_MAX} cases")));
        }
    }
    if lines.is_empty() {
        return Err(bad("there is no case in it".to_owned()));
    }
    Ok(lines)
}

fn read_line(line: u64, record: &csv::StringRecord) -> Result<Wanted, Unreadable> {
    let cell = |place: usize| record.get(place).unwrap_or_default().to_owned();
    let (number, word) = (cell(0), cell(1));
    let wrong = |problem: String| Err((number.clone(), word.clone(), problem));
    if record.len() != HEADER.len() {
        return wrong(format!(
            "it has {} cells, and needs {}",
            record.len(),
            HEADER.len()
        ));
    }
    let Ok(case_no) = CaseNo::try_new(number.clone()) else {
        return wrong("case_no has to be 24 digits".to_owned());
    };
    let Ok(decision) = word.parse::<Decision>() else {
        let words: Vec<&str> = Decision::ALL.iter().map(|one| one.as_str()).collect();
        return wrong(format!("decision has to be one of {}", words.join(", ")));
    };
    Ok(Wanted {
        line,
        case_no,
        decision,
        evidence: cell(2),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named_by_its_line() {
        let number = "1".repeat(24);
        let text = format!(
            "case_no,decision,evidence\n{number},KEEP,\"a, letter\"\n12,KEEP,x\n{number},MAYBE,x\n\
             {number},KEEP\n"
        );
        let lines = read_lines(&text).unwrap();
        let told: Vec<(u64, Option<&str>)> = lines
            .iter()
            .map(|(line, read)| (*line, read.as_ref().err().map(|(.., why)| why.as_str())))
            .collect();
        assert_eq!(told[0], (2, None));
        assert_eq!(told[1], (3, Some("case_no has to be 24 digits")));
        assert!(
            told[2]
                .1
                .unwrap()
                .starts_with("decision has to be one of SUCCEEDED")
        );
        assert_eq!(told[3], (5, Some("it has 2 cells, and needs 3")));
    }

    #[test]
    fn what_is_no_such_file_is_refused_whole() {
        for text in [
            "",
            "case_no,decision\n",
            "case_no,decision,evidence\n",
            "a,b,c\n1,2,3\n",
        ] {
            let refused = read_lines(text).err().unwrap();
            assert_eq!(refused.code, RefusalCode::BatchInvalid, "{text:?}");
        }
    }
}
