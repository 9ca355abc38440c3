//! Counts the nodes of a document as they are written, each once.

use super::{FRAGMENTS_MAX, Limits, NAME_BYTES_MAX, OPERATIONS_MAX, Refused, VALUES_MAX, Visits};
use async_graphql::Positioned;
use async_graphql::parser::types::{Directive, ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Name, Value as ConstValue};
use async_graphql_value::Value;

/// What a document holds as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// Whether a value other than a variable is written into it.
    pub has_values: bool,
}

struct Tally<'a> {
    limits: &'a Limits,
    visits: &'a mut Visits,
    aliases: usize,
    directives: usize,
    values: usize,
    has_values: bool,
}

/// Counts, and refuses at the first limit that is passed.
pub(super) fn tally(
    document: &ExecutableDocument,
    limits: &Limits,
    visits: &mut Visits,
) -> Result<Written, Refused> {
    at_most(
        document.operations.iter().len(),
        OPERATIONS_MAX,
        "operations",
    )?;
    at_most(document.fragments.len(), FRAGMENTS_MAX, "fragments")?;
    let mut tally = Tally {
        limits,
        visits,
        aliases: 0,
        directives: 0,
        values: 0,
        has_values: false,
    };
    let mut variables = 0;
    for (name, operation) in document.operations.iter() {
        tally.name(name)?;
        variables += operation.node.variable_definitions.len();
        at_most(variables, limits.variables, "variables")?;
        for variable in &operation.node.variable_definitions {
            tally.name(Some(&variable.node.name.node))?;
            tally.directives(&variable.node.directives)?;
            if let Some(value) = &variable.node.default_value {
                tally.const_value(&value.node)?;
            }
        }
        tally.directives(&operation.node.directives)?;
        tally.selection_set(&operation.node.selection_set.node)?;
    }
    for (name, fragment) in &document.fragments {
        tally.name(Some(name))?;
        tally.directives(&fragment.node.directives)?;
        tally.selection_set(&fragment.node.selection_set.node)?;
    }
    Ok(Written {
        has_values: tally.has_values,
    })
}

fn at_most(count: usize, limit: usize, what: &'static str) -> Result<(), Refused> {
    if count > limit {
        return Err(Refused::TooMany { what, limit });
    }
    Ok(())
}

impl Tally<'_> {
    fn name(&mut self, name: Option<&Name>) -> Result<(), Refused> {
        self.visits.0 += 1;
        match name {
            Some(name) if name.len() > NAME_BYTES_MAX => Err(Refused::LongName),
            _ => Ok(()),
        }
    }

    fn selection_set(&mut self, set: &SelectionSet) -> Result<(), Refused> {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    if let Some(alias) = &field.alias {
                        self.aliases += 1;
                        at_most(self.aliases, self.limits.aliases, "aliases")?;
                        self.name(Some(&alias.node))?;
                    }
                    self.name(Some(&field.name.node))?;
                    self.arguments(&field.arguments)?;
                    self.directives(&field.directives)?;
                    self.selection_set(&field.selection_set.node)?;
                }
                Selection::FragmentSpread(spread) => {
                    self.name(Some(&spread.node.fragment_name.node))?;
                    self.directives(&spread.node.directives)?;
                }
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    self.name(condition.map(|condition| &condition.node.on.node))?;
                    self.directives(&inline.node.directives)?;
                    self.selection_set(&inline.node.selection_set.node)?;
                }
            }
        }
        Ok(())
    }

    fn directives(&mut self, directives: &[Positioned<Directive>]) -> Result<(), Refused> {
        self.directives += directives.len();
        at_most(self.directives, self.limits.directives, "directives")?;
        for directive in directives {
            self.name(Some(&directive.node.name.node))?;
            self.arguments(&directive.node.arguments)?;
        }
        Ok(())
    }

    fn arguments(
        &mut self,
        arguments: &[(Positioned<Name>, Positioned<Value>)],
    ) -> Result<(), Refused> {
        for (name, value) in arguments {
            self.name(Some(&name.node))?;
            self.value(&value.node)?;
        }
        Ok(())
    }

    fn value(&mut self, value: &Value) -> Result<(), Refused> {
        self.count_value()?;
        match value {
            Value::Variable(name) => self.name(Some(name)),
            Value::List(items) => items.iter().try_for_each(|item| self.value(item)),
            Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
                self.name(Some(name))?;
                self.value(value)
            }),
            Value::String(_) | Value::Number(_) | Value::Binary(_) => {
                self.has_values = true;
                Ok(())
            }
            Value::Null | Value::Boolean(_) | Value::Enum(_) => Ok(()),
        }
    }

    fn const_value(&mut self, value: &ConstValue) -> Result<(), Refused> {
        self.count_value()?;
        match value {
            ConstValue::List(items) => items.iter().try_for_each(|item| self.const_value(item)),
            ConstValue::Object(fields) => fields.iter().try_for_each(|(name, value)| {
                self.name(Some(name))?;
                self.const_value(value)
            }),
            ConstValue::String(_) | ConstValue::Number(_) | ConstValue::Binary(_) => {
                self.has_values = true;
                Ok(())
            }
            ConstValue::Null | ConstValue::Boolean(_) | ConstValue::Enum(_) => Ok(()),
        }
    }

    fn count_value(&mut self) -> Result<(), Refused> {
        self.visits.0 += 1;
        self.values += 1;
        at_most(self.values, VALUES_MAX, "values")
    }
}
