//! Reads the settings from their four places and names the place of whatever is wrong.

use super::words::{not_toml, told};
use super::{Config, Problem};
use figment::Figment;
use figment::error::{Error as FigmentError, Kind};
use figment::providers::Serialized;
use figment::value::{Dict, Value};
use std::path::{Path, PathBuf};

/// The commented defaults, which are compiled in.
pub const TEMPLATE: &str = include_str!("../../deploy/payhall.default.toml");

const PREFIX: &str = "PAYHALL_";
const FILE: &str = "PAYHALL_CONFIG";
const ENVIRONMENT: &str = "the environment";

/// Settings given as flags: dotted path and value.
#[derive(Clone, Debug, Default)]
pub struct Flags(pub Vec<(&'static str, String)>);

/// The variables of the environment that are settings: name and value.
#[derive(Clone, Default)]
pub struct Environment(pub Vec<(String, String)>);

impl Environment {
    /// The environment of this process. A variable that is not UTF-8 is taken as well as it can be
    /// read: it is then named as wrong, where `std::env::vars` would panic.
    pub fn of_process() -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self(
            std::env::vars_os()
                .map(|(name, value)| (text(name), text(value)))
                .filter(|(name, _)| name.starts_with(PREFIX))
                .collect(),
        )
    }

    fn file(&self) -> Option<PathBuf> {
        let named = self.0.iter().find(|(name, _)| name == FILE);
        named.map(|(_, path)| PathBuf::from(path))
    }

    /// `PAYHALL_SECTION__KEY=value` as `section.key = value`, and the variables that were meant so
    /// but are not written so. Kubernetes sets `PAYHALL_SERVICE_HOST` and others like it beside a
    /// service of our name, so a variable without `__` is only suspect if a section's name opens it.
    fn settings(&self, sections: &Dict) -> (Dict, Vec<Problem>) {
        let (mut root, mut suspect) = (Value::from(Dict::new()), Vec::new());
        for (name, value) in &self.0 {
            let Some(key) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let key = key.to_ascii_lowercase();
            let is_section =
                |word: &str| matches!(word, "callers" | "adapters") || sections.contains_key(word);
            if key.contains("__") || is_section(&key) {
                let Ok(value) = value.parse::<Value>();
                root = merge(root, figment::util::nest(&key.replace("__", "."), value));
            } else if let Some((section, rest)) = key.split_once('_')
                && is_section(section)
            {
                let meant = format!("{PREFIX}{section}__{rest}").to_ascii_uppercase();
                suspect.push(Problem {
                    path: name.clone(),
                    source: Some(ENVIRONMENT.to_owned()),
                    what: format!("is not a setting; {meant} would be one"),
                });
            }
        }
        (root.into_dict().unwrap_or_default(), suspect)
    }
}

/// One nested value laid over another.
fn merge(under: Value, over: Value) -> Value {
    match (under, over) {
        (Value::Dict(tag, mut under), Value::Dict(_, over)) => {
            for (key, value) in over {
                let merged = match under.remove(&key) {
                    Some(before) => merge(before, value),
                    None => value,
                };
                under.insert(key, merged);
            }
            Value::Dict(tag, under)
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
    let defaults = parse(TEMPLATE, "the defaults").map_err(wrong)?;
    let (variables, mut found) = environment.settings(&defaults.settings);
    let mut layers = vec![defaults];
    if let Some(path) = file {
        let text = std::fs::read_to_string(&path).map_err(|cause| ConfigError::File {
            path: path.clone(),
            cause,
        })?;
        layers.push(parse(&text, &format!("file {}", path.display())).map_err(wrong)?);
    }
    layers.push(Layer {
        name: ENVIRONMENT.to_owned(),
        settings: variables,
    });
    layers.push(Layer {
        name: "a flag".to_owned(),
        settings: nested(flags),
    });
    let figment = assembled(&layers);
    if let Some(config) = read_on(&mut layers, &mut found) {
        for mut problem in config.problems() {
            let source = figment.find_metadata(&problem.path);
            problem.source = source.map(|metadata| metadata.name.to_string());
            found.push(problem);
        }
        if found.is_empty() {
            let in_force = super::in_force::settings(&figment);
            let config = Config { in_force, ..config };
            return Ok(Loaded { config, figment });
        }
    }
    Err(ConfigError::Wrong(found))
}

fn wrong(problem: Problem) -> ConfigError {
    ConfigError::Wrong(vec![problem])
}

/// Settings from one place.
struct Layer {
    name: String,
    settings: Dict,
}

/// Reads TOML. What is not TOML is named by line, column and the parser's reason; its whole message
/// would repeat the line, and the line may hold a token.
fn parse(text: &str, name: &str) -> Result<Layer, Problem> {
    let refused = |what: String| Problem {
        path: String::new(),
        source: Some(name.to_owned()),
        what,
    };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = text.get(..error.span().map_or(0, |span| span.start));
        let before = before.unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let reason = not_toml(&error);
        refused(format!(
            "is not TOML from line {line}, column {column} on: {reason}"
        ))
    })?;
    let settings = Value::serialize(&table)
        .ok()
        .and_then(Value::into_dict)
        .ok_or_else(|| refused("is not a table of settings".to_owned()))?;
    Ok(Layer {
        name: name.to_owned(),
        settings,
    })
}

fn assembled(layers: &[Layer]) -> Figment {
    layers.iter().fold(Figment::new(), |figment, layer| {
        figment.merge(Named::new(
            &layer.name,
            Serialized::globals(layer.settings.clone()),
        ))
    })
}

/// Reads the settings. Serde stops at the first mistake, so what it stopped at is taken out and it
/// reads on with the default, until every mistake was found; `None` if it cannot read on.
fn read_on(layers: &mut [Layer], found: &mut Vec<Problem>) -> Option<Config> {
    loop {
        let figment = assembled(layers);
        let error = match figment.extract() {
            Ok(config) => return Some(config),
            Err(error) => error,
        };
        let is_missing = error.missing();
        let problem = problem(&error, &figment);
        let mut path: Vec<&str> = problem.path.split('.').collect();
        if is_missing {
            // What is not there cannot be taken out: the whole that lacks it is.
            path.pop();
        }
        let mut is_mended = false;
        for layer in layers.iter_mut().skip(1) {
            is_mended |= forget(&mut layer.settings, &path);
        }
        // What was taken out a moment ago may now be missed; that is one mistake, not two.
        if !(is_missing && found.iter().any(|one| one.path == problem.path)) {
            found.push(problem);
        }
        if !is_mended {
            return None;
        }
    }
}

/// Takes a value out; one inside a list goes with the list, so that no other changes its place.
fn forget(settings: &mut Dict, path: &[&str]) -> bool {
    match path {
        [] => false,
        [key] => settings.remove(*key).is_some(),
        [key, rest @ ..] => match settings.get_mut(*key) {
            Some(Value::Dict(_, inner)) => forget(inner, rest),
            Some(_) => settings.remove(*key).is_some(),
            None => false,
        },
    }
}

/// Dotted paths as nested settings.
fn nested(flags: &Flags) -> Dict {
    let root = flags
        .0
        .iter()
        .fold(Value::from(Dict::new()), |root, (path, value)| {
            merge(root, figment::util::nest(path, Value::from(value.as_str())))
        });
    root.into_dict().unwrap_or_default()
}

fn problem(error: &FigmentError, figment: &Figment) -> Problem {
    let mut path = error.path.clone();
    if let Kind::UnknownField(field, _) = &error.kind
        && path.last() != Some(field)
    {
        path.push(field.clone());
    }
    if let Kind::MissingField(field) = &error.kind
        && path.last().is_none_or(|last| last != field)
    {
        path.push(field.to_string());
    }
    let path = path.join(".");
    let source = error.metadata.as_ref().map(|place| place.name.to_string());
    let value = figment.find_value(&path).ok();
    let what = told(&error.kind, &path, value.as_ref());
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
