//! The rules that a profile as a whole keeps, so that what is written by it can be read by it, and what
//! is read by it can be checked.

use super::charset::can_say;
use super::profile::{
    Bom, Charset, Column, DigestFile, Holds, Layout, Names, Packing, Profile, Reversals,
    TimeFormat, Words,
};
use super::profile_text::{Places, Problems};
use super::row::{Field, LineStatus};
use super::template::{Slot, Template};
use crate::domain::flow::FlowKind;
use std::collections::HashSet;
use std::ops::Range;

/// Notes every rule that a profile breaks.
pub(super) fn check(profile: &Profile, places: &Places, problems: &mut Problems<'_>) {
    let mut says = |is_wrong: bool, span: &Range<usize>, reason: &str| {
        if is_wrong {
            problems.add(span.clone(), reason);
        }
    };
    says(
        profile.bom != Bom::Never && profile.charset != Charset::Utf8,
        &places.bom,
        "only UTF-8 has a byte order mark",
    );
    says(
        profile.names == Names::Line && profile.layout == Layout::Fixed,
        &places.names,
        "the layout FIXED has no line of names; write names = \"NONE\"",
    );
    says(
        (profile.packing == Packing::Zip) != profile.entry_name.is_some(),
        &places.packing,
        "the packing ZIP, and no other, needs an entry_name",
    );
    says(
        profile.reversals == Reversals::Word && !profile.has(Field::Kind),
        &places.reversals,
        "reversals = \"WORD\" needs a column KIND",
    );
    says(
        !places.is_unchecked && !tells_whether_it_is_whole(profile),
        &(0..0),
        "nothing in the file tells whether it is whole: put {rows} into the head or the trailer, or \
         digest = \"BESIDE\"; if the partner sends nothing of the kind, write unchecked = true",
    );
    check_separators(profile, places, problems);
    check_lines(profile, places, problems);
    check_names_of_files(profile, places, problems);
    check_columns(profile, places, problems);
    check_words(profile, places, problems);
}

fn tells_whether_it_is_whole(profile: &Profile) -> bool {
    let mut lines = profile.head.iter().chain(&profile.trailer);
    lines.any(|line| {
        line.slots()
            .any(|slot| slot == Slot::Rows || slot == Slot::Sha256)
    }) || profile.digest == DigestFile::Beside
}

/// Delimiter, quote and guard, where there are any, have to be three characters, none of which a number holds.
fn check_separators(profile: &Profile, places: &Places, problems: &mut Problems<'_>) {
    let guard = profile.guard.map(|guard| guard.byte);
    let Layout::Delimited { delimiter, quote } = profile.layout else {
        if guard.is_some() {
            let reason = "guard: the layout FIXED has none; take the line out";
            problems.add(places.layout.clone(), reason);
        }
        return;
    };
    if quote == Some(delimiter) || guard == Some(delimiter) || (guard.is_some() && guard == quote) {
        let reason = "delimiter, quote and guard have to be different characters";
        problems.add(places.layout.clone(), reason);
    }
    if delimiter == b' ' && profile.times == TimeFormat::Local {
        let reason = "the times LOCAL hold a space, which is the delimiter";
        problems.add(places.layout.clone(), reason);
    }
    for (what, byte) in [
        ("delimiter", Some(delimiter)),
        ("quote", quote),
        ("guard", guard),
    ] {
        if let Some(byte @ (b'.' | b'-' | b'+' | b':' | b'{' | b'}')) = byte {
            let reason = format!("{what}: {:?} stands in values too", char::from(byte));
            problems.add(places.layout.clone(), reason);
        }
    }
}

/// The lines of head and trailer.
fn check_lines(profile: &Profile, places: &Places, problems: &mut Problems<'_>) {
    let head = profile.head.iter().zip(&places.head);
    let trailer = profile.trailer.iter().zip(&places.trailer);
    for (line, span) in head.clone().chain(trailer.clone()) {
        if !line.literals().all(|text| can_say(profile.charset, text)) {
            let reason = format!("{} cannot say this line", profile.charset);
            problems.add(span.clone(), reason);
        }
        if line.parts.is_empty() {
            problems.add(span.clone(), "an empty line says nothing");
        }
    }
    let last = profile.trailer.len().saturating_sub(1);
    let after = trailer.clone().enumerate().filter(|(at, _)| *at == last);
    let after: Vec<&Template> = after.map(|(_, (line, _))| line).collect();
    for (line, span) in head.chain(trailer) {
        let has_digest = line.slots().any(|slot| slot == Slot::Sha256);
        if has_digest && !after.iter().any(|last| std::ptr::eq(*last, line)) {
            let reason = "{sha256} stands in the last line of the trailer only";
            problems.add(span.clone(), reason);
        }
    }
    if let (Some(first), Some(span)) = (profile.trailer.first(), places.trailer.first())
        && first.start().is_empty()
    {
        let reason = "the first line of the trailer has to begin with a text, by which it is told \
                      from a row";
        problems.add(span.clone(), reason);
    }
}

/// Names of files are never paths.
fn check_names_of_files(profile: &Profile, places: &Places, problems: &mut Problems<'_>) {
    let named = [
        (Some(&profile.file_name), &places.file_name),
        (profile.entry_name.as_ref(), &places.entry_name),
    ];
    for (name, span) in named {
        let Some(name) = name else { continue };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let fits = name.literals().all(|text| text.chars().all(is_plain))
            && name.slots().all(|slot| {
                use Slot::{Currency, Date, Party, Profile, Version};
                matches!(slot, Date | Party | Version | Profile | Currency)
            });
        if !fits || name.parts.is_empty() || name.start().starts_with('.') {
            let reason = "a file's name is made of letters, digits, '-', '_' and '.', with {date}, \
                          {party}, {version}, {profile} and {currency}, and does not begin with '.'";
            problems.add(span.clone(), reason);
        }
    }
}

fn check_columns(profile: &Profile, places: &Places, problems: &mut Problems<'_>) {
    let whole = places.columns.first().cloned().unwrap_or(0..0);
    let mut names = HashSet::new();
    for (column, span) in profile.columns.iter().zip(&places.columns) {
        let name = &column.name;
        if profile.names == Names::Line && !names.insert(name) {
            problems.add(span.clone(), format!("two columns are called {name:?}"));
        }
        if let Some(reason) = bad_texts(profile, column) {
            problems.add(span.clone(), format!("column {name:?}: {reason}"));
        }
    }
    for kind in FlowKind::ALL {
        for field in Field::ALL {
            let holds = Holds::Field(*field);
            let columns = profile.columns.iter().zip(&places.columns);
            let mut found = columns.filter(|(column, _)| *column.holds(*kind) == holds);
            let first = found.next();
            if let Some((_, span)) = found.next() {
                let reason = format!("a second column holds {field} of a {kind}");
                problems.add(span.clone(), reason);
            }
            let is_needed = matches!(field, Field::FlowNo | Field::Amount);
            if is_needed && first.is_none() {
                problems.add(
                    whole.clone(),
                    format!("no column holds {field} of a {kind}"),
                );
            }
        }
    }
    let kind = Holds::Field(Field::Kind);
    for (column, span) in profile.columns.iter().zip(&places.columns) {
        if column.payment != column.reversal && !profile.has(Field::Kind) {
            let reason = "without a column KIND, payments and reversals have the same fields";
            problems.add(span.clone(), reason);
        }
        let fills_up = [&column.payment, &column.reversal]
            .into_iter()
            .any(|holds| {
                let number = matches!(holds, Holds::Field(Field::Amount | Field::Fee | Field::Net));
                !number && matches!(holds, Holds::Field(_)) && column.pad == b'0'
            });
        if fills_up {
            problems.add(span.clone(), "only amounts are filled up with zeros");
        }
        if (column.payment == kind) != (column.reversal == kind) {
            let reason = "KIND has to stand in one and the same column of all lines";
            problems.add(span.clone(), reason);
        }
    }
}

/// What is wrong with the texts of a column.
fn bad_texts(profile: &Profile, column: &Column) -> Option<String> {
    let mut texts = vec![("name", column.name.as_str())];
    for holds in [&column.payment, &column.reversal] {
        if let Holds::Text(text) = holds {
            texts.push(("text", text));
        }
    }
    let wrong = |(what, text): &(&str, &str)| {
        let is_too_wide = column.width > 0 && *what == "text" && text.len() > column.width;
        let fits = is_plain(profile, text) && !is_too_wide;
        (!fits).then(|| format!("its {what} {text:?} cannot stand in the file"))
    };
    texts.iter().find_map(wrong)
}

/// Whether a text can stand in a cell as it is.
fn is_plain(profile: &Profile, text: &str) -> bool {
    let separators = match profile.layout {
        Layout::Delimited { delimiter, quote } => [Some(delimiter), quote],
        Layout::Fixed => [None, None],
    };
    let separates = |c: char| separators.iter().flatten().any(|b| char::from(*b) == c);
    can_say(profile.charset, text) && !text.chars().any(|c| c.is_control() || separates(c))
}

/// The words of kinds and states: each means one thing, and what has to be written has a word.
fn check_words(profile: &Profile, places: &Places, problems: &mut Problems<'_>) {
    fn doubles<T: Copy + PartialEq>(words: &Words<T>) -> Option<String> {
        let mut seen = HashSet::new();
        let mut all = words.all().iter().map(|(word, _)| word);
        all.find(|word| !seen.insert(*word)).cloned()
    }
    let start = |spans: &[Range<usize>]| spans.first().cloned().unwrap_or(0..0);
    let (kinds, states) = (start(&places.kinds), start(&places.states));
    for (double, span) in [
        (doubles(&profile.kinds), &kinds),
        (doubles(&profile.states), &states),
    ] {
        if let Some(word) = double {
            problems.add(span.clone(), format!("the word {word:?} stands twice"));
        }
    }
    let words = profile.kinds.all().iter().map(|(word, _)| word);
    let words = words.chain(profile.states.all().iter().map(|(word, _)| word));
    for (word, span) in words.zip(places.kinds.iter().chain(&places.states)) {
        if !is_plain(profile, word) || word.trim() != word {
            problems.add(
                span.clone(),
                format!("the word {word:?} cannot stand in a cell"),
            );
        }
    }
    let kind = FlowKind::ALL
        .iter()
        .find(|k| profile.kinds.word(**k).is_none());
    if let (true, Some(kind)) = (profile.has(Field::Kind), kind) {
        problems.add(
            kinds,
            format!("the column KIND needs a word for {kind} in [kinds]"),
        );
    }
    let has_word = profile.states.word(LineStatus::Succeeded).is_some();
    if profile.has(Field::Status) && !has_word {
        let reason = "the column STATUS needs a word for SUCCEEDED in [states]";
        problems.add(states, reason);
    }
}
