//! What is found wrong while the settings are read, in words for people: no names of our types, and
//! no value that may be a secret.
//!
//! How one could break it: by repeating what stands where a section or a caller should. With a
//! bracket missing, a whole list of tokens is one text.

use super::show::is_secret;
use figment::error::{Actual, Kind};
use figment::value::Value;

/// What is wrong, said about a path. `value` is what stands there, where that is known.
pub(super) fn told(kind: &Kind, path: &str, value: Option<&Value>) -> String {
    let text = value.and_then(Value::as_str).filter(|_| may_repeat(path));
    let text = text.map_or("what stands here".to_owned(), |text| format!("{text:?}"));
    match kind {
        Kind::UnknownField(..) if path == "api.https" => {
            "is no setting any more: api.public_url says it. Write api.public_url = \"https://HOST\" where \
             browsers come by https, and nothing where they come by http to one machine"
                .to_owned()
        }
        Kind::UnknownField(_, known) => format!("unknown key; known here: {}", known.join(", ")),
        Kind::MissingField(_) => "is missing".to_owned(),
        Kind::DuplicateField(_) => "stands twice".to_owned(),
        _ if path == "server.listen" => {
            format!("{text} is not an address IP:PORT, such as 127.0.0.1:8400")
        }
        _ if path == "center.zone" => {
            format!("{text} is not a time zone, such as Asia/Shanghai")
        }
        _ if path.starts_with("callers.") && path.ends_with(".merchant") => {
            "is not a merchant's code: 1 to 64 letters, digits, '-', '_' or '.'".to_owned()
        }
        Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
            let hint = match found {
                Actual::Str(_) if matches!(plain(wanted).as_str(), A_TABLE | A_LIST) => {
                    "; is a bracket or a quotation mark missing?"
                }
                _ => "",
            };
            let found = actual(found, may_repeat(path));
            format!("is {found}, and has to be {}{hint}", plain(wanted))
        }
        Kind::UnknownVariant(found, known) => {
            let known = known.join(", ");
            if may_repeat(path) {
                format!("is {found:?}, and has to be one of {known}")
            } else {
                format!("has to be one of {known}")
            }
        }
        Kind::InvalidLength(found, wanted) => {
            format!("has {found} members, and has to be {}", plain(wanted))
        }
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => {
            "is a number that is too large".to_owned()
        }
        Kind::Unsupported(_) | Kind::UnsupportedKey(..) => {
            "is of a kind that settings do not have".to_owned()
        }
        Kind::Message(words) if may_repeat(path) => words
            .replace("is not a AdapterName", "is not an adapter's name")
            .replace('`', "\""),
        Kind::Message(_) => "is not what it should be".to_owned(),
    }
}

/// What toml says against a text, on one line. It names keys and signs, never values.
pub(super) fn not_toml(error: &toml::de::Error) -> String {
    let lines: Vec<&str> = error.message().lines().collect();
    lines.join(", ").replace('`', "\"")
}

/// Whether a value at this path may be repeated: it is no secret, none of a caller's keys, and no
/// section, in whose place a text may hold all its keys.
fn may_repeat(path: &str) -> bool {
    let is_section = !path.contains('.');
    !is_section && !is_secret(path) && !path.starts_with("callers.")
}

const A_TABLE: &str = "a table";
const A_LIST: &str = "a list";

fn plain(wanted: &str) -> String {
    let words = match wanted {
        "u8" => "a whole number, 0 to 255",
        "u16" => "a whole number, 0 to 65535",
        "u32" => "a whole number, 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "string" | "path string" => "a text",
        "a map" => A_TABLE,
        "a sequence" => A_LIST,
        wanted if wanted.starts_with("struct ") => A_TABLE,
        wanted if wanted.contains("enum ") => "a word",
        wanted => return wanted.replace('`', "\""),
    };
    words.to_owned()
}

fn actual(found: &Actual, may_repeat: bool) -> String {
    match found {
        Actual::Bool(value) if may_repeat => value.to_string(),
        Actual::Unsigned(value) if may_repeat => value.to_string(),
        Actual::Signed(value) if may_repeat => value.to_string(),
        Actual::Float(value) if may_repeat => value.to_string(),
        Actual::Str(value) if may_repeat => format!("{value:?}"),
        Actual::Char(value) if may_repeat => format!("{value:?}"),
        Actual::Bool(_) => "true or false".to_owned(),
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "a number".to_owned(),
        Actual::Str(_) | Actual::Char(_) | Actual::Bytes(_) => "a text".to_owned(),
        Actual::Seq => A_LIST.to_owned(),
        Actual::Map => A_TABLE.to_owned(),
        _ => "something else".to_owned(),
    }
}
