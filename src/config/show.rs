//! Prints the settings in force, each with the place it comes from; secrets are not printed.

use super::Loaded;
use figment::Figment;
use figment::value::{Dict, Value};

/// Keys whose values are not shown anywhere.
pub(super) fn is_secret(path: &str) -> bool {
    let key = path.rsplit('.').next().unwrap_or(path);
    matches!(
        key,
        "token" | "webhook_url" | "master" | "former_master" | "client_secret"
    ) || matches!(path, "storage.url" | "cache.url")
}

/// The settings in force, a line each: path, value, source.
pub fn show(loaded: &Loaded) -> String {
    let mut lines = Vec::new();
    match loaded.figment.extract::<Dict>() {
        Ok(root) => walk(&loaded.figment, "", &root, &mut lines),
        Err(error) => lines.push(format!("# {error}")),
    }
    lines.join("\n") + "\n"
}

fn walk(figment: &Figment, above: &str, dict: &Dict, lines: &mut Vec<String>) {
    for (key, value) in dict {
        let path = if above.is_empty() {
            key.clone()
        } else {
            format!("{above}.{key}")
        };
        leaf_or_walk(figment, &path, value, lines);
    }
}

fn leaf_or_walk(figment: &Figment, path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Dict(_, dict) => walk(figment, path, dict, lines),
        Value::Array(_, items) if items.iter().any(|item| item.as_dict().is_some()) => {
            for (place, item) in items.iter().enumerate() {
                leaf_or_walk(figment, &format!("{path}.{place}"), item, lines);
            }
        }
        value => {
            let source = figment.get_metadata(value.tag());
            let source = source.map_or("", |metadata| metadata.name.as_ref());
            let shown = if is_secret(path) {
                redacted(value)
            } else {
                plain(value)
            };
            lines.push(format!("{path} = {shown}    # {source}"));
        }
    }
}

/// A URL without what stands before its host and after it; other secrets not at all. A password with
/// a raw `/` in it hides where the host begins, and then nothing is shown.
fn redacted(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    if text.is_empty() {
        return "\"\"".to_owned();
    }
    if text.starts_with("sqlite:") {
        return format!("{text:?}");
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return "\"***\"".to_owned();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        None if path.contains('@') => format!("\"{scheme}://***\""),
        None => format!("\"{scheme}://***@{authority}/***\""),
        Some((_, host)) => format!("\"{scheme}://***@{host}/***\""),
    }
}

fn plain(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "?".to_owned())
}
