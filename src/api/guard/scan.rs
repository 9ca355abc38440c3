//! A look at the text before the parser. The parser calls itself once per open bracket, so 60 KB of
//! `[` would run it out of stack, which no error handling survives. This look is one loop.

use super::Refused;

/// Refuses a text whose brackets are nested too deep. Strings and comments do not count.
pub(super) fn check_nesting(text: &str, limit: usize) -> Result<(), Refused> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' | b'(' => {
                depth += 1;
                if depth > limit {
                    return Err(Refused::TooDeep {
                        what: "brackets",
                        limit,
                    });
                }
            }
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            b'#' => at += line_end(&bytes[at..]),
            b'"' => at += string_end(&bytes[at..]),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// How far the last byte of a comment is from its `#`.
fn line_end(rest: &[u8]) -> usize {
    let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    end.unwrap_or(rest.len())
}

/// How far the closing quote of a string is from its first one. A string that does not end runs to
/// the end of its line, or of the text if it is a block: the parser refuses it anyway.
fn string_end(rest: &[u8]) -> usize {
    if !rest.starts_with(b"\"\"\"") {
        return quoted_end(rest);
    }
    let mut at = 3;
    while at < rest.len() {
        if rest[at..].starts_with(b"\\\"\"\"") {
            at += 4;
        } else if rest[at..].starts_with(b"\"\"\"") {
            return at + 2;
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted_end(rest: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'"' => return at,
            b'\n' | b'\r' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deep(text: &str) -> bool {
        check_nesting(text, 3).is_err()
    }

    #[test]
    fn brackets_of_all_kinds_count_together() {
        assert!(!deep("{a(b:[1])}"));
        assert!(deep("{a(b:[[1]])}"));
        assert!(deep("{{{{"));
        assert!(!deep("{a}{a}{a}{a}{a}"));
    }

    #[test]
    fn strings_and_comments_do_not_count_and_cannot_hide_brackets() {
        assert!(!deep(r#"{a(b:"[[[[[[")}"#));
        assert!(!deep("# {{{{{{\n{a}"));
        assert!(!deep(r#"{a(b:"""[[[[ \""" [[[""")}"#));
        assert!(deep(r#"{a(b:"\"")[[["#));
        assert!(deep("{a(b:\"\")[[["));
        assert!(deep("{a(b:\"\"\"\"\"\")[[["));
        assert!(deep("\"unended\n{{{{"));
        assert!(deep("# comment\r{{{{"));
        assert!(!deep("\"\\"));
    }
}
