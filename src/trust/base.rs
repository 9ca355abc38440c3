//! The signature base (RFC 9421, 2.5): the text that is signed; and the two headers that a signature
//! travels in (4.1, 4.2).

use super::component::write_value;
use super::fault::SignatureFault;
use super::message::{Header, Message, combined};
use sfv::{BareItem, Dictionary, InnerList, ItemSerializer, ListEntry, ListSerializer, Parser};

pub(super) const SIGNATURE: &str = "Signature";
pub(super) const SIGNATURE_INPUT: &str = "Signature-Input";

/// The most signatures that a message may carry: proxies may add theirs.
const SIGNATURES_MAX: usize = 8;
/// The most components that one of them may cover.
const COMPONENTS_MAX: usize = 64;

/// One signature of a message as it came, and what it claims to cover.
pub(super) struct Labelled {
    pub(super) label: String,
    pub(super) input: InnerList,
    pub(super) signature: Vec<u8>,
}

/// The signatures of a message, in the order of `Signature-Input`; at least one.
pub(super) fn signatures(headers: &[Header<'_>]) -> Result<Vec<Labelled>, SignatureFault> {
    let inputs = dictionary(headers, SIGNATURE_INPUT)?;
    let mut signatures = dictionary(headers, SIGNATURE)?;
    let unreadable = |header, what: String| SignatureFault::Unreadable { header, what };
    if inputs.len() > SIGNATURES_MAX {
        let what = format!("it describes more than {SIGNATURES_MAX} signatures");
        return Err(unreadable(SIGNATURE_INPUT, what));
    }
    let mut labelled = Vec::with_capacity(inputs.len());
    for (label, input) in inputs {
        let ListEntry::InnerList(input) = input else {
            let what = format!("{} is no list in parentheses", label.as_str());
            return Err(unreadable(SIGNATURE_INPUT, what));
        };
        if input.items.len() > COMPONENTS_MAX {
            let what = format!("it covers more than {COMPONENTS_MAX} components");
            return Err(unreadable(SIGNATURE_INPUT, what));
        }
        let signature = match signatures.swap_remove(&label) {
            Some(ListEntry::Item(item)) => match item.bare_item {
                BareItem::ByteSequence(bytes) => Some(bytes),
                _ => None,
            },
            Some(ListEntry::InnerList(_)) => None,
            None => {
                let label = label.as_str().to_owned();
                return Err(SignatureFault::Unpaired { label });
            }
        };
        let label = label.as_str().to_owned();
        let signature = signature.ok_or_else(|| {
            let what = format!("{label} is no byte sequence (:Base64:)");
            unreadable(SIGNATURE, what)
        })?;
        labelled.push(Labelled {
            label,
            input,
            signature,
        });
    }
    if labelled.is_empty() {
        let header = SIGNATURE_INPUT;
        return Err(SignatureFault::Missing { header });
    }
    Ok(labelled)
}

fn dictionary(headers: &[Header<'_>], header: &'static str) -> Result<Dictionary, SignatureFault> {
    let value = combined(headers, header).ok_or(SignatureFault::Missing { header })?;
    Parser::new(&value).parse().map_err(|error| {
        let what = error.to_string();
        SignatureFault::Unreadable { header, what }
    })
}

/// The text that is signed.
pub(super) fn signature_base(
    message: Message<'_>,
    input: &InnerList,
) -> Result<String, SignatureFault> {
    // Room for a usual request: growing it would copy it several times.
    let mut base = String::with_capacity(1024);
    for (place, component) in input.items.iter().enumerate() {
        let begin = base.len();
        let item = ItemSerializer::with_buffer(&mut base).bare_item(&component.bare_item);
        let _ = item.parameters(&component.params).finish();
        // Parameters in another order are the same component.
        if input.items[..place].contains(component) {
            let component = base.split_off(begin);
            return Err(SignatureFault::ComponentTwice { component });
        }
        base.push_str(": ");
        write_value(&mut base, message, component)?;
        base.push('\n');
    }
    base.push_str("\"@signature-params\": ");
    write_list(&mut base, input);
    Ok(base)
}

/// Writes a list as it stands in `Signature-Input` behind its label.
pub(super) fn write_list(text: &mut String, input: &InnerList) {
    let mut list = ListSerializer::with_buffer(text);
    let mut inner = list.inner_list();
    inner.items(&input.items);
    let _ = inner.finish().parameters(&input.params).finish();
}
