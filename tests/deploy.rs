//! What is deployed beside the program speaks of what the program has.

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words that begin like a metric of the house, without what Prometheus appends to a histogram's.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("payhall_") && !word.ends_with('_'))
        .map(|name| {
            let ends = ["_bucket", "_sum", "_count"].iter();
            ends.filter_map(|end| name.strip_suffix(end))
                .next()
                .unwrap_or(name)
        })
        .collect()
}

#[test]
fn dashboard_and_rules_know_metrics_that_there_are() {
    let documented = read("docs/LOGGING.md");
    let known = metrics(&documented);
    for path in ["deploy/grafana.json", "deploy/prometheus.rules.yaml"] {
        let text = read(path);
        let named = metrics(&text);
        assert!(named.len() > 5, "{path} names {named:?}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{path} names {unknown:?}");
    }
    let dashboard: serde_json::Value = serde_json::from_str(&read("deploy/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().len();
    assert!(panels > 0);
    let shown = read("deploy/grafana.json");
    let left_out: Vec<_> = known.difference(&metrics(&shown)).copied().collect();
    assert!(
        left_out.is_empty(),
        "the dashboard does not show {left_out:?}"
    );
}
