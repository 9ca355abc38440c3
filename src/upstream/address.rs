//! Which addresses a server that a merchant names may have. A URL that somebody else chooses is a way to
//! make the center call for them (SSRF): its own machine, its neighbours, the cloud's metadata. So only
//! addresses of the public internet are called; in a sandbox also those of the own machine and of
//! private networks, because that is where the merchant's test server stands.
//!
//! Written as what is allowed for IPv6 (its global unicast and nothing else) and as what is not for
//! IPv4, from the IANA registries of special-purpose addresses. An IPv4 address inside an IPv6 one
//! (mapped, compatible, NAT64, 6to4) is judged as itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where notifications may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The public internet, by https.
    Public,
    /// Besides, this machine and private networks, and plain http: a place to try things out.
    Sandbox,
}

/// Why an address may not be called; `None` if it may.
pub(super) fn objection(address: IpAddr, reach: Reach) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => objection_v4(address, reach),
        IpAddr::V6(address) => match inner(address) {
            Some(inside) => objection_v4(inside, reach),
            None => objection_v6(address, reach),
        },
    }
}

/// The networks of IPv4 that are not the public internet: first address, length, what it is.
const SPECIAL_V4: [(Ipv4Addr, u32, &str); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "unspecified"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, PRIVATE),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "a carrier's own"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, LOOPBACK),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, PRIVATE),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "for protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 31, 196, 0), 24, "for protocols"),
    (Ipv4Addr::new(192, 52, 193, 0), 24, "for protocols"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, PRIVATE),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// The parts of IPv6's global unicast that are not the public internet.
const SPECIAL_V6: [(Ipv6Addr, u32, &str); 3] = [
    (
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        23,
        "for protocols, tunnels and benchmarks",
    ),
    (
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        "for documentation",
    ),
    (
        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0),
        20,
        "for documentation",
    ),
];

const PRIVATE: &str = "private";
const LOOPBACK: &str = "this machine";

fn objection_v4(address: Ipv4Addr, reach: Reach) -> Option<&'static str> {
    let special = SPECIAL_V4.iter().find(|(first, length, _)| {
        (address.to_bits() ^ first.to_bits()) >> (Ipv4Addr::BITS - length) == 0
    });
    let (_, _, what) = special?;
    (!is_allowed(what, reach)).then_some(*what)
}

fn objection_v6(address: Ipv6Addr, reach: Reach) -> Option<&'static str> {
    let what = if address.is_loopback() {
        LOOPBACK
    } else if address.is_unspecified() {
        "unspecified"
    } else if address.is_unique_local() {
        PRIVATE
    } else if address.is_multicast() {
        "multicast"
    } else if address.is_unicast_link_local() {
        "link-local"
    } else if address.segments()[0] >> 13 != 1 {
        // Global unicast is 2000::/3.
        "not of the public internet"
    } else {
        let special = SPECIAL_V6.iter().find(|(first, length, _)| {
            (address.to_bits() ^ first.to_bits()) >> (Ipv6Addr::BITS - length) == 0
        });
        special?.2
    };
    (!is_allowed(what, reach)).then_some(what)
}

fn is_allowed(what: &str, reach: Reach) -> bool {
    reach == Reach::Sandbox && (what == PRIVATE || what == LOOPBACK)
}

/// The IPv4 address that an IPv6 one stands for.
fn inner(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of =
        |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // `::` and `::1` are IPv6's own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Compatible, mapped, and translated (RFC 2765).
        [0, 0, 0, 0, 0, 0, high, low] => of(high, low),
        [0, 0, 0, 0, 0, 0xffff, high, low] => of(high, low),
        [0, 0, 0, 0, 0xffff, 0, high, low] => of(high, low),
        // NAT64 (RFC 6052). Its local prefix, 64:ff9b:1::/48, is not of the public internet.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of(high, low),
        // 6to4.
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, reach: Reach) -> bool {
        objection(text.parse().unwrap(), reach).is_some()
    }

    const PUBLIC: [&str; 12] = [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
        "2002:101:101::1",
    ];

    const OWN: [&str; 14] = [
        "127.0.0.1",
        "127.255.255.255",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "::1",
        "fc00::1",
        "fdff::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::1",
        "2002:c0a8:101::",
    ];

    const NEVER: [&str; 33] = [
        "0.0.0.0",
        "0.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001::1",
        "2001:2::1",
        "2001:db8::1",
        "3fff::1",
        "64:ff9b:1::1",
        "100::1",
        "4000::1",
        "::ffff:169.254.169.254",
        "::ffff:0:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "::ffff:0.0.0.0",
    ];

    #[test]
    fn the_public_internet_may_be_called() {
        for text in PUBLIC {
            assert!(!refused(text, Reach::Public), "{text}");
            assert!(!refused(text, Reach::Sandbox), "{text}");
        }
    }

    #[test]
    fn the_own_machine_and_private_networks_only_from_a_sandbox() {
        for text in OWN {
            assert!(refused(text, Reach::Public), "{text}");
            assert!(!refused(text, Reach::Sandbox), "{text}");
        }
    }

    #[test]
    fn what_is_nobody_s_server_never() {
        for text in NEVER {
            assert!(refused(text, Reach::Public), "{text}");
            assert!(refused(text, Reach::Sandbox), "{text}");
        }
    }
}
