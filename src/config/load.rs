//! Reads the settings from their four places and names the place of whatever is wrong.

use super::{Config, Problem};
use figment::Figment;
use figment::error::{Error as FigmentError, Kind};
use figment::providers::{Format, Serialized, Toml};
use figment::value::Dict;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The commented defaults, which are compiled in.
pub const TEMPLATE: &str = include_str!("../../deploy/payhall.default.toml");

const PREFIX: &str = "PAYHALL_";
const FILE: &str = "PAYHALL_CONFIG";

/// Settings given as flags: dotted path and value.
#[derive(Clone, Debug, Default)]
pub struct Flags(pub Vec<(&'static str, String)>);

/// The variables of the environment that are settings: name and value.
#[derive(Clone, Default)]
pub struct Environment(pub Vec<(String, String)>);

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self(
            std::env::vars()
                .filter(|(name, _)| name.starts_with(PREFIX))
                .collect(),
        )
    }

    fn file(&self) -> Option<PathBuf> {
        let named = self.0.iter().find(|(name, _)| name == FILE);
        named.map(|(_, path)| PathBuf::from(path))
    }

    /// `PAYHALL_SECTION__KEY=value` as `section.key = value`.
    fn settings(&self) -> Dict {
        let mut root = figment::value::Value::from(Dict::new());
        for (name, value) in &self.0 {
            let Some(key) = name.strip_prefix(PREFIX) else {
                continue;
            };
            if name == FILE || key.starts_with("TEST_") {
                continue;
            }
            let path = key.to_ascii_lowercase().replace("__", ".");
            let Ok(value) = value.parse::<figment::value::Value>();
            root = merge(root, figment::util::nest(&path, value));
        }
        root.into_dict().unwrap_or_default()
    }
}

/// One nested value laid over another.
fn merge(under: figment::value::Value, over: figment::value::Value) -> figment::value::Value {
    use figment::value::Value as V;
    match (under, over) {
        (V::Dict(tag, mut under), V::Dict(_, over)) => {
            for (key, value) in over {
                let merged = match under.remove(&key) {
                    Some(before) => merge(before, value),
                    None => value,
                };
                under.insert(key, merged);
            }
            V::Dict(tag, under)
        }
        (_, over) => over,
    }
}

/// Settings that were read, and what they were read from.
pub struct Loaded {
    /// The settings.
    pub config: Config,
    pub(super) figment: Figment,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was named cannot be read.
    #[error("the settings file {path:?} cannot be read: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Values are missing, unknown or wrong; every one that could be found.
    #[error("the settings are wrong:\n{}", lines(.0))]
    Wrong(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("  {problem}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Reads and checks the settings. `file` is the file of the flag; without it `PAYHALL_CONFIG` is
/// looked at.
///
/// # Errors
/// A file that cannot be read; every unknown key and wrong value with path and source.
pub fn load(
    file: Option<&Path>,
    environment: &Environment,
    flags: &Flags,
) -> Result<Loaded, ConfigError> {
    let file = file.map(Path::to_path_buf).or_else(|| environment.file());
    let mut figment = Figment::new().merge(Named::new("the defaults", Toml::string(TEMPLATE)));
    if let Some(path) = file {
        let text = std::fs::read_to_string(&path).map_err(|cause| ConfigError::File {
            path: path.clone(),
            cause,
        })?;
        let name = format!("file {}", path.display());
        figment = figment.merge(Named::new(&name, Toml::string(&text)));
    }
    figment = figment
        .merge(Named::new(
            "the environment",
            Serialized::globals(environment.settings()),
        ))
        .merge(Named::new("a flag", Serialized::globals(nested(flags))));
    let config: Config = figment
        .extract()
        .map_err(|error| ConfigError::Wrong(problems(error)))?;
    let problems = config.problems();
    if problems.is_empty() {
        Ok(Loaded { config, figment })
    } else {
        Err(ConfigError::Wrong(problems))
    }
}

/// Dotted paths as nested objects.
fn nested(flags: &Flags) -> Value {
    let mut root = Map::new();
    for (path, value) in &flags.0 {
        let (section, key) = path.split_once('.').unwrap_or(("", path));
        let section = root
            .entry(section)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(section) = section {
            section.insert(key.to_owned(), Value::String(value.clone()));
        }
    }
    Value::Object(root)
}

fn problems(error: FigmentError) -> Vec<Problem> {
    error.into_iter().map(problem).collect()
}

fn problem(error: FigmentError) -> Problem {
    let mut path = error.path.join(".");
    let source = error
        .metadata
        .as_ref()
        .map(|metadata| metadata.name.to_string());
    let is_secret = super::show::is_secret(&path);
    let what = match &error.kind {
        Kind::UnknownField(field, known) => {
            path = if path.is_empty() {
                field.clone()
            } else {
                format!("{path}.{field}")
            };
            format!("unknown key; known here: {}", known.join(", "))
        }
        Kind::MissingField(field) => {
            let field = field.to_string();
            path = if path.is_empty() {
                field
            } else {
                format!("{path}.{field}")
            };
            "is missing".to_owned()
        }
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) if is_secret => {
            format!("is not {expected}")
        }
        Kind::Message(_) if is_secret => "is not what it should be".to_owned(),
        kind => kind.to_string(),
    };
    Problem { path, source, what }
}

/// A provider that errors and `config show` call by a name that people understand.
struct Named<P> {
    name: String,
    inner: P,
}

impl<P> Named<P> {
    fn new(name: &str, inner: P) -> Self {
        Self {
            name: name.to_owned(),
            inner,
        }
    }
}

impl<P: figment::Provider> figment::Provider for Named<P> {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(self.name.clone())
    }

    fn data(
        &self,
    ) -> Result<figment::value::Map<figment::Profile, figment::value::Dict>, FigmentError> {
        self.inner.data()
    }
}
