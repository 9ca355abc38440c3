//! What is deployed beside the program speaks of what the program has.

use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
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

/// The anchors of a document's headings, as they are linked to.
fn anchors(document: &str) -> BTreeSet<String> {
    let headings = document.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// The first group of every match.
fn all<'t>(pattern: &str, text: &'t str) -> Vec<&'t str> {
    let pattern = Regex::new(pattern).unwrap();
    let found = pattern.captures_iter(text);
    found.map(|found| found.get(1).unwrap().as_str()).collect()
}

/// The alerts of the rules' file: each with its lines.
fn alerts(rules: &str) -> BTreeMap<&str, &str> {
    let blocks = rules.split("- alert: ").skip(1);
    blocks
        .map(|block| block.split_once('\n').unwrap())
        .collect()
}

#[test]
fn each_rule_says_how_bad_it_is_and_where_to_read_on() {
    let (rules, runbook) = (
        read("deploy/prometheus.rules.yaml"),
        read("docs/RUNBOOK.md"),
    );
    let anchors = anchors(&runbook);
    let alerts = alerts(&rules);
    assert_eq!(
        alerts.len(),
        rules.matches("- alert: ").count(),
        "a name is there twice"
    );
    for (name, lines) in &alerts {
        assert!(name.starts_with("Payhall"), "{name}");
        assert_eq!(
            all(r"severity: (warning|critical) \}", lines).len(),
            1,
            "{name}"
        );
        assert_eq!(all("(summary: \"[^\"]+\")\n", lines).len(), 1, "{name}");
        let places = all(r"\n +runbook: docs/RUNBOOK\.md#(\S+)\n", lines);
        assert_eq!(places.len(), 1, "{name} has no runbook");
        assert!(
            anchors.contains(places[0]),
            "{name}: the runbook has no #{}",
            places[0]
        );
    }
    for name in [
        "DayNotClosed",
        "StatementsNotMade",
        "PartnerFileMissing",
        "PartnerFileRefused",
        "DayNotReconciled",
        "DifferencesFound",
        "DifferencesWait",
        "JobLate",
        "JobFails",
        "CacheDrift",
        "CalendarEnds",
    ] {
        assert!(
            alerts.contains_key(format!("Payhall{name}").as_str()),
            "{name}"
        );
    }
}

#[test]
fn rules_select_jobs_and_alarms_that_there_are() {
    let (rules, runbook) = (
        read("deploy/prometheus.rules.yaml"),
        read("docs/RUNBOOK.md"),
    );
    let named = all(r#"exported_job(?:=|=~|!~)\s*"([a-z_|]+)""#, &rules);
    assert!(named.len() > 5, "{named:?}");
    for job in named.iter().flat_map(|names| names.split('|')) {
        read(&format!("jobs/{job}.toml"));
    }
    let kinds = all(r#"payhall_alarms_total\{kind="([A-Z_]+)""#, &rules);
    assert!(kinds.len() > 3, "{kinds:?}");
    for kind in kinds {
        assert!(runbook.contains(&format!("\n| `{kind}` |")), "{kind}");
    }
}

#[test]
fn links_within_the_documents_lead_somewhere() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
    let documents: BTreeMap<String, String> = names
        .filter(|name| name.ends_with(".md"))
        .map(|name| (name.clone(), read(&format!("docs/{name}"))))
        .collect();
    let link = Regex::new(r"\]\(([A-Z]+\.md)?#([^)]+)\)").unwrap();
    let mut seen = 0;
    for (name, text) in &documents {
        for found in link.captures_iter(text) {
            let target = found.get(1).map_or(name.as_str(), |target| target.as_str());
            let target_text = documents.get(target);
            let is_there = target_text.is_some_and(|text| anchors(text).contains(&found[2]));
            assert!(is_there, "{name}: {}", &found[0]);
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}

/// The paths of a simple YAML file's keys, such as `scratch.sizeLimit`.
fn keys_of(yaml: &str) -> BTreeSet<String> {
    let key = Regex::new(r"^( *)([A-Za-z]+):").unwrap();
    let mut way: Vec<String> = Vec::new();
    let mut found = BTreeSet::new();
    for part in yaml.lines().filter_map(|line| key.captures(line)) {
        way.truncate(part[1].len() / 2);
        way.push(part[2].to_owned());
        found.insert(way.join("."));
    }
    found
}

#[test]
fn the_chart_sets_what_its_templates_read_and_gives_scratch_files_a_place() {
    let values = read("deploy/helm/values.yaml");
    let known = keys_of(&values);
    let mut templates = String::new();
    for name in ["deployment", "disruption", "service", "settings"] {
        templates += &read(&format!("deploy/helm/templates/{name}.yaml"));
    }
    for value in all(r"\.Values\.([A-Za-z.]+)", &templates) {
        assert!(known.contains(value), "{value} is not in values.yaml");
    }
    for line in [
        "readOnlyRootFilesystem: true",
        "- name: scratch\n              mountPath: /tmp\n",
        "- name: scratch\n          emptyDir:\n            sizeLimit: {{ .Values.scratch.sizeLimit }}\n",
        "- name: TMPDIR\n              value: /tmp\n",
    ] {
        assert!(templates.contains(line), "{line}");
    }
    // As large as the largest file that a partner may send, by default, and more.
    let limit = all(r"sizeLimit: (\d+)Gi", &values);
    let limit: u64 = limit[0].parse().unwrap();
    let template = read("deploy/payhall.default.toml");
    let largest = all(r"bytes_max = (\d+)\n", &template);
    let largest = largest.iter().map(|bytes| bytes.parse::<u64>().unwrap());
    assert!(limit << 30 > largest.max().unwrap(), "{limit} GiB");
}

#[test]
fn the_chart_runs_the_image_s_user_and_lets_it_write_into_a_new_volume() {
    let image = read("deploy/Dockerfile");
    let user = all(r"(?m)^USER (\d+)$", &image)[0];
    assert!(image.contains(&format!("--uid {user} ")), "{user}");
    let chart = read("deploy/helm/templates/deployment.yaml");
    for key in ["runAsUser", "fsGroup"] {
        let said = all(&format!(r"(?m)^        {key}: (\d+)$"), &chart);
        assert_eq!(said, [user], "{key}");
    }
}

#[test]
fn the_unit_may_write_where_its_comments_and_the_readme_say() {
    let (unit, readme) = (read("deploy/payhall.service"), read("deploy/README.md"));
    for line in [
        "StateDirectory=payhall",
        "WorkingDirectory=/var/lib/payhall",
        "ProtectSystem=strict",
        "PrivateTmp=yes",
        "Environment=TMPDIR=/var/tmp",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    for setting in ["files.url", "output.dir", "TMPDIR"] {
        assert!(unit.contains(setting), "{setting}");
        assert!(readme.contains(setting), "{setting}");
    }
}
