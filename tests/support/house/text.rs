//! Rust source with everything taken out that is not code.

/// The code of a file: comments and the insides of strings are blanks, lines stay where they were.
pub fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest);
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
            code.extend(rest[..length].chars().map(blank));
            rest = &rest[length..];
        }
    }
    code
}

/// How many bytes at the beginning are a comment, a string or a character; 0 if none.
fn skipped(rest: &str) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end + 2);
    }
    if let Some(hashes) = raw_string(rest) {
        let open = rest.find('"').unwrap_or(0) + 1;
        let close = format!("\"{}", "#".repeat(hashes));
        return rest[open..]
            .find(&close)
            .map_or(rest.len(), |end| open + end + close.len());
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    // A character in quotes, told from a lifetime by its closing quote.
    let mut after = rest.chars().skip(1);
    match (rest.starts_with('\''), after.next(), after.next()) {
        (true, Some('\\'), _) => quoted(rest, '\''),
        (true, Some(inside), Some('\'')) => 2 + inside.len_utf8(),
        _ => 0,
    }
}

/// `r"`, `r#"`: the number of hashes.
fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (place, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return place + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The words that stand before `::`, each with what comes after it up to the end of the path:
/// `("crate", "domain::order::Order")`, `("diesel", "prelude::*")`.
pub fn paths(code: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (place, _) in code.match_indices("::") {
        let before = &code[..place];
        let head = before.len() - before.trim_end_matches(is_word).len();
        let word = &before[before.len() - head..];
        let is_inner = before[..before.len() - head].ends_with("::");
        if word.is_empty() || is_inner {
            continue;
        }
        let after = &code[place + 2..];
        let tail = match after.strip_prefix('{') {
            Some(group) => format!("{{{}", &group[..closing(group)]),
            None => after
                .chars()
                .take_while(|c| is_word(*c) || *c == ':' || *c == '*')
                .collect(),
        };
        found.push((word.to_owned(), tail));
    }
    found
}

/// The first words of what a path may go on with: one, or one for each member of a group.
pub fn next_words(tail: &str) -> Vec<String> {
    let Some(group) = tail.strip_prefix('{') else {
        return vec![first_word(tail)];
    };
    let (mut depth, mut words, mut member) = (0_i32, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => words.push(first_word(&std::mem::take(&mut member))),
            _ => {}
        }
        if c != ',' || depth > 0 {
            member.push(c);
        }
    }
    words.push(first_word(&member));
    words.retain(|word| !word.is_empty());
    words
}

fn first_word(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| is_word(*c))
        .collect()
}

fn closing(group: &str) -> usize {
    let mut depth = 1;
    for (place, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return place;
        }
    }
    group.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
