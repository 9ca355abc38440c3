//! The table of rules, read from `rules.txt`.

use std::collections::{BTreeMap, BTreeSet};

/// Where a new line belongs, for messages.
pub const FILE: &str = "src/api/tests/matrix/rules.txt";

/// Whose a root's object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// Everybody with the right is told the same.
    Same,
    /// It is about the caller.
    Own,
    /// It is the caller itself.
    Caller,
}

/// A way to ask for a field at the root.
#[derive(Clone, Debug)]
pub struct Way {
    /// `Query`, `Mutation` or `Subscription`.
    pub kind: String,
    /// The field.
    pub field: String,
    /// The right that it asks for.
    pub right: String,
    /// Whose its object is.
    pub object: Object,
    /// The arguments, or the inputs of a mutation that name the object.
    pub arguments: String,
}

/// Who sees a field of an object that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Whoever sees the object.
    With,
    /// It is about the caller.
    Caller,
    /// Names of operators are for operators.
    Names,
    /// In clear with the right, else masked.
    Masked(String),
    /// Nothing without the right.
    Hidden(String),
    /// Some of it without the right.
    Part(String),
    /// Refused without the right.
    Right(String),
}

/// A right, as the table has it.
#[derive(Clone, Debug)]
pub struct Right {
    /// A letter for each caller that has it.
    pub callers: String,
    /// A session has to be fresh for it.
    pub is_fresh: bool,
    /// It may be used with a temporary password.
    pub is_temporary: bool,
}

/// The whole table.
#[derive(Debug, Default)]
pub struct Rules {
    /// By name.
    pub rights: BTreeMap<String, Right>,
    /// In the order of the file.
    pub ways: Vec<Way>,
    /// By `Type.field`.
    pub fields: BTreeMap<String, Rule>,
    /// Fields that nothing in the world of the tests reaches.
    pub unseen: BTreeSet<String>,
}

impl Rules {
    /// Reads the table. What is wrong with a line fails the test with the line.
    pub fn read() -> Self {
        let mut rules = Self::default();
        for line in include_str!("rules.txt").lines() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                rules
                    .take(line)
                    .unwrap_or_else(|| panic!("{FILE}: a line nobody understands: {line}"));
            }
        }
        for (field, rule) in &rules.fields {
            let (Rule::Masked(right)
            | Rule::Hidden(right)
            | Rule::Part(right)
            | Rule::Right(right)) = rule
            else {
                continue;
            };
            assert!(rules.rights.contains_key(right), "{FILE}: {field}: {right}");
        }
        rules
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let mut words = line.split_whitespace();
        let (first, second) = (words.next()?, words.next()?);
        let rest: Vec<&str> = words.collect();
        if first == "right" {
            let (callers, marks) = rest.split_first()?;
            let right = Right {
                callers: (*callers).to_owned(),
                is_fresh: marks.contains(&"fresh"),
                is_temporary: marks.contains(&"temporary"),
            };
            let known = ["fresh", "temporary"];
            let is_new = self.rights.insert(second.to_owned(), right).is_none();
            return (is_new && marks.iter().all(|mark| known.contains(mark))).then_some(());
        }
        let (kind, field) = first.split_once('.')?;
        if ["Query", "Mutation", "Subscription"].contains(&kind) {
            let object = match *rest.first()? {
                "same" => Object::Same,
                "own" => Object::Own,
                "self" => Object::Caller,
                _ => return None,
            };
            self.rights.get(second)?;
            self.ways.push(Way {
                kind: kind.to_owned(),
                field: field.to_owned(),
                right: second.to_owned(),
                object,
                arguments: rest[1..].join(" "),
            });
            return Some(());
        }
        let rest = match rest.split_last() {
            Some((&"unseen", before)) => {
                self.unseen.insert(first.to_owned());
                before
            }
            _ => &rest[..],
        };
        let right = rest.first().map(|right| (*right).to_owned());
        let rule = match (second, right) {
            ("with", None) => Rule::With,
            ("self", None) => Rule::Caller,
            ("names", None) => Rule::Names,
            ("masked", Some(right)) => Rule::Masked(right),
            ("hidden", Some(right)) => Rule::Hidden(right),
            ("part", Some(right)) => Rule::Part(right),
            (right, None) => Rule::Right(right.to_owned()),
            _ => return None,
        };
        self.fields
            .insert(first.to_owned(), rule)
            .is_none()
            .then_some(())
    }

    /// The rule of a field of an object. What a root lets anybody have is judged by its ways.
    pub fn of(&self, field: &str) -> &Rule {
        if ["Query.", "Subscription."]
            .iter()
            .any(|root| field.starts_with(root))
        {
            return &Rule::With;
        }
        self.fields
            .get(field)
            .unwrap_or_else(|| panic!("{field} has no line in {FILE}"))
    }

    /// Whether a caller has a right.
    pub fn may(&self, letter: char, right: &str) -> bool {
        self.rights[right].callers.contains(letter)
    }

    /// Every `Type.field` that has a line, those of the roots too.
    pub fn names(&self) -> BTreeSet<String> {
        let ways = self.ways.iter().map(Way::name);
        ways.chain(self.fields.keys().cloned()).collect()
    }
}

impl Way {
    /// `Type.field`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.kind, self.field)
    }
}
