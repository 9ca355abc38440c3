use super::*;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(is_json: bool, filter: &str, speak: impl FnOnce()) -> String {
    let paper = Paper::default();
    let writer = paper.clone();
    let lines = Lines {
        is_json,
        is_coloured: false,
    };
    let subscriber = subscriber(lines, filter, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, speak);
    String::from_utf8(paper.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn a_machine_gets_one_object_a_line_with_the_fields_on_top() {
    let log = logged(true, "info", || {
        let _request = tracing::info_span!("request", request_id = "r-1").entered();
        tracing::warn!(order_no = "42", "a line");
        tracing::info!("another\nline");
    });
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{log}");
    let first = &lines[0];
    assert_eq!(first["level"], "WARN");
    assert_eq!(first["message"], "a line");
    assert_eq!(first["order_no"], "42");
    assert_eq!(first["span"]["request_id"], "r-1");
    assert!(first["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(lines[1]["message"], "another\nline");
}

#[test]
fn a_person_gets_a_line_to_read() {
    let log = logged(false, "info", || tracing::info!(order_no = "42", "a line"));
    assert!(log.contains("a line order_no=\"42\""), "{log}");
    assert!(serde_json::from_str::<serde_json::Value>(&log).is_err());
}

#[test]
fn the_filter_decides_about_our_own_events() {
    let speak = || {
        tracing::info!("spoken");
        tracing::debug!("whispered");
    };
    assert!(!logged(true, "info", speak).contains("whispered"));
    assert!(logged(true, "debug", speak).contains("whispered"));
    assert!(!logged(true, "warn", speak).contains("spoken"));
    assert!(logged(true, "warn,payhall=debug", speak).contains("whispered"));
}

#[test]
fn other_crates_are_never_heard_below_info() {
    let log = logged(true, "trace,hyper=trace", || {
        tracing::trace!(target: "hyper::proto", "canary in a body");
        tracing::debug!(target: "payhallish", "canary of a stranger");
        tracing::info!(target: "hyper::proto", "listening");
    });
    assert!(!log.contains("canary"), "{log}");
    assert!(log.contains("listening"), "{log}");
}

#[test]
fn what_is_no_filter_is_refused() {
    assert!(check_filter("info,payhall::engine=debug").is_ok());
    assert!(matches!(
        check_filter("payhall=loud"),
        Err(TelemetryError::Filter(_))
    ));
}

#[test]
fn histograms_have_buckets_and_all_metrics_descriptions() {
    let recorder = builder().unwrap().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe();
        for (name, kind, _) in METRICS {
            match kind {
                Kind::Counter => metrics::counter!(*name).increment(1),
                Kind::Gauge => metrics::gauge!(*name).set(3.0),
                Kind::Seconds | Kind::Sizes => metrics::histogram!(*name).record(3.0),
            }
        }
    });
    let text = Metrics(recorder.handle()).render();
    for (name, kind, description) in METRICS {
        assert!(
            text.contains(&format!("# HELP {name} {description}")),
            "{text}"
        );
        let type_line = match kind {
            Kind::Counter => format!("# TYPE {name} counter"),
            Kind::Gauge => format!("# TYPE {name} gauge"),
            Kind::Seconds | Kind::Sizes => format!("# TYPE {name} histogram"),
        };
        assert!(text.contains(&type_line), "{type_line} is not in\n{text}");
    }
    assert!(
        text.contains("payhall_upstream_seconds_bucket{le=\"5\"} 1"),
        "{text}"
    );
    assert!(
        text.contains("payhall_commit_batch_size_bucket{le=\"2\"} 0"),
        "{text}"
    );
}

/// The sources without this room: names stand in them as whole string literals.
fn names_in(folder: &Path, found: &mut BTreeSet<String>) {
    let name = regex::Regex::new(
        "\"(payhall_[a-z_]+_(?:total|seconds|size|open|depth|pending|stopped|late))\"",
    )
    .unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names_in(&path, found);
        } else if !path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("telemetry")
        {
            let source = std::fs::read_to_string(&path).unwrap_or_default();
            found.extend(name.captures_iter(&source).map(|part| part[1].to_owned()));
        }
    }
}

#[test]
fn the_table_and_the_docs_name_every_metric_that_the_house_counts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut counted = BTreeSet::new();
    names_in(&root.join("src"), &mut counted);
    let told: BTreeSet<String> = METRICS
        .iter()
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    assert_eq!(counted, told);

    let docs = std::fs::read_to_string(root.join("docs/LOGGING.md")).unwrap();
    for name in told {
        assert!(
            docs.contains(&format!("`{name}`")),
            "docs/LOGGING.md does not name {name}"
        );
    }
}
