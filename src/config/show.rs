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
    let figment = &loaded.figment;
    let mut lines = Vec::new();
    let walked = walk(figment, &mut |path, value| {
        let source = figment.get_metadata(value.tag());
        let source = source.map_or("", |metadata| metadata.name.as_ref());
        lines.push(format!("{path} = {}    # {source}", shown(path, value)));
    });
    if let Err(error) = walked {
        lines.push(format!("# {error}"));
    }
    lines.join("\n") + "\n"
}

/// Goes through all settings, each with its path.
pub(super) fn walk(figment: &Figment, take: &mut impl FnMut(&str, &Value)) -> Result<(), String> {
    let root = figment.extract::<Dict>();
    walk_dict("", &root.map_err(|error| error.to_string())?, take);
    Ok(())
}

fn walk_dict(above: &str, dict: &Dict, take: &mut impl FnMut(&str, &Value)) {
    for (key, value) in dict {
        let path = if above.is_empty() {
            key.clone()
        } else {
            format!("{above}.{key}")
        };
        leaf_or_walk(&path, value, take);
    }
}

fn leaf_or_walk(path: &str, value: &Value, take: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Dict(_, dict) => walk_dict(path, dict, take),
        Value::Array(_, items) if items.iter().any(|item| item.as_dict().is_some()) => {
            for (place, item) in items.iter().enumerate() {
                leaf_or_walk(&format!("{path}.{place}"), item, take);
            }
        }
        value => take(path, value),
    }
}

/// What may be shown of a value.
pub(super) fn shown(path: &str, value: &Value) -> String {
    if is_secret(path) || may_hold_password(value) {
        redacted(value)
    } else {
        plain(value)
    }
}

/// Whether a value may be a URL with a password in it, where none belongs: the check of settings refuses
/// that, and whoever looks for the mistake here is not to find the password on the screen.
fn may_hold_password(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.split_once("://")
        .is_some_and(|(_, rest)| rest.contains('@'))
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
