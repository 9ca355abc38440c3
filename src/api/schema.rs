//! The schema, put together.

use super::limits::CallLimits;
use super::options::ApiOptions;
use super::roots::{Mutation, Query, Subscription};
use super::session::CookieRule;
use crate::api::loaders;
use crate::engine::{Engine, JobBook, Operators};
use async_graphql::SchemaBuilder;
use std::sync::Arc;

/// The schema of the center.
pub(super) type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// How deep fragments and fields together may be nested: the framework descends as deep. The guard's
/// own limits on both are far below the product.
const RECURSION_MAX: usize = 64;

/// The schema over an engine. Depth is the guard's business, which has another limit for
/// introspection; complexity needs the types, so it is the framework's.
pub(super) fn build(
    engine: &Engine,
    (operators, jobs): (&Operators, &Arc<dyn JobBook>),
    limits: &CallLimits,
    options: &ApiOptions,
) -> Schema {
    let schema = bare()
        .data(loaders::flows(engine.clone()))
        .data(loaders::tries(engine.clone()))
        .data(engine.clone())
        .data(operators.clone())
        .data(jobs.clone())
        .data(limits.clone())
        .data(CookieRule {
            is_https: options.https,
        })
        .limit_complexity(options.complexity_max)
        .limit_recursive_depth(RECURSION_MAX);
    if options.introspection == super::Introspection::Everyone {
        return schema.finish();
    }
    // "Did you mean …" would tell the schema to those who may not ask for it.
    schema.disable_suggestions().finish()
}

fn bare() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(
        Query::default(),
        Mutation::default(),
        Subscription::default(),
    )
}

/// The schema in the schema definition language, as `schema.graphql` holds it.
pub fn sdl() -> String {
    bare().finish().sdl()
}
