//! The JSON Schemas of estates, experiments and a daemon's configuration, made from the types: what editors complete from, and what the loader checks shape by.

use crate::spec::daemon::DaemonConfig;
use crate::spec::estate::Estate;
use crate::spec::experiment::Experiment;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::Value;
use std::sync::OnceLock;

/// The schemas with the names of their files in `schema/`.
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("estate.schema.json", estate_schema().clone()),
        ("experiment.schema.json", experiment_schema().clone()),
        ("daemon.schema.json", daemon_schema().clone()),
    ]
}

/// The schema of an estate.
pub fn estate_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| generate::<Estate>("firedrill estate"))
}

/// The schema of an experiment.
pub fn experiment_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| generate::<Experiment>("firedrill experiment"))
}

/// The schema of a daemon's configuration.
pub fn daemon_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| generate::<DaemonConfig>("firedrill daemon"))
}

fn generate<T: JsonSchema>(title: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(NoNull);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), Value::String(title.to_owned()));
    schema.to_value()
}

/// An empty value (`window:` with nothing behind it) is a slip, never a way to say "none": a guard would vanish in
/// silence. Null is therefore nowhere allowed, although the types' `Option` would take it.
#[derive(Clone, Debug)]
struct NoNull;

impl Transform for NoNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|t| t != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
            choices.retain(|c| c.get("type").is_none_or(|t| t != "null"));
            if let [Value::Object(only)] = choices.as_slice() {
                let only = only.clone();
                object.remove("anyOf");
                for (key, value) in only {
                    object.entry(key).or_insert(value);
                }
            }
        }
        if object.get("default").is_some_and(Value::is_null) {
            object.remove("default");
        }
    }
}
