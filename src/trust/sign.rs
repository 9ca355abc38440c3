//! Signing: requests of ours to others, and responses to those who signed theirs.

use super::base::{SIGNATURE, SIGNATURE_INPUT, signature_base, write_list};
use super::claim::{Claim, is_name};
use super::content_digest::{self, CONTENT_DIGEST};
use super::fault::SignatureFault;
use super::message::{Header, Message, Request, Response};
use super::private_key::PrivateKey;
use crate::domain::time::Instant;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sfv::{BareItem, InnerList, Integer, Item, StringRef, key_ref, string_ref};

/// The label that our signatures travel under.
const LABEL: &str = "payhall";

/// The headers to add to a message, names and values.
pub type SignedHeaders = Vec<(&'static str, String)>;

/// Who signs, and when.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// The private key.
    pub key: &'a PrivateKey,
    /// The name by which the other side knows its public half; 1 to 128 visible characters.
    pub key_id: &'a str,
    /// What makes this message differ from every other one of the key; 1 to 128 visible characters.
    pub nonce: &'a str,
    /// Now.
    pub created: Instant,
}

/// Signs a request by the same demands that `Claim` has: method, authority, path, query, type and body.
/// The message must not have the headers yet that are returned.
///
/// # Errors
/// `SignatureFault` for a key id or nonce that is no name, or a message that cannot be signed.
pub fn sign_request(
    request: &Request<'_>,
    signer: &Signer<'_>,
) -> Result<SignedHeaders, SignatureFault> {
    let digest = content_digest::of(request.body);
    let headers = with_digest(request.headers, &digest);
    let request = Request {
        headers: &headers,
        ..*request
    };
    let mut covered = ["@method", "@authority", "@path", "@query"]
        .map(component)
        .to_vec();
    covered.extend(content_components(&headers));
    let signed = sign(Message::Request(&request), covered, signer)?;
    Ok(with(digest, signed))
}

/// Signs a response: status, type and body, and, where it answers a signed request, that request's
/// signature: it is an answer to nothing else.
///
/// # Errors
/// As `sign_request`.
pub fn sign_response(
    response: &Response<'_>,
    answered: Option<&Claim>,
    signer: &Signer<'_>,
) -> Result<SignedHeaders, SignatureFault> {
    let digest = content_digest::of(response.body);
    let headers = with_digest(response.headers, &digest);
    let response = Response {
        headers: &headers,
        ..*response
    };
    let mut covered = vec![component("@status")];
    covered.extend(content_components(&headers));
    if let Some(claim) = answered {
        let mut signature = component("signature");
        let label = StringRef::from_str(claim.label());
        let label = label.map_err(|_| not_signed("the label is no string"))?;
        let parameters = [
            ("req", BareItem::Boolean(true)),
            ("key", BareItem::from(label)),
        ];
        for (name, value) in parameters {
            signature.params.insert(key_ref(name).to_owned(), value);
        }
        covered.push(signature);
    }
    let signed = sign(Message::Response(&response), covered, signer)?;
    Ok(with(digest, signed))
}

fn with_digest<'a>(headers: &[Header<'a>], digest: &'a str) -> Vec<Header<'a>> {
    let digest = (CONTENT_DIGEST, digest.as_bytes());
    headers.iter().copied().chain([digest]).collect()
}

fn with(digest: String, signed: [(&'static str, String); 2]) -> SignedHeaders {
    let digest = (CONTENT_DIGEST, digest);
    std::iter::once(digest).chain(signed).collect()
}

/// The body's digest, and its type where there is one.
fn content_components(headers: &[Header<'_>]) -> Vec<Item> {
    let mut names = headers.iter().map(|(name, _)| name);
    let has_type = names.any(|name| name.eq_ignore_ascii_case("content-type"));
    let names = has_type.then_some("content-type").into_iter();
    names.chain(["content-digest"]).map(component).collect()
}

fn component(name: &'static str) -> Item {
    Item::new(string_ref(name))
}

fn sign(
    message: Message<'_>,
    covered: Vec<Item>,
    signer: &Signer<'_>,
) -> Result<[(&'static str, String); 2], SignatureFault> {
    let created = Integer::try_from(signer.created.timestamp());
    let created = created.map_err(|_| not_signed("the clock is out of bounds"))?;
    let parameters = [
        ("created", BareItem::Integer(created)),
        ("nonce", string("nonce", signer.nonce)?),
        ("keyid", string("keyid", signer.key_id)?),
        ("alg", string("alg", signer.key.algorithm().as_str())?),
    ];
    let mut input = InnerList::new(covered);
    for (name, value) in parameters {
        input.params.insert(key_ref(name).to_owned(), value);
    }
    let base = signature_base(message, &input)?;
    let signature = STANDARD.encode(signer.key.sign(base.as_bytes())?);
    let mut described = format!("{LABEL}=");
    write_list(&mut described, &input);
    Ok([
        (SIGNATURE_INPUT, described),
        (SIGNATURE, format!("{LABEL}=:{signature}:")),
    ])
}

fn string(name: &'static str, text: &str) -> Result<BareItem, SignatureFault> {
    let what = "it has to be a string of 1 to 128 visible characters";
    match StringRef::from_str(text) {
        Ok(string) if is_name(text) => Ok(string.into()),
        _ => Err(SignatureFault::ParameterWrong { name, what }),
    }
}

fn not_signed(what: &'static str) -> SignatureFault {
    SignatureFault::NotSigned { what }
}
