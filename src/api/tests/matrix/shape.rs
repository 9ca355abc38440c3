//! The schema of a running center, and documents that ask for all of it.

use super::super::support::*;
use super::rules::FILE;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How often a type may stand within itself, such as a region in its region.
const WITHIN_ITSELF: usize = 2;

const QUESTION: &str = "{ __schema { types { kind name fields { name
    type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }
    args { name defaultValue type { kind name ofType { name } } } } } } }";

/// A field, as the schema has it.
struct Field {
    /// The type behind lists and non-nulls.
    of: String,
    /// Whether that is an object.
    is_object: bool,
    /// Its arguments, with the name of each one's type and whether it has to be given.
    arguments: Vec<(String, String, bool)>,
}

/// Every object type with its fields.
pub struct Shape(BTreeMap<String, BTreeMap<String, Field>>);

impl Shape {
    /// Asks a center for its schema.
    pub async fn read(world: &World) -> Self {
        let schema = world.ask(None, QUESTION, json!({})).await.data()["__schema"].clone();
        let mut types = BTreeMap::new();
        for one in schema["types"].as_array().unwrap() {
            let (kind, name) = (text(&one["kind"]), text(&one["name"]));
            assert!(
                !["UNION", "INTERFACE"].contains(&kind.as_str()),
                "{name}: the matrix knows objects only; teach it what a {kind} is"
            );
            if kind == "OBJECT" && !name.starts_with("__") {
                let fields = one["fields"].as_array().unwrap().iter();
                let fields = fields.map(|one| (text(&one["name"]), Field::read(one)));
                types.insert(name, fields.collect());
            }
        }
        Self(types)
    }

    /// Every `Type.field`.
    pub fn names(&self) -> BTreeSet<String> {
        let of_type = |(name, fields): (&String, &BTreeMap<String, Field>)| {
            let name = name.clone();
            let fields: Vec<String> = fields.keys().cloned().collect();
            fields
                .into_iter()
                .map(move |field| format!("{name}.{field}"))
        };
        self.0.iter().flat_map(of_type).collect()
    }

    /// The type of a field's value.
    pub fn behind(&self, owner: &str, field: &str) -> (&str, bool) {
        let field = &self.0[owner][field];
        (&field.of, field.is_object)
    }

    /// The type of a mutation's input, where it takes one.
    pub fn input(&self, mutation: &str) -> Option<&str> {
        let arguments = &self.0["Mutation"][mutation].arguments;
        let input = arguments.iter().find(|(name, ..)| name == "input");
        input.map(|(_, of, _)| of.as_str())
    }

    /// A selection of everything in a type, but for what is left out; empty for a scalar.
    pub fn everything(&self, of: &str, leave_out: &dyn Fn(&str) -> bool) -> String {
        self.select(of, leave_out, &mut Vec::new())
    }

    fn select<'a>(
        &'a self,
        of: &'a str,
        leave_out: &dyn Fn(&str) -> bool,
        trail: &mut Vec<&'a str>,
    ) -> String {
        let Some(fields) = self.0.get(of) else {
            return String::new();
        };
        trail.push(of);
        let mut parts = Vec::new();
        for (name, field) in fields {
            let full = format!("{of}.{name}");
            let depth = trail.iter().filter(|one| **one == field.of).count();
            if leave_out(&full) || depth >= WITHIN_ITSELF {
                continue;
            }
            assert!(
                field.arguments.iter().all(|(.., is_needed)| !is_needed),
                "{full} takes an argument: {FILE} has no place for it yet"
            );
            parts.push(format!(
                "{name}{}",
                self.select(&field.of, leave_out, trail)
            ));
        }
        trail.pop();
        format!(" {{ __typename {} }}", parts.join(" "))
    }

    /// The ways from a type to a field, each as a selection and as the path of names to it.
    pub fn ways_to(&self, from: &str, wanted: &str) -> Vec<(String, Vec<String>)> {
        let mut found = Vec::new();
        self.walk(from, wanted, &mut Vec::new(), &mut found);
        found
    }

    fn walk<'a>(
        &'a self,
        of: &'a str,
        wanted: &str,
        trail: &mut Vec<(&'a str, &'a str)>,
        found: &mut Vec<(String, Vec<String>)>,
    ) {
        if trail.iter().any(|(passed, _)| *passed == of) {
            return;
        }
        for (name, field) in self.0.get(of).into_iter().flatten() {
            trail.push((of, name));
            if format!("{of}.{name}") == wanted {
                let mut selection = self.everything(&field.of, &|_| false);
                for (_, name) in trail.iter().rev() {
                    selection = format!(" {{ {name}{selection} }}");
                }
                let path = trail.iter().map(|(_, name)| (*name).to_owned());
                found.push((selection, path.collect()));
            } else {
                self.walk(&field.of, wanted, trail, found);
            }
            trail.pop();
        }
    }
}

impl Field {
    fn read(one: &Value) -> Self {
        let mut of = &one["type"];
        while of["ofType"].is_object() {
            of = &of["ofType"];
        }
        let argument = |one: &Value| {
            let is_needed = one["type"]["kind"] == "NON_NULL" && one["defaultValue"].is_null();
            let of = [&one["type"]["name"], &one["type"]["ofType"]["name"]];
            let of = of.into_iter().find(|name| name.is_string());
            (
                text(&one["name"]),
                of.map(text).unwrap_or_default(),
                is_needed,
            )
        };
        Self {
            of: text(&of["name"]),
            is_object: of["kind"] == "OBJECT",
            arguments: one["args"]
                .as_array()
                .unwrap()
                .iter()
                .map(argument)
                .collect(),
        }
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}
