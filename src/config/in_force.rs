//! The settings in force one by one, for the audit trail: what may be shown of each, and what may not.

use super::show::{is_secret, shown, walk};
use figment::Figment;
use secrecy::SecretString;

/// One setting.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Where it stands, such as `polling.batch`.
    pub path: String,
    /// What may be shown of its value.
    pub shown: String,
    /// The value, where it is not shown whole.
    pub secret: Option<SecretString>,
}

/// All of them, by path. They could be read as settings before, so they can be walked through.
pub(super) fn settings(figment: &Figment) -> Vec<Setting> {
    let mut settings = Vec::new();
    let walked = walk(figment, &mut |path, value| {
        let text = value.as_str().filter(|_| is_secret(path));
        let text = text.filter(|text| !text.is_empty() && !text.starts_with("sqlite:"));
        settings.push(Setting {
            path: path.to_owned(),
            shown: shown(path, value),
            secret: text.map(SecretString::from),
        });
    });
    debug_assert!(walked.is_ok(), "settings that were read a moment ago");
    settings
}
