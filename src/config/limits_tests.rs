//! Limits of the edge among the settings: each is in the template, and each says what it takes.

use super::tests::{loaded, wrong};
use super::*;

/// Every limit of the edge, with the least and the most that it takes.
const LIMITS: [(&str, u64, u64); 17] = [
    ("server.connections_max", 1, 1_000_000),
    ("server.connections_per_address", 0, 1_000_000),
    ("server.websockets_max", 0, 1_000_000),
    ("server.websockets_per_address", 0, 1_000_000),
    ("server.header_timeout_s", 1, 600),
    ("server.body_timeout_s", 1, 600),
    ("server.write_timeout_s", 1, 600),
    ("api.body_bytes_max", 1_024, 16 << 20),
    ("limits.address_per_s", 0, 1_000_000),
    ("limits.address_burst", 1, 1_000_000),
    ("limits.merchant_per_s", 0, 1_000_000),
    ("limits.merchant_burst", 1, 1_000_000),
    ("limits.operator_per_s", 0, 1_000_000),
    ("limits.operator_burst", 1, 1_000_000),
    ("limits.refused_per_min", 0, 1_000_000),
    ("limits.logins_per_address_per_min", 0, 1_000_000),
    ("limits.logins_per_name_per_min", 0, 1_000_000),
];

fn file(path: &str, value: &str) -> String {
    let (section, key) = path.split_once('.').unwrap();
    format!("[{section}]\n{key} = {value}\n")
}

#[test]
fn every_limit_is_in_the_template_and_none_is_missing_here() {
    let template: toml::Table = TEMPLATE.parse().unwrap();
    for (path, least, most) in LIMITS {
        let (section, key) = path.split_once('.').unwrap();
        let default = template[section].get(key).and_then(toml::Value::as_integer);
        let default = u64::try_from(default.unwrap_or_else(|| panic!("{path}"))).unwrap();
        assert!((least..=most).contains(&default), "{path} = {default}");
    }
    let all = template["limits"].as_table().unwrap().keys();
    for key in all {
        let path = format!("limits.{key}");
        assert!(LIMITS.iter().any(|(known, ..)| *known == path), "{path}");
    }
}

#[test]
fn the_numbers_of_the_mission_are_the_defaults() {
    let server = loaded("", &[]).unwrap().config.server;
    let times = (
        server.header_timeout_s,
        server.body_timeout_s,
        server.write_timeout_s,
    );
    assert_eq!(times, (10, 15, 30));
}

#[test]
fn a_limit_that_makes_no_sense_is_named_with_what_it_takes() {
    for (path, least, most) in LIMITS {
        let mut values = vec![
            ("\"soon\"".to_owned(), "has to be a whole number".to_owned()),
            ("-1".to_owned(), "has to be a whole number".to_owned()),
            ("true".to_owned(), "has to be a whole number".to_owned()),
            ("1.5".to_owned(), "has to be a whole number".to_owned()),
            (
                (most + 1).to_string(),
                format!("is {}, and has to be {least} to {most}", most + 1),
            ),
        ];
        if least > 0 {
            values.push((
                (least - 1).to_string(),
                format!("is {}, and has to be {least} to {most}", least - 1),
            ));
        }
        for (value, words) in values {
            let error = wrong(&file(path, &value));
            assert!(error.contains(path), "{path} = {value}: {error}");
            assert!(error.contains(&words), "{path} = {value}: {error}");
            assert!(error.contains("payhall.toml"), "{error}");
        }
        for value in [least, most] {
            let fine = loaded(&file(path, &value.to_string()), &[]);
            assert!(fine.is_ok(), "{path} = {value}: {:?}", fine.err());
        }
    }
}

#[test]
fn proxies_are_addresses_and_networks() {
    let fine = "[api]\ntrusted_proxies = [\"10.0.0.5\", \"10.1.0.0/24\", \"2001:db8::/48\"]\n";
    let proxies = loaded(fine, &[]).unwrap().config.trusted_proxies();
    let shown: Vec<_> = proxies.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["10.0.0.5/32", "10.1.0.0/24", "2001:db8::/48"]);
    let variable = ("PAYHALL_API__TRUSTED_PROXIES", "[\"10.0.0.5\"]");
    let proxies = loaded("", &[variable]).unwrap().config.trusted_proxies();
    assert_eq!(proxies.len(), 1);
    for (value, words) in [
        (
            "[\"gateway\"]",
            "\"gateway\" is no address or network, such as 10.0.0.5 or 10.0.0.0/24",
        ),
        ("[\"10.0.0.0/33\"]", "\"10.0.0.0/33\" is no address"),
        ("\"10.0.0.5\"", "has to be a list"),
    ] {
        let error = wrong(&file("api.trusted_proxies", value));
        assert!(error.contains("api.trusted_proxies"), "{error}");
        assert!(error.contains(words), "{value}: {error}");
    }
}

#[test]
fn an_old_file_is_told_what_to_write_instead() {
    for value in ["true", "false"] {
        let error = wrong(&file("api.https", value));
        assert!(error.contains("api.https (file "), "{error}");
        assert!(
            error.contains("api.public_url = \"https://HOST\""),
            "{error}"
        );
    }
}

#[test]
fn a_listener_that_is_open_says_what_callers_write() {
    let open = "[server]\nlisten = \"0.0.0.0:8400\"\n";
    let error = wrong(open);
    assert!(error.contains("api.public_url (the defaults)"), "{error}");
    assert!(error.contains("https://pay.example.com"), "{error}");
    assert!(loaded(&format!("{open}sandbox = true\n"), &[]).is_ok());
    let warnings = |url: &str| {
        let file = format!("{open}[api]\nplayground = false\npublic_url = \"{url}\"\n");
        loaded(&file, &[]).unwrap().config.warnings().join("\n")
    };
    assert!(warnings("http://10.0.0.9:8400").contains("travel in clear"));
    let https = warnings("https://pay.example.com");
    assert!(!https.contains("travel in clear"), "{https}");
    assert!(https.contains("api.trusted_proxies names none"), "{https}");
}

#[test]
fn people_have_accounts_outside_a_sandbox() {
    let callers = "[[callers]]\ntoken = \"0123456789abcdef\"\nkind = \"merchant\"\nmerchant = \"portal\"\n\
                   [[callers]]\ntoken = \"0123456789abcdeg\"\nkind = \"operator\"\nname = \"ann\"\n\
                   role = \"reviewer\"\n";
    let error = wrong(callers);
    assert!(
        error.contains("callers.1.kind: operator ann has"),
        "{error}"
    );
    assert!(
        error.contains("`payhall operator add ann --role reviewer`"),
        "{error}"
    );
    assert!(!error.contains("0123456789abcde"), "{error}");
    assert_eq!(error.lines().count(), 2, "nothing else is wrong: {error}");
    let sandbox = loaded(&format!("{callers}[server]\nsandbox = true\n"), &[]).unwrap();
    let told = sandbox.config.warnings().join("\n");
    assert!(!told.contains("bearer token"), "{told}");
    // A merchant's is let in, and warned about.
    let (merchant, _) = callers.split_at(callers[1..].find("[[").unwrap() + 1);
    let told = loaded(merchant, &[]).unwrap().config.warnings().join("\n");
    assert!(
        told.contains("merchant portal has a bearer token"),
        "{told}"
    );
}
