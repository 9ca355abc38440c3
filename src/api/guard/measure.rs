//! Measures what a document expands to, without expanding it: each fragment is measured once.

use super::{INTROSPECTION_DEPTH_MAX, INTROSPECTION_LISTS_MAX, Limits, Refused, Visits};
use async_graphql::Name;
use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet};
use std::collections::HashMap;

/// What was found in a whole document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expanded {
    /// Whether it asks for the schema itself.
    pub introspects: bool,
}

/// What a selection set expands to. Sums saturate; depths do not grow through fragments.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    /// Selections of all kinds.
    selections: usize,
    /// Fields at the top, except `__typename`: what an operation has at its root.
    top_fields: usize,
    /// How deep fields are nested outside introspection.
    depth: usize,
    /// How deep they are nested where introspection is among them.
    introspection_depth: usize,
    /// How many of the schema's lists are nested in each other, if this is inside introspection.
    lists: usize,
    /// The same, once it is known to be inside introspection.
    introspection_lists: usize,
}

impl Size {
    /// Two things side by side.
    fn beside(self, other: Size) -> Size {
        Size {
            selections: self.selections.saturating_add(other.selections),
            top_fields: self.top_fields.saturating_add(other.top_fields),
            depth: self.depth.max(other.depth),
            introspection_depth: self.introspection_depth.max(other.introspection_depth),
            lists: self.lists.max(other.lists),
            introspection_lists: self.introspection_lists.max(other.introspection_lists),
        }
    }

    /// A field around what it selects.
    fn inside(self, field: &str) -> Size {
        let is_list = matches!(
            field,
            "fields" | "inputFields" | "interfaces" | "possibleTypes" | "types"
        );
        let lists = self.lists + usize::from(is_list);
        let around = Size {
            selections: self.selections.saturating_add(1),
            top_fields: usize::from(field != "__typename"),
            lists,
            ..self
        };
        if matches!(field, "__schema" | "__type") {
            return Size {
                depth: 0,
                introspection_depth: 1 + self.depth.max(self.introspection_depth),
                introspection_lists: lists,
                ..around
            };
        }
        let introspection_depth = match self.introspection_depth {
            0 => 0,
            deeper => deeper + 1,
        };
        Size {
            depth: self.depth + 1,
            introspection_depth,
            ..around
        }
    }

    /// A fragment or a spread around what it selects: a selection more, no deeper.
    fn spread(self) -> Size {
        Size {
            selections: self.selections.saturating_add(1),
            ..self
        }
    }
}

enum Memo {
    Underway,
    Known(Size),
}

struct Measure<'a> {
    document: &'a ExecutableDocument,
    memo: HashMap<&'a Name, Memo>,
    visits: &'a mut Visits,
}

/// Measures every operation and every fragment, and refuses what passes a limit.
pub(super) fn measure(
    document: &ExecutableDocument,
    limits: &Limits,
    visits: &mut Visits,
) -> Result<Expanded, Refused> {
    let mut measure = Measure {
        document,
        memo: HashMap::with_capacity(document.fragments.len()),
        visits,
    };
    let mut whole = Size::default();
    let (mut mutations, mut introspects) = (0_usize, false);
    for (_, operation) in document.operations.iter() {
        let size = measure.selection_set(&operation.node.selection_set.node)?;
        match operation.node.ty {
            OperationType::Query => {}
            OperationType::Mutation => mutations = mutations.saturating_add(size.top_fields),
            OperationType::Subscription if size.top_fields > 1 => {
                return Err(Refused::ManySubscriptions);
            }
            OperationType::Subscription => {}
        }
        introspects |= size.introspection_depth > 0;
        whole = whole.beside(size);
    }
    // A fragment that nobody spreads is validated all the same.
    for name in document.fragments.keys() {
        measure.fragment(name)?;
    }
    check(&whole, limits)?;
    if mutations > 1 {
        return Err(Refused::ManyMutations);
    }
    Ok(Expanded { introspects })
}

fn check(whole: &Size, limits: &Limits) -> Result<(), Refused> {
    if whole.selections > limits.expansion {
        return Err(Refused::TooMany {
            what: "fields once its fragments are spread",
            limit: limits.expansion,
        });
    }
    for (depth, limit, what) in [
        (whole.depth, limits.depth, "fields"),
        (
            whole.introspection_depth,
            INTROSPECTION_DEPTH_MAX,
            "fields of introspection",
        ),
        (
            whole.introspection_lists,
            INTROSPECTION_LISTS_MAX,
            "lists of introspection",
        ),
    ] {
        if depth > limit {
            return Err(Refused::TooDeep { what, limit });
        }
    }
    Ok(())
}

impl<'a> Measure<'a> {
    fn selection_set(&mut self, set: &'a SelectionSet) -> Result<Size, Refused> {
        let mut whole = Size::default();
        for selection in &set.items {
            self.visits.0 += 1;
            let size = match &selection.node {
                Selection::Field(field) => self
                    .selection_set(&field.node.selection_set.node)?
                    .inside(&field.node.name.node),
                Selection::InlineFragment(inline) => self
                    .selection_set(&inline.node.selection_set.node)?
                    .spread(),
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node)?.spread()
                }
            };
            whole = whole.beside(size);
        }
        Ok(whole)
    }

    /// The size of a fragment; nothing for one that is not defined, which validation refuses.
    fn fragment(&mut self, name: &'a Name) -> Result<Size, Refused> {
        match self.memo.get(name) {
            Some(Memo::Known(size)) => return Ok(*size),
            Some(Memo::Underway) => return Err(Refused::Cycle),
            None => {}
        }
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Size::default());
        };
        self.memo.insert(name, Memo::Underway);
        let size = self.selection_set(&fragment.node.selection_set.node)?;
        self.memo.insert(name, Memo::Known(size));
        Ok(size)
    }
}
