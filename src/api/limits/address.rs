//! Where a request comes from.
//!
//! The other end of the connection is known; what stands in a header is only a claim. It counts where
//! the other end is a proxy of ours (`api.trusted_proxies`), and from right to left, because each proxy
//! appends whom it saw: the first hop that is no proxy of ours is the caller, and what stands left of
//! it was written by the caller.
//!
//! `X-Forwarded-For` and `Forwarded` (RFC 7239) say the same. A proxy writes one of them and lets a
//! caller's own pass in the other, so where both stand and differ, neither is believed, and the request
//! counts as the proxy's.

use ipnet::IpNet;
use poem::http::header::{self, HeaderMap, HeaderName};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// An address as it is counted. Of IPv6 the first 64 bits: the rest is the caller's to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::api) struct CallerAddress(IpAddr);

impl CallerAddress {
    /// Where the other end is not known, which only a test can bring about.
    pub const NOWHERE: Self = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    /// The address as it is counted.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
        })
    }

    /// Who calls over a connection with `peer` at its other end.
    pub fn of_caller(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        if !is_trusted(peer, trusted) {
            return Self::of(peer);
        }
        let listed = told(headers, &X_FORWARDED_FOR)
            .map(|text| walk(peer, text.split(',').map(node), trusted));
        let forwarded = told(headers, &header::FORWARDED)
            .map(|text| walk(peer, split(&text, ',').map(forwarded_for), trusted));
        Self::of(match (listed, forwarded) {
            (Some(one), Some(other)) if one != other => peer,
            (Some(address), _) | (None, Some(address)) => address,
            (None, None) => peer,
        })
    }
}

/// Whether an address is a proxy of ours.
pub(in crate::api) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// A header that may stand several times, as one list.
fn told(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|line| String::from_utf8_lossy(line.as_bytes()))
        .collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// From the nearest hop to the farthest that proxies of ours vouch for.
fn walk(
    peer: IpAddr,
    hops: impl DoubleEndedIterator<Item = Option<IpAddr>>,
    trusted: &[IpNet],
) -> IpAddr {
    let mut at = peer;
    for hop in hops.rev() {
        match hop {
            Some(hop) if is_trusted(at, trusted) => at = hop,
            _ => break,
        }
    }
    at
}

/// The members of a list; a mark between quotation marks parts nothing.
fn split(text: &str, mark: char) -> impl DoubleEndedIterator<Item = &str> {
    let mut parts = Vec::new();
    let (mut begin, mut is_quoted) = (0, false);
    for (place, found) in text.char_indices() {
        if found == '"' {
            is_quoted = !is_quoted;
        } else if found == mark && !is_quoted {
            parts.extend(text.get(begin..place));
            begin = place + mark.len_utf8();
        }
    }
    parts.extend(text.get(begin..));
    parts.into_iter()
}

/// The address of `for=` in one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = split(element, ';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    node(value)
}

/// An address with or without its port, as proxies write it. What is hidden or unknown is none.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let host = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => text,
        },
    };
    host.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(peer: &str, headers: &[(&str, &str)]) -> String {
        let trusted = ["10.0.0.0/8", "2001:db8:ffff::/48"].map(|text| text.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        let peer = peer.parse().unwrap();
        CallerAddress::of_caller(peer, &map, &trusted).0.to_string()
    }

    #[test]
    fn a_header_counts_from_our_own_proxies_only() {
        let list = "x-forwarded-for";
        for (peer, value, expected) in [
            ("192.0.2.9", "198.51.100.1", "192.0.2.9"),
            ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("2001:db8:ffff::1", "198.51.100.1", "198.51.100.1"),
            // What the caller wrote stands left of what the proxy saw.
            ("10.0.0.1", "203.0.113.7, 198.51.100.1", "198.51.100.1"),
            (
                "10.0.0.1",
                "203.0.113.7, 198.51.100.1, 10.2.3.4",
                "198.51.100.1",
            ),
            ("10.0.0.1", "10.9.9.9, 10.2.3.4", "10.9.9.9"),
            ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
            ("10.0.0.1", "[2001:db8::17]:4711", "2001:db8::"),
            ("10.0.0.1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            // What cannot be read ends the walk at whoever passed it on.
            ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
            ("10.0.0.1", "198.51.100.1, , 10.2.3.4", "10.2.3.4"),
            ("10.0.0.1", "", "10.0.0.1"),
        ] {
            assert_eq!(counted(peer, &[(list, value)]), expected, "{peer} {value}");
        }
        let lines = [(list, "203.0.113.7"), (list, "198.51.100.1")];
        assert_eq!(counted("10.0.0.1", &lines), "198.51.100.1");
        assert_eq!(counted("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn the_standard_s_header_counts_in_the_same_way() {
        for (value, expected) in [
            ("for=198.51.100.1", "198.51.100.1"),
            (
                "For=\"[2001:db8:cafe::17]:4711\";proto=https",
                "2001:db8:cafe::",
            ),
            (
                "for=203.0.113.7, for=198.51.100.1;by=10.0.0.1",
                "198.51.100.1",
            ),
            ("for=203.0.113.7;host=\"a,b;for=1.1.1.1\"", "203.0.113.7"),
            ("for=198.51.100.1, for=_hidden", "10.0.0.1"),
            ("proto=https", "10.0.0.1"),
        ] {
            assert_eq!(
                counted("10.0.0.1", &[("forwarded", value)]),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn two_headers_that_differ_are_not_believed() {
        let list = ("x-forwarded-for", "198.51.100.1");
        let same = ("forwarded", "for=198.51.100.1");
        let other = ("forwarded", "for=203.0.113.7");
        assert_eq!(counted("10.0.0.1", &[list, same]), "198.51.100.1");
        assert_eq!(counted("10.0.0.1", &[list, other]), "10.0.0.1");
    }

    #[test]
    fn neighbours_in_a_network_of_64_bits_are_one() {
        let at = |text: &str| CallerAddress::of(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
    }
}
