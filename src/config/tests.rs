//! The settings' own tests: precedence, named mistakes, secrets that stay secret.

use super::*;
use secrecy::ExposeSecret;
use std::path::Path;

/// Loads a file with an environment and no flags.
pub fn loaded(file: &str, environment: &[(&str, &str)]) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payhall.toml");
    std::fs::write(&path, file).unwrap();
    let pairs = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    load(Some(&path), &Environment(pairs), &Flags::default()).map_err(|error| error.to_string())
}

pub fn wrong(file: &str) -> String {
    loaded(file, &[]).err().expect("a mistake is found")
}

#[test]
fn the_defaults_are_complete_and_right() {
    let loaded = load(None, &Environment::default(), &Flags::default()).unwrap();
    assert_eq!(loaded.config.server.listen.port(), 8400);
    assert_eq!(
        loaded.config.storage.url.expose_secret(),
        "sqlite:payhall.db"
    );
    assert!(loaded.config.adapters.is_empty());
}

#[test]
fn every_default_has_its_comment() {
    let mut commented = false;
    for line in TEMPLATE.lines() {
        let is_key = line.contains(" = ") && !line.starts_with('#');
        if is_key {
            // A comment may stand for a group of keys; an empty line or a section ends the group.
            assert!(commented, "{line:?} has no comment above it");
        }
        commented = match line {
            "" => false,
            line if line.starts_with('[') => false,
            line if line.starts_with('#') => true,
            _ => commented,
        };
    }
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.toml");
    let file = "[orders]\nexpiry_s = 11\norphan_after_s = 12\n[server]\ndrain_s = 9\n";
    std::fs::write(&path, file).unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let environment = Environment(vec![
        pair("PAYHALL_CONFIG", &path.display().to_string()),
        pair("PAYHALL_ORDERS__EXPIRY_S", "22"),
        pair("PAYHALL_SERVER__LISTEN", "127.0.0.1:9"),
        pair("PAYHALL_TEST_DATABASE_URL", "not a setting"),
    ]);
    let flags = Flags(vec![("server.listen", "127.0.0.1:7".to_owned())]);
    let config = load(None, &environment, &flags).unwrap().config;
    assert_eq!(config.server.listen.port(), 7);
    assert_eq!(config.orders.expiry_s, 22);
    assert_eq!(config.orders.orphan_after_s, 12);
    assert_eq!(config.server.drain_s, 9);
    assert_eq!(config.orders.answer_within_ms, 8000);
}

#[test]
fn an_unknown_key_is_named_with_its_place() {
    let error = wrong("[server]\nlisten = \"127.0.0.1:1\"\nlisen = 1\n");
    assert!(error.contains("server.lisen"), "{error}");
    assert!(error.contains("payhall.toml"), "{error}");
    let error = wrong("[servr]\nlisten = 1\n");
    assert!(error.contains("servr"), "{error}");
    let error = loaded("", &[("PAYHALL_ORDERS__EXPIRY", "1")])
        .err()
        .unwrap();
    assert!(
        error.contains("orders.expiry") && error.contains("the environment"),
        "{error}"
    );
}

#[test]
fn a_wrong_value_is_named_with_path_and_source() {
    for (file, path, words) in [
        (
            "[server]\nlisten = \"nowhere\"\n",
            "server.listen",
            "\"nowhere\" is not an address IP:PORT, such as 127.0.0.1:8400",
        ),
        (
            "[orders]\nexpiry_s = \"soon\"\n",
            "orders.expiry_s",
            "is \"soon\", and has to be a whole number, 0 or more",
        ),
        (
            "server = 3\n",
            "server",
            "is a number, and has to be a table",
        ),
        (
            "[api]\nplayground = 1\n",
            "api.playground",
            "is 1, and has to be true or false",
        ),
        ("[orders]\nexpiry_s = 0\n", "orders.expiry_s", "1 to"),
        ("[center]\ncutoff = \"25:00\"\n", "center.cutoff", "23:30"),
        (
            "[center]\nzone = \"Mars/Base\"\n",
            "center.zone",
            "\"Mars/Base\" is not a time zone",
        ),
        ("[storage]\nurl = \"mysql://x\"\n", "storage.url", "sqlite:"),
        (
            "[storage]\nurl = \"sqlite:\"\n",
            "storage.url",
            "payhall.db",
        ),
        (
            "[storage]\nurl = \"sqlite::memory:\"\n",
            "storage.url",
            "each connection would see its own",
        ),
        (
            "[alarms]\nwebhook_url = \"ftp://hooks.bank\"\n",
            "alarms.webhook_url",
            "http:// or https://",
        ),
        (
            "[alarms]\ncritical_s = 9000000000000000\n",
            "alarms.critical_s",
            "is 9000000000000000, and has to be 0 to 31622400",
        ),
        ("[api]\ndepth_max = 500\n", "api.depth_max", "3 to"),
        (
            "[logs]\nformat = \"loud\"\n",
            "logs.format",
            "is \"loud\", and has to be one of auto, json, pretty",
        ),
        ("[cache]\nopen_ttl_s = 31\n", "cache.open_ttl_s", "30"),
        (
            "[[callers]]\ntoken = \"short\"\nkind = \"merchant\"\n",
            "callers.0.token",
            "16",
        ),
        ("[adapters.bank]\nurl = \"x\"\n", "adapters.bank", "missing"),
    ] {
        let error = wrong(file);
        assert!(error.contains(path), "{file:?}: {error}");
        assert!(error.contains(words), "{file:?}: {error}");
    }
    let error = wrong("not toml at all");
    assert!(error.contains("payhall.toml"), "{error}");
    let missing = load(
        Some(Path::new("/nowhere/p.toml")),
        &Environment::default(),
        &Flags::default(),
    )
    .err()
    .unwrap();
    assert!(missing.to_string().contains("/nowhere/p.toml"));
}

#[test]
fn callers_are_checked_as_pairs() {
    let token = "0123456789abcdef";
    for (rest, words) in [
        ("kind = \"merchant\"", "callers.0.merchant"),
        ("kind = \"operator\"\nrole = \"viewer\"", "callers.0.name"),
        ("kind = \"operator\"\nname = \"ann\"", "callers.0.role"),
        (
            "kind = \"merchant\"\nmerchant = \"m\"\nrole = \"viewer\"",
            "callers.0.role",
        ),
        (
            "kind = \"merchant\"\nmerchant = \"m m\"",
            "callers.0.merchant",
        ),
    ] {
        let error = wrong(&format!("[[callers]]\ntoken = \"{token}\"\n{rest}\n"));
        assert!(error.contains(words), "{rest}: {error}");
        assert!(!error.contains(token), "{error}");
    }
    let twice =
        format!("[[callers]]\ntoken = \"{token}\"\nkind = \"merchant\"\nmerchant = \"m\"\n")
            .repeat(2);
    assert!(wrong(&twice).contains("callers.1.token"));
}

#[test]
fn secrets_are_never_printed() {
    let canary = "canary-5c1f0a9d7e";
    let file = format!(
        "[storage]\nurl = \"postgres://u:{canary}@db.bank/payhall\"\n[cache]\nurl = \"redis://:{canary}@cache.bank\"\n\
         [alarms]\nwebhook_url = \"https://hooks.bank/{canary}\"\n\
         [[callers]]\ntoken = \"{canary}\"\nkind = \"merchant\"\nmerchant = \"m\"\n"
    );
    let loaded = loaded(&file, &[]).unwrap();
    let shown = show(&loaded);
    assert!(!shown.contains(canary), "{shown}");
    assert!(shown.contains("db.bank"), "{shown}");
    assert!(
        shown.contains("server.listen = \"127.0.0.1:8400\"    # the defaults"),
        "{shown}"
    );
    assert!(!format!("{:?}", loaded.config).contains(canary));
    assert!(!wrong(&format!("[storage]\nurl = [\"{canary}\"]\n")).contains(canary));
}

#[test]
fn what_is_not_toml_is_named_by_its_place_and_not_repeated() {
    let error = wrong("[server]\n[[callers]]\ntoken = \"canary-5c1f0a9d7e\nkind = 3\n");
    assert!(error.contains("line 3"), "{error}");
    assert!(error.contains("payhall.toml"), "{error}");
    assert!(!error.contains("canary"), "{error}");
}

#[test]
fn toml_s_own_reason_is_told() {
    for (file, reason) in [
        (
            "[api]\ndepth_max = 4\ndepth_max = 5\n",
            "line 3, column 1 on: duplicate key \"depth_max\"",
        ),
        (
            "[api]\ndepth_max = 99999999999999999999\n",
            "line 2, column 13 on: number too large",
        ),
        ("[api\n", "line 1, column 5 on: invalid table header"),
    ] {
        let error = wrong(file);
        assert!(error.contains(reason), "{file:?}: {error}");
        assert!(error.contains("  file /"), "no empty path before: {error}");
        assert!(!error.contains('`'), "{error}");
    }
}

#[test]
fn a_list_that_is_no_list_is_not_repeated() {
    let canary = "canary-5c1f0a9d7e";
    let variables = [
        (
            "PAYHALL_CALLERS",
            format!("[{{token=\"{canary}\",kind=\"merchant\",merchant=\"m\"}}"),
        ),
        ("PAYHALL_CALLERS", canary.to_owned()),
        ("PAYHALL_CALLERS", format!("[{canary}]")),
        ("PAYHALL_STORAGE", format!("postgres://u:{canary}@db/p")),
        ("PAYHALL_ALARMS", format!("https://hooks.bank/{canary}")),
        ("PAYHALL_STORAGE__URL", format!("[\"{canary}\"")),
        ("PAYHALL_CACHE__URL", format!("redis://:{canary}@[::1")),
    ];
    for (name, value) in &variables {
        let error = loaded("", &[(name, value)]).err().expect(name);
        assert!(!error.contains("canary"), "{name}: {error}");
    }
    let files = [
        format!("callers = \"{canary}\"\n"),
        format!("callers = [\"{canary}\"]\n"),
        format!("storage = \"postgres://u:{canary}@db/p\"\n"),
        format!("[[callers]]\ntoken = \"0123456789abcdef\"\nkind = \"{canary}\"\n"),
        format!(
            "[[callers]]\ntoken = \"0123456789abcdef\"\nkind = \"merchant\"\n\
             merchant = \"{canary} x\"\n"
        ),
        format!("[[callers]]\ntoken = [\"{canary}\"]\n"),
        format!("[[callers]]\ntoken = \"{canary}\n"),
    ];
    for file in &files {
        let error = wrong(file);
        assert!(!error.contains("canary"), "{file}: {error}");
    }
    let error = loaded("", &[("PAYHALL_CALLERS", variables[0].1.as_str())]);
    assert_eq!(
        error.err().unwrap(),
        "the settings are wrong:\n  callers (the environment): is a text, and has to be a list; \
         is a bracket or a quotation mark missing?"
    );
}

#[test]
fn a_url_whose_host_cannot_be_told_is_not_shown() {
    let canary = "canary-5c1f0a9d7e";
    for url in [
        format!("https://hooks.bank/x@{canary}"),
        format!("https://u:p/{canary}@hooks.bank/"),
        format!("https://u:p?{canary}@hooks.bank/"),
    ] {
        let file = format!("[alarms]\nwebhook_url = \"{url}\"\n");
        if let Ok(loaded) = loaded(&file, &[]) {
            let shown = show(&loaded);
            assert!(
                !shown.contains("canary") && !shown.contains("u:p"),
                "{shown}"
            );
        }
    }
}

#[test]
fn every_mistake_is_found_at_once() {
    let file = "[orders]\nexpiry_s = \"soon\"\nexpiri_s = 1\norphan_after_s = 0\n\
                [server]\ndrain_s = true\n[srver]\nx = 1\n[logs]\nfilter = \"payhall=loud\"\n\
                [adapters.bank]\nurl = \"x\"\n[adapters.legacy]\nurl = 3\n";
    let variables = [("PAYHALL_API__DEPTH", "3"), ("PAYHALL_API_DEPTH_MAX", "3")];
    let error = loaded(file, &variables).err().unwrap();
    let mut lines = error.lines().map(str::trim_start).collect::<Vec<_>>();
    lines.sort_unstable();
    let starts = [
        "PAYHALL_API_DEPTH_MAX (the environment): is not a setting; PAYHALL_API__DEPTH_MAX",
        "adapters.bank.biller_url (",
        "adapters.legacy.",
        "api.depth (the environment): unknown key",
        "logs.filter (file ",
        "orders.expiri_s (file ",
        "orders.expiry_s (file ",
        "orders.orphan_after_s (file ",
        "server.drain_s (file ",
        "srver (file ",
    ];
    for start in starts {
        let named = lines.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!(named, 1, "{start:?} in\n{error}");
    }
    assert_eq!(lines.len(), starts.len() + 1, "{error}");
}

#[test]
fn variables_that_others_set_beside_us_are_no_settings() {
    let loaded = loaded(
        "",
        &[
            ("PAYHALL_SERVICE_HOST", "10.0.0.1"),
            ("PAYHALL_PORT_8400_TCP_ADDR", "10.0.0.1"),
            ("PAYHALL_PORT", "tcp://10.0.0.1:8400"),
            ("PAYHALL_TEST_DATABASE_URL", "x"),
        ],
    );
    assert!(loaded.is_ok(), "{:?}", loaded.err());
}

const OIDC: &str = "[api]\npublic_url = \"https://pay.example\"\n[oidc]\nissuer = \"https://id.example/staff\"\n\
                    client_id = \"payhall\"\n";

#[cfg(not(feature = "oidc"))]
#[test]
fn a_provider_is_no_setting_for_a_program_that_knows_none() {
    let error = wrong(OIDC);
    let told = "oidc.issuer (file ";
    assert!(
        error.contains(told) && error.contains("--features oidc"),
        "{error}"
    );
}

#[cfg(feature = "oidc")]
#[test]
fn a_provider_wants_what_belongs_to_it() {
    assert!(loaded(OIDC, &[]).unwrap().config.oidc.is_on());
    let sandbox = "[server]\nsandbox = true\n";
    let http = OIDC.replace("https", "http");
    assert!(loaded(&format!("{http}{sandbox}"), &[]).is_ok());
    for (from, to, path, words) in [
        (
            "public_url = \"https",
            "public_url = \"http",
            "oidc.issuer",
            "public_url by https",
        ),
        (
            "public_url = \"https://pay.example\"",
            "",
            "oidc.issuer",
            "needs api.public_url",
        ),
        (
            "issuer = \"https",
            "issuer = \"http",
            "oidc.issuer",
            "https outside a sandbox",
        ),
        ("/staff", "/staff?a", "oidc.issuer", "URL without a query"),
        (
            "client_id = \"payhall\"",
            "",
            "oidc.client_id",
            "is missing",
        ),
        (
            "client_id",
            "claim = \"email\"\nclient_id",
            "oidc.domain",
            "whose addresses count",
        ),
        (
            "client_id",
            "claim = \"\"\nclient_id",
            "oidc.claim",
            "is missing",
        ),
        (
            "client_id",
            "scopes = [\"a b\"]\nclient_id",
            "oidc.scopes",
            "visible",
        ),
        (
            "client_id",
            "timeout_ms = 0\nclient_id",
            "oidc.timeout_ms",
            "100 to 60000",
        ),
    ] {
        let error = wrong(&OIDC.replacen(from, to, 1));
        assert!(
            error.contains(path) && error.contains(words),
            "{to}: {error}"
        );
    }
}

#[test]
fn a_client_s_secret_is_shown_nowhere() {
    let variables = [("PAYHALL_OIDC__CLIENT_SECRET", "s3cret-of-the-client")];
    let error = loaded("", &variables).err().expect("there is no issuer");
    assert!(
        error.contains("oidc.issuer") && !error.contains("s3cret"),
        "{error}"
    );
    #[cfg(feature = "oidc")]
    {
        let loaded = loaded(OIDC, &variables).unwrap();
        let shown = show(&loaded);
        assert!(shown.contains("oidc.client_secret = \"***\"") && !shown.contains("s3cret"));
    }
}
