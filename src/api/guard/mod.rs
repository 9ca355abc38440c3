//! The expansion guard: what a document would cost is counted before anybody else walks it.
//!
//! A GraphQL server walks a document many times: to validate it, to cost it, to execute it. Where
//! fragments spread each other, 900 bytes can stand for more fields than there are atoms, and each
//! of those walks would take them one by one. So every text goes through three looks, each of them
//! linear in its length:
//!
//! 1. `scan` — brackets are counted before the parser, which descends as deep as they are nested.
//! 2. `tally` — the nodes as they are written: aliases, directives, values, variables, names.
//! 3. `measure` — what they expand to, with a memo per fragment; a fragment that comes back to
//!    itself is refused, used or not.
//!
//! One document holds one mutation field at most: one movement of money, one answer (and for that
//! matter one place where it could go wrong).
//!
//! How one could break this: by executing a document that was not admitted here; by a limit that a
//! new kind of node is not counted against (the matches on nodes name every part for that reason).

mod measure;
mod scan;
mod tally;

use super::options::ApiOptions;
use async_graphql::Name;
use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection};
use async_graphql::parser::{Error as ParseError, parse_query};

/// How deep brackets of all kinds may be nested: selections, arguments, lists and objects.
const NESTING_MAX: usize = 40;
/// How many operations one document may hold.
const OPERATIONS_MAX: usize = 10;
/// How many fragments one document may define.
const FRAGMENTS_MAX: usize = 50;
/// How many values (list items and object fields counted) may be written into a document.
const VALUES_MAX: usize = 1_000;
/// How long a name may be.
const NAME_BYTES_MAX: usize = 128;
/// How deep introspection may go: what tools send needs 15.
const INTROSPECTION_DEPTH_MAX: usize = 20;
/// How many lists of the schema may be nested in each other: what tools send needs 2. Each level
/// multiplies the answer by the size of the schema.
const INTROSPECTION_LISTS_MAX: usize = 2;

/// The limits that are settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many selections a document may expand to.
    pub expansion: usize,
    /// How deep fields may be nested.
    pub depth: usize,
    /// How many aliases it may hold.
    pub aliases: usize,
    /// How many directives it may hold.
    pub directives: usize,
    /// How many variables it may declare.
    pub variables: usize,
}

impl From<&ApiOptions> for Limits {
    fn from(options: &ApiOptions) -> Self {
        Self {
            expansion: options.expansion_max,
            depth: options.depth_max,
            aliases: options.aliases_max,
            directives: options.directives_max,
            variables: options.variables_max,
        }
    }
}

/// Why a document is refused. No message holds a part of the document beyond a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// Not GraphQL.
    #[error("the document is not GraphQL: see line {line}, column {column}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// Not a document: nothing to execute, or two things of one name.
    #[error("the document cannot be used: {0}")]
    Document(&'static str),
    /// More of something than a limit allows.
    #[error("the document has too many {what}: at most {limit} are allowed")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Nested deeper than a limit allows.
    #[error("{what} are nested too deep: at most {limit} levels are allowed")]
    TooDeep {
        /// What is nested.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A fragment that spreads itself, by itself or through others.
    #[error("a fragment spreads itself, directly or through others")]
    Cycle,
    /// A name that nobody would write.
    #[error("a name is longer than {NAME_BYTES_MAX} letters")]
    LongName,
    /// More than one mutation.
    #[error("a document holds one mutation field at most")]
    ManyMutations,
    /// More than one subscription.
    #[error("a document holds one subscription field at most")]
    ManySubscriptions,
}

/// A document that may be executed.
#[derive(Debug)]
pub(super) struct Admitted {
    /// The document, parsed.
    pub document: ExecutableDocument,
    /// Whether it asks for the schema itself.
    pub introspects: bool,
    /// Whether a value is written into it: then it is one of a kind, and may hold a credential.
    pub has_values: bool,
    /// Whether each of its operations is a subscription.
    pub only_subscribes: bool,
    /// The one field at its root, where the document is one mutation with that field written out.
    pub mutation: Option<Name>,
}

/// How much work the guard itself did, so that a test can hold it to its promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Visits(pub usize);

/// Parses a document and counts what it would cost.
pub(super) fn admit(text: &str, limits: &Limits) -> Result<Admitted, Refused> {
    admit_counted(text, limits, &mut Visits::default())
}

/// The same, telling how many nodes were looked at.
pub(super) fn admit_counted(
    text: &str,
    limits: &Limits,
    visits: &mut Visits,
) -> Result<Admitted, Refused> {
    scan::check_nesting(text, NESTING_MAX)?;
    let document = parse_query(text).map_err(refuse_syntax)?;
    let written = tally::tally(&document, limits, visits)?;
    let expanded = measure::measure(&document, limits, visits)?;
    let mut types = document
        .operations
        .iter()
        .map(|(_, operation)| operation.node.ty);
    let only_subscribes = types.all(|ty| ty == OperationType::Subscription);
    Ok(Admitted {
        introspects: expanded.introspects,
        has_values: written.has_values,
        only_subscribes,
        mutation: mutation(&document),
        document,
    })
}

/// The field of a document that is nothing but one mutation.
fn mutation(document: &ExecutableDocument) -> Option<Name> {
    let mut operations = document.operations.iter();
    let (Some((_, operation)), None) = (operations.next(), operations.next()) else {
        return None;
    };
    let operation = &operation.node;
    match operation.selection_set.node.items.as_slice() {
        [only] if operation.ty == OperationType::Mutation => match &only.node {
            Selection::Field(field) => Some(field.node.name.node.clone()),
            Selection::FragmentSpread(_) | Selection::InlineFragment(_) => None,
        },
        _ => None,
    }
}

/// The parser's own message shows the line that it stumbled over, and that line may hold a
/// credential; the place is enough.
fn refuse_syntax(error: ParseError) -> Refused {
    let (line, column) = error
        .positions()
        .next()
        .map_or((1, 1), |place| (place.line, place.column));
    match error {
        ParseError::MissingOperation => Refused::Document("it holds no operation"),
        ParseError::MultipleOperations { .. } => {
            Refused::Document("one of several operations has no name")
        }
        ParseError::OperationDuplicated { .. } => Refused::Document("two operations have one name"),
        ParseError::FragmentDuplicated { .. } => Refused::Document("two fragments have one name"),
        ParseError::RecursionLimitExceeded => Refused::Document("it is nested too deep"),
        _ => Refused::Syntax { line, column },
    }
}

#[cfg(test)]
#[path = "../tests/attacks.rs"]
mod attacks;
