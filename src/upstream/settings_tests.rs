//! Each contradiction is found, at its path, and the settings that run have none.

use super::*;
use crate::domain::outcome::CodeEntry;
use crate::domain::retry::Rung;
use crate::upstream::far_side::settings;

type Spoil = fn(&mut AdapterSettings);

fn reason(settings: &mut AdapterSettings, code: &str, meaning: CodeMeaning, reason: Option<&str>) {
    let reason = reason.map(str::to_owned);
    let entry = CodeEntry { meaning, reason };
    settings.codes.0.insert(code.to_owned(), entry);
}

#[test]
fn good_settings_have_no_finding() {
    assert_eq!(settings().check("adapters.bank"), []);
    assert_eq!(settings().risks("adapters.bank"), []);
}

#[test]
fn a_bank_that_cannot_reverse_is_no_contradiction() {
    let legacy = AdapterSettings {
        can_reverse: false,
        tombstones: false,
        idempotent: false,
        reversal_at_s: vec![],
        ..settings()
    };
    assert_eq!(legacy.check("adapters.legacy"), []);
}

#[test]
fn every_contradiction_is_found_at_its_path() {
    let table: &[(&str, Spoil)] = &[
        ("url", |s| s.url = "bank".to_owned()),
        ("url", |s| s.url = "ftp://bank/".to_owned()),
        ("url", |s| s.url = "https://me:pw@bank/".to_owned()),
        ("url", |s| s.url = "https://bank/?a=b".to_owned()),
        ("biller_url", |s| {
            s.biller_url = "https://bank/#x".to_owned()
        }),
        ("biller_url", |s| s.biller_url = String::new()),
        ("ca_pem_file", |s| s.ca_pem_file = Some("ca.pem".into())),
        ("client_pem_file", |s| {
            s.client_pem_file = Some("me.pem".into())
        }),
        ("connect_timeout_ms", |s| s.connect_timeout_ms = 0),
        ("total_timeout_ms", |s| {
            s.total_timeout_ms = s.connect_timeout_ms
        }),
        ("lookup_timeout_ms", |s| s.lookup_timeout_ms = 1),
        ("idle_ms", |s| s.idle_ms = 0),
        ("body_bytes_max", |s| s.body_bytes_max = 10),
        ("body_bytes_max", |s| s.body_bytes_max = usize::MAX),
        ("concurrency_max", |s| s.concurrency_max = 0),
        ("lookup_concurrency_max", |s| {
            s.lookup_concurrency_max = 1_000_000
        }),
        ("breaker.window_calls", |s| s.breaker.window_calls = 0),
        ("breaker.failures_percent", |s| {
            s.breaker.failures_percent = 0
        }),
        ("breaker.failures_percent", |s| {
            s.breaker.failures_percent = 101
        }),
        ("breaker.open_ms", |s| s.breaker.open_ms = 0),
        ("breaker.trial_calls", |s| s.breaker.trial_calls = 0),
        ("lookup_breaker.window_calls", |s| {
            s.lookup_breaker.window_calls = 0
        }),
        ("lookup_breaker.failures_percent", |s| {
            s.lookup_breaker.failures_percent = 0
        }),
        ("lookup_breaker.open_ms", |s| s.lookup_breaker.open_ms = 0),
        ("lookup_breaker.trial_calls", |s| {
            s.lookup_breaker.trial_calls = 0
        }),
        ("send_within_s", |s| s.send_within_s = 0),
        ("certainty_window_s", |s| s.certainty_window_s = 25),
        ("not_found_asks", |s| s.not_found_asks = 1),
        ("reversal_at_s", |s| s.reversal_at_s = vec![]),
        ("reversal_at_s", |s| s.reversal_at_s = vec![0, 10, 10]),
        ("case_after_s", |s| s.case_after_s = 0),
        ("ladder.then_s", |s| s.ladder.then_s = 0),
        ("ladder.then_s", |s| s.ladder.then_s = u64::MAX),
        ("ladder.rungs.2.wait_s", |s| {
            s.ladder.rungs[2].wait_s = 366 * 86_400 + 1
        }),
        ("certainty_window_s", |s| {
            s.certainty_window_s = 9_000_000_000_000_000
        }),
        ("case_after_s", |s| s.case_after_s = u64::MAX),
        ("tries_s.1", |s| s.tries_s[1] = u64::MAX),
        ("reversal_at_s.5", |s| s.reversal_at_s[5] = u64::MAX),
        ("idle_ms", |s| s.idle_ms = u64::MAX),
        ("concurrency_wait_ms", |s| s.concurrency_wait_ms = u64::MAX),
        ("lookup_timeout_ms", |s| s.lookup_timeout_ms = u64::MAX),
        ("breaker.open_ms", |s| s.breaker.open_ms = u64::MAX),
        ("quick_polls", |s| s.quick_polls = 0),
        ("quick_polls", |s| s.quick_polls = 2),
        ("ladder.rungs.1.wait_s", |s| {
            s.ladder.rungs[1] = Rung {
                wait_s: 0,
                times: 1,
            }
        }),
        ("ladder.rungs.0.times", |s| {
            s.ladder.rungs[0] = Rung {
                wait_s: 1,
                times: 0,
            }
        }),
        ("codes", |s| _ = s.codes.0.remove("1")),
        ("codes", |s| _ = s.codes.0.remove("4")),
        ("codes.01", |s| {
            reason(s, "01", CodeMeaning::Succeeded, None)
        }),
        ("codes.OK", |s| {
            reason(s, "OK", CodeMeaning::Succeeded, None)
        }),
        ("codes.9.reason", |s| {
            reason(s, "9", CodeMeaning::Refused, None)
        }),
        ("codes.9.reason", |s| {
            reason(s, "9", CodeMeaning::Refused, Some("no money"))
        }),
        ("codes.9.reason", |s| {
            reason(s, "9", CodeMeaning::Pending, Some("WAIT"))
        }),
    ];
    for (field, spoil) in table {
        let mut spoiled = settings();
        spoil(&mut spoiled);
        let findings = spoiled.check("adapters.bank");
        let paths: Vec<_> = findings
            .iter()
            .map(|finding| finding.path.as_str())
            .collect();
        assert_eq!(paths, [format!("adapters.bank.{field}")], "{findings:?}");
    }
}

#[test]
fn a_reversal_begins_when_nothing_can_leave_any_more() {
    let ladder = |wait_s| Ladder {
        rungs: vec![Rung { wait_s, times: 2 }],
        then_s: 2 * wait_s,
    };
    // A request leaves within 5 s and comes to an end within 20 s more.
    for (quick_polls, wait_s, is_right) in
        [(2, 13, true), (2, 12, false), (3, 6, false), (4, 5, true)]
    {
        let reversing = AdapterSettings {
            quick_polls,
            ladder: ladder(wait_s),
            ..settings()
        };
        let findings = reversing.check("a");
        assert_eq!(findings.is_empty(), is_right, "{quick_polls} {findings:?}");
    }
    let asking = AdapterSettings {
        quick_polls: 0,
        can_reverse: false,
        tombstones: false,
        reversal_at_s: vec![],
        ..settings()
    };
    assert_eq!(asking.check("a"), [], "nothing is reversed there");
}

#[test]
fn a_webhook_is_http_or_https() {
    assert_eq!(
        check_webhook_url("https://alerts.bank/payhall?key=1"),
        Ok(())
    );
    for bad in ["ftp://alerts.bank", "alerts.bank", "http://", "mailto:ann"] {
        assert!(check_webhook_url(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_bank_that_cannot_reverse_cannot_pretend_to() {
    let pretends = AdapterSettings {
        can_reverse: false,
        ..settings()
    };
    let findings: Vec<_> = pretends.check("a").iter().map(Finding::to_string).collect();
    assert_eq!(
        findings,
        [
            "a.reversal_at_s: is not empty, but can_reverse is false",
            "a.tombstones: is true, but can_reverse is false"
        ]
    );
}

#[test]
fn all_contradictions_are_reported_at_once() {
    let bad = AdapterSettings {
        url: String::new(),
        total_timeout_ms: 0,
        not_found_asks: 0,
        codes: CodeMap::default(),
        ..settings()
    };
    assert_eq!(bad.check("a").len(), 5);
}

#[test]
fn an_open_line_to_another_machine_is_a_risk() {
    let risky = |url: &str| {
        let settings = AdapterSettings {
            url: url.to_owned(),
            ..settings()
        };
        settings.risks("a").len()
    };
    assert_eq!(risky("http://bank.example/pay"), 1);
    assert_eq!(risky("http://10.0.0.7/pay"), 1);
    assert_eq!(risky("https://bank.example/pay"), 0);
    assert_eq!(risky("http://localhost:8401/bank"), 0);
    assert_eq!(risky("http://[::1]:8401/bank"), 0);
    let mute = AdapterSettings {
        can_query: false,
        can_reverse: false,
        ..settings()
    };
    assert_eq!(mute.risks("a")[0].path, "a.can_query");
}

#[test]
fn a_section_reads_as_it_is_written_and_knows_its_fields() {
    let text = toml::to_string(&settings()).unwrap();
    assert_eq!(
        toml::from_str::<AdapterSettings>(&text).unwrap(),
        settings()
    );
    assert!(text.contains("[codes.-1]"), "{text}");
    let unknown = format!("retries = 3\n{text}");
    let error = toml::from_str::<AdapterSettings>(&unknown).unwrap_err();
    assert!(error.to_string().contains("retries"), "{error}");
    for field in text
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.contains(" = "))
    {
        let without = text.replacen(field, "", 1);
        let error = toml::from_str::<AdapterSettings>(&without).unwrap_err();
        assert!(
            error.to_string().contains("missing field"),
            "{field}: {error}"
        );
    }
}
