//! The components of a message that a signature can cover, and their values (RFC 9421, 2.1 and 2.2).

use super::fault::SignatureFault;
use super::message::{Message, Request, combined, lines};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sfv::{BareItem, Dictionary, FieldType, Item, List, ListEntry, Parser};
use std::borrow::Cow;
use std::fmt::Write;

/// Fields that are dictionaries by their own specifications; `sf` needs to know.
const DICTIONARIES: &[&str] = &[
    "content-digest",
    "priority",
    "repr-digest",
    "signature",
    "signature-input",
    "want-content-digest",
    "want-repr-digest",
];

/// The parameters of a component.
#[derive(Default)]
struct Manner<'a> {
    /// The field is written again by the rules of structured fields.
    sf: bool,
    /// The lines of the field are wrapped as byte sequences.
    bs: bool,
    /// The component is the one of the request that is answered.
    req: bool,
    /// One member of a dictionary.
    key: Option<&'a str>,
    /// One parameter of a query.
    name: Option<&'a str>,
}

/// Writes the value of a component, as it stands in the signature base.
pub(super) fn write_value(
    base: &mut String,
    message: Message<'_>,
    component: &Item,
) -> Result<(), SignatureFault> {
    let name = component
        .bare_item
        .as_string()
        .ok_or_else(|| unsupported(component, "its name is no string"))?
        .as_str();
    let manner = manner(component)?;
    let source = match (manner.req, message) {
        (false, _) => message,
        (true, Message::Response(response)) => match response.request {
            Some(request) => Message::Request(request),
            None => return Err(missing(component, "no request is answered")),
        },
        (true, Message::Request(_)) => {
            return Err(unsupported(component, "req is for responses"));
        }
    };
    let value = if name.starts_with('@') {
        derived(source, name, &manner, component)?
    } else {
        field(source, name, &manner, component)?
    };
    // A line break would let one component pass for two.
    let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    match std::str::from_utf8(&value) {
        Ok(text) if value.iter().all(is_text) => base.push_str(text),
        _ => return Err(missing(component, "it holds what is no visible ASCII")),
    }
    Ok(())
}

fn manner(component: &Item) -> Result<Manner<'_>, SignatureFault> {
    let mut manner = Manner::default();
    for (name, value) in &component.params {
        match (name.as_str(), value) {
            ("sf", BareItem::Boolean(true)) => manner.sf = true,
            ("bs", BareItem::Boolean(true)) => manner.bs = true,
            ("req", BareItem::Boolean(true)) => manner.req = true,
            ("key", BareItem::String(key)) => manner.key = Some(key.as_str()),
            ("name", BareItem::String(name)) => manner.name = Some(name.as_str()),
            ("sf" | "bs" | "req" | "key" | "name", _) => {
                return Err(unsupported(component, &format!("{name} has a wrong value")));
            }
            _ => {
                let what = format!("the parameter {name} is not known here");
                return Err(unsupported(component, &what));
            }
        }
    }
    Ok(manner)
}

/// Derived components: what is no header field.
fn derived<'a>(
    source: Message<'a>,
    name: &str,
    manner: &Manner<'_>,
    component: &Item,
) -> Result<Cow<'a, [u8]>, SignatureFault> {
    let wants_name = name == "@query-param";
    if manner.sf || manner.bs || manner.key.is_some() || manner.name.is_some() != wants_name {
        return Err(unsupported(component, "its parameters do not belong to it"));
    }
    let request = match (name, source) {
        ("@status", Message::Response(response)) => return Ok(owned(response.status.to_string())),
        ("@status", Message::Request(_)) => {
            return Err(missing(component, "requests have no status"));
        }
        (_, Message::Request(request)) => request,
        (_, Message::Response(_)) => {
            return Err(missing(
                component,
                "responses have none, but their requests do (req)",
            ));
        }
    };
    Ok(match (name, manner.name) {
        ("@method", _) => Cow::Borrowed(request.method.as_bytes()),
        ("@authority", _) => owned(request.normal_authority()),
        ("@scheme", _) => owned(request.normal_scheme()),
        ("@path", _) => Cow::Borrowed(request.normal_path().as_bytes()),
        ("@query", _) => owned(format!("?{}", request.query.unwrap_or_default())),
        ("@request-target", _) => owned(target(request)),
        ("@target-uri", _) => owned(format!(
            "{}://{}{}",
            request.normal_scheme(),
            request.normal_authority(),
            target(request)
        )),
        ("@query-param", Some(name)) => owned(query_parameter(request, name, component)?),
        _ => return Err(unsupported(component, "no such component is known here")),
    })
}

/// Path and query, as they stand in the first line of a request.
fn target(request: &Request<'_>) -> String {
    let mut target = request.normal_path().to_owned();
    if let Some(query) = request.query {
        target.push('?');
        target.push_str(query);
    }
    target
}

/// The only parameter of a name, decoded as a form is and encoded again (RFC 9421, 2.2.8).
fn query_parameter(
    request: &Request<'_>,
    name: &str,
    component: &Item,
) -> Result<String, SignatureFault> {
    let pairs = request.query.unwrap_or_default().split('&');
    let pairs = pairs.filter(|pair| !pair.is_empty());
    let mut found = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(found, _)| encode(&decode(found)) == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Ok(encode(&decode(value))),
        (None, _) => Err(missing(component, "the query has no such parameter")),
        (Some(_), Some(_)) => Err(missing(component, "the query has it more than once")),
    }
}

fn decode(text: &str) -> Vec<u8> {
    let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let (bytes, mut place) = (text.as_bytes(), 0);
    let mut decoded = Vec::with_capacity(bytes.len());
    while let Some(byte) = bytes.get(place) {
        let pair = bytes
            .get(place + 1..place + 3)
            .filter(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        match (byte, pair.and_then(hex)) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                place += 2;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(*byte),
        }
        place += 1;
    }
    decoded
}

/// The form's percent-encode set of the WHATWG's URL standard, with `%20` for a space.
fn encode(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for byte in String::from_utf8_lossy(bytes).bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                encoded.push(char::from(byte));
            }
            // Writing to a string cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// Header fields.
fn field<'a>(
    source: Message<'a>,
    name: &'a str,
    manner: &Manner<'_>,
    component: &Item,
) -> Result<Cow<'a, [u8]>, SignatureFault> {
    if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(unsupported(component, "names are in lower case"));
    }
    let is_structured = manner.sf || manner.key.is_some();
    if manner.name.is_some() || manner.bs && is_structured {
        return Err(unsupported(component, "its parameters do not go together"));
    }
    let value = combined(source.headers(), name)
        .ok_or_else(|| missing(component, "there is no such header"))?;
    let not_structured = || missing(component, "it is no structured field of that kind");
    if manner.bs {
        let wrap = |line| match unfolded(line) {
            Some(line) => Ok(format!(":{}:", STANDARD.encode(line))),
            None => Err(broken(component)),
        };
        let lines = lines(source.headers(), name).map(wrap);
        return Ok(owned(lines.collect::<Result<Vec<_>, _>>()?.join(", ")));
    }
    if let Some(key) = manner.key {
        let dictionary: Dictionary = Parser::new(&value).parse().map_err(|_| not_structured())?;
        let member = dictionary
            .get(key)
            .ok_or_else(|| missing(component, "it has no such member"))?;
        let alone: List = vec![ListEntry::clone(member)];
        return Ok(owned(alone.serialize().unwrap_or_default()));
    }
    if manner.sf {
        if !DICTIONARIES.contains(&name) {
            return Err(unsupported(component, "its structure is not known here"));
        }
        let dictionary: Dictionary = Parser::new(&value).parse().map_err(|_| not_structured())?;
        return Ok(owned(dictionary.serialize().unwrap_or_default()));
    }
    if !value.contains(&b'\n') {
        return Ok(value);
    }
    let unfolded: Option<Vec<_>> = lines(source.headers(), name).map(unfolded).collect();
    Ok(Cow::Owned(
        unfolded.ok_or_else(|| broken(component))?.join(&b", "[..]),
    ))
}

/// A line of a field with its obsolete foldings (RFC 9112, 5.2) replaced by one space each; `None` if
/// a line break is no folding.
fn unfolded(line: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !line.contains(&b'\n') {
        return Some(Cow::Borrowed(line));
    }
    let mut parts = line.split(|byte| *byte == b'\n');
    let mut joined = parts.next()?.trim_ascii_end().to_vec();
    for part in parts {
        if !part.starts_with(b" ") && !part.starts_with(b"\t") {
            return None;
        }
        joined.push(b' ');
        joined.extend_from_slice(part.trim_ascii());
    }
    Some(Cow::Owned(joined))
}

fn owned(text: String) -> Cow<'static, [u8]> {
    Cow::Owned(text.into_bytes())
}

fn broken(component: &Item) -> SignatureFault {
    missing(component, "it holds a line break")
}

fn missing(component: &Item, what: &'static str) -> SignatureFault {
    let component = component.serialize();
    SignatureFault::ComponentMissing { component, what }
}

fn unsupported(component: &Item, what: &str) -> SignatureFault {
    let (component, what) = (component.serialize(), what.to_owned());
    SignatureFault::ComponentUnsupported { component, what }
}
