//! Label and field selectors, as queries and as objects write them.

use serde_json::{Map, Value};

use super::kinds::Kind;
use super::meta;
use super::status::ApiError;

/// One requirement on a label.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// A conjunction of requirements on labels. Without any, everything matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector {
    requirements: Vec<Requirement>,
}

impl LabelSelector {
    /// Parses the text form: `a=b,c!=d,e in (f,g),h,!i`.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let requirements = split_outside_parentheses(text).into_iter().map(|part| requirement(&part)).collect();
        let requirements: Option<Vec<Requirement>> = requirements;
        let requirements = requirements
            .ok_or_else(|| ApiError::bad_request(format!("unable to parse requirement: found '{text}'")))?;
        Ok(Self { requirements })
    }

    /// Reads the object form: `matchLabels` and `matchExpressions`.
    pub(crate) fn of(selector: &Value) -> Self {
        let mut found = Self::of_map(selector.get("matchLabels").and_then(Value::as_object));
        for expression in meta::items(selector, "/matchExpressions") {
            let key = meta::text(expression, "/key").to_owned();
            let values: Vec<String> = meta::items(expression, "/values")
                .iter()
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect();
            found.requirements.push(match meta::text(expression, "/operator") {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "Exists" => Requirement::Exists(key),
                _ => Requirement::Missing(key),
            });
        }
        found
    }

    /// A plain map, as a Service's selector is one.
    pub(crate) fn of_map(labels: Option<&Map<String, Value>>) -> Self {
        let equal = |(key, value): (&String, &Value)| {
            Requirement::In(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()])
        };
        Self { requirements: labels.into_iter().flatten().map(equal).collect() }
    }

    /// Whether an object's labels satisfy every requirement.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.matches_labels(meta::at(object, "/metadata/labels").and_then(Value::as_object))
    }

    /// Whether these labels satisfy every requirement.
    pub(crate) fn matches_labels(&self, labels: Option<&Map<String, Value>>) -> bool {
        let value = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        self.requirements.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => value(key).is_some_and(|found| values.iter().any(|one| one == found)),
            Requirement::NotIn(key, values) => value(key).is_none_or(|found| values.iter().all(|one| one != found)),
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Missing(key) => value(key).is_none(),
        })
    }
}

impl std::fmt::Display for LabelSelector {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, requirement) in self.requirements.iter().enumerate() {
            if at > 0 {
                to.write_str(",")?;
            }
            match requirement {
                Requirement::In(key, values) if values.len() == 1 => write!(to, "{key}={}", values[0])?,
                Requirement::In(key, values) => write!(to, "{key} in ({})", values.join(","))?,
                Requirement::NotIn(key, values) => write!(to, "{key} notin ({})", values.join(","))?,
                Requirement::Exists(key) => write!(to, "{key}")?,
                Requirement::Missing(key) => write!(to, "!{key}")?,
            }
        }
        Ok(())
    }
}

fn split_outside_parentheses(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for character in text.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn requirement(part: &str) -> Option<Requirement> {
    let key = |text: &str| {
        let text = text.trim();
        let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        (!text.is_empty() && text.bytes().all(fit)).then(|| text.to_owned())
    };
    if let Some((name, values)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let name = name.trim_end();
        return match name.strip_suffix(" notin") {
            Some(name) => Some(Requirement::NotIn(key(name)?, values)),
            None => Some(Requirement::In(key(name.strip_suffix(" in")?)?, values)),
        };
    }
    if let Some((name, value)) = part.split_once("!=") {
        return Some(Requirement::NotIn(key(name)?, vec![value.trim().to_owned()]));
    }
    if let Some((name, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Requirement::In(key(name)?, vec![value.trim().to_owned()]));
    }
    match part.strip_prefix('!') {
        Some(name) => Some(Requirement::Missing(key(name)?)),
        None => Some(Requirement::Exists(key(part)?)),
    }
}

/// Requirements on fields. Only the fields that the real server indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    pointer: String,
    wanted: Wanted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Equal(String),
    Other(String),
}

impl FieldSelector {
    /// Parses the text form for objects of `kind`; an unknown field is an error, as upstream.
    pub(crate) fn parse(kind: Kind, text: &str) -> Result<Self, ApiError> {
        let mut requirements = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (field, wanted) = if let Some((field, value)) = part.split_once("!=") {
                (field, Wanted::Other(value.to_owned()))
            } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (field, Wanted::Equal(value.to_owned()))
            } else {
                return Err(ApiError::bad_request(format!("invalid selector: '{part}'; can't understand '{part}'")));
            };
            if !served(kind, field) {
                return Err(ApiError::bad_request(format!("field label not supported: {field}")));
            }
            requirements.push(FieldRequirement { pointer: format!("/{}", field.replace('.', "/")), wanted });
        }
        Ok(Self { requirements })
    }

    /// Whether an object's fields satisfy every requirement; a missing field counts as empty.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.requirements.iter().all(|requirement| {
            let found = meta::text(object, &requirement.pointer);
            match &requirement.wanted {
                Wanted::Equal(value) => found == value,
                Wanted::Other(value) => found != value,
            }
        })
    }
}

fn served(kind: Kind, field: &str) -> bool {
    let own: &[&str] = match kind {
        Kind::Pod => {
            &["spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "status.phase", "status.podIP"]
        }
        Kind::Event => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "reason",
            "type",
            "reportingComponent",
        ],
        Kind::Secret => &["type"],
        Kind::Namespace => &["status.phase"],
        Kind::Node => &["spec.unschedulable"],
        Kind::Service => &["spec.clusterIP", "spec.type"],
        _ => &[],
    };
    ["metadata.name", "metadata.namespace"].contains(&field) || own.contains(&field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{FieldSelector, LabelSelector};
    use crate::api::Kind;

    fn selects(text: &str, labels: &serde_json::Value) -> bool {
        LabelSelector::parse(text).expect(text).matches(&json!({"metadata": {"labels": labels}}))
    }

    #[test]
    fn each_operator_selects_what_it_says() {
        assert!(selects("a=b,c", &json!({"a": "b", "c": ""})));
        assert!(!selects("a=b,c", &json!({"a": "b"})));
        assert!(selects("a != b", &json!({})));
        assert!(!selects("a!=b", &json!({"a": "b"})));
        assert!(selects("tier in (web, shop),!legacy", &json!({"tier": "shop"})));
        assert!(!selects("tier in (web,shop),!legacy", &json!({"tier": "shop", "legacy": "yes"})));
        assert!(selects("tier notin (web)", &json!({"tier": "db"})));
        assert!(!selects("tier notin (web)", &json!({"tier": "web"})));
        assert!(selects("", &json!({})));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["a b", "in (x)", "(x)", "!", "=x"] {
            assert_eq!(LabelSelector::parse(text).expect_err(text).code, 400);
        }
        assert_eq!(FieldSelector::parse(Kind::Pod, "spec.colour=red").expect_err("unknown").code, 400);
        assert_eq!(FieldSelector::parse(Kind::Lease, "status.phase=Running").expect_err("not of leases").code, 400);
    }

    #[test]
    fn the_object_form_says_the_same() {
        let object = json!({
            "matchLabels": {"app": "shop"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["web", "api"]}, {"key": "old", "operator": "DoesNotExist"}],
        });
        let selector = LabelSelector::of(&object);
        assert_eq!(selector.to_string(), "app=shop,tier in (web,api),!old");
        assert!(selector.matches(&json!({"metadata": {"labels": {"app": "shop", "tier": "api"}}})));
        assert!(!selector.matches(&json!({"metadata": {"labels": {"app": "shop", "tier": "db"}}})));
    }
}
