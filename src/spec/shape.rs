//! Holds a tree against the schema of its type and tells all that is wrong with its shape at once. Serde would stop at
//! the first error; the schema is made from the same types, so both agree, and a test keeps it so.

use crate::spec::mask::{has_url_password, is_secret_key, mask};
use crate::spec::nearest::{all_of, nearest, one_of};
use crate::spec::one_or_many;
use crate::spec::path::{NodePath, Step};
use crate::spec::problem::{Code, Problem};
use crate::spec::tree::{Entry, Extent, Kind, Node};
use crate::spec::words;
use serde_json::Value;
use std::ops::Range;

/// What holding a tree against a schema showed.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// All that is wrong, still without a source.
    pub(crate) problems: Vec<Problem>,
    /// The bytes of values that must never be shown.
    pub(crate) secrets: Vec<Range<usize>>,
}

/// Holds a tree against a schema.
pub(crate) fn check(tree: &Node, schema: &Value) -> Shape {
    let mut walk = Walk { root: schema, shape: Shape::default() };
    walk.secret_keys(tree);
    let top = tree.first();
    walk.node(tree, schema, &Spot { path: NodePath::default(), at: top, doc: None });
    walk.shape.problems.sort_by_key(|p| (p.place.line, p.place.column));
    walk.shape
}

/// Where the walk stands: the path, what to underline, and what the schema says about the key.
pub(crate) struct Spot<'a> {
    pub(crate) path: NodePath,
    pub(crate) at: Extent,
    pub(crate) doc: Option<&'a str>,
}

impl Spot<'_> {
    /// What the thing is called in a sentence.
    pub(crate) fn name(&self) -> String {
        let text = self.path.to_string();
        if text.is_empty() { "the file".to_owned() } else { format!("`{text}`") }
    }

    pub(crate) fn problem(&self, code: Code, message: impl Into<String>) -> Problem {
        Problem::at(code, &self.at, &self.path, message)
    }
}

/// What stands at a node, for a sentence; secrets and length are cut.
pub(crate) fn describe(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "nothing".to_owned(),
        Kind::Bool(value) => format!("the boolean {value}"),
        Kind::Int(value) => format!("the number {value}"),
        Kind::Float(value) => format!("the number {value}"),
        Kind::Text(text) => format!("the text {}", quoted(text)),
        Kind::List(items) if items.len() == 1 => "a list of 1 item".to_owned(),
        Kind::List(items) => format!("a list of {} items", items.len()),
        Kind::Map(entries) if entries.is_empty() => "an empty mapping".to_owned(),
        Kind::Map(entries) => {
            format!("a mapping with {}", all_of(entries.iter().map(|e| e.key.as_str())))
        }
    }
}

fn quoted(text: &str) -> String {
    let shown = mask(text, &[]);
    let short: String = shown.chars().take(40).collect();
    let gap = if short.len() < shown.len() { "…" } else { "" };
    format!("{short:?}{gap}")
}

struct Walk<'a> {
    root: &'a Value,
    shape: Shape,
}

impl<'a> Walk<'a> {
    fn tell(&mut self, problem: Problem) {
        self.shape.problems.push(problem);
    }

    /// Values of keys that name a secret are hidden wherever they stand.
    fn secret_keys(&mut self, node: &Node) {
        match &node.kind {
            Kind::List(items) => items.iter().for_each(|item| self.secret_keys(item)),
            Kind::Map(entries) => {
                for entry in entries {
                    if is_secret_key(&entry.key) {
                        self.hide(&entry.value);
                    }
                    self.secret_keys(&entry.value);
                }
            }
            _ => {}
        }
    }

    fn hide(&mut self, node: &Node) {
        if matches!(node.kind, Kind::Text(_) | Kind::Int(_) | Kind::Float(_)) {
            self.shape.secrets.push(node.at.bytes.clone());
        }
    }

    fn resolve(&self, schema: &'a Value) -> (Option<&'a str>, &'a Value) {
        match schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/")) {
            Some(name) => (Some(name), self.root.get("$defs").and_then(|d| d.get(name)).unwrap_or(&Value::Bool(true))),
            None => (None, schema),
        }
    }

    fn node(&mut self, node: &Node, schema: &'a Value, spot: &Spot<'a>) {
        let (name, body) = self.resolve(schema);
        if body.as_bool() == Some(true) {
            return;
        }
        if name == Some("SecretRef") && !matches!(node.kind, Kind::Map(_)) {
            self.hide(node);
            return self.tell(words::inline_secret(spot, node));
        }
        if matches!(node.kind, Kind::Null) {
            return self.tell(empty(spot));
        }
        if let Some(problem) = name.and_then(|name| words::scalar(name, node, spot)) {
            return self.tell(problem);
        }
        if body.get(one_or_many::MARK).is_some() {
            let [one, many] = [0, 1].map(|nth| &body["oneOf"][nth]);
            let is_list = matches!(node.kind, Kind::List(_));
            return if is_list { self.list(node, many, spot) } else { self.node(node, one, spot) };
        }
        if let Some(choices) = body.get("oneOf").and_then(Value::as_array) {
            return self.choice(node, &Choice::of(name, choices), spot);
        }
        match body.get("type").and_then(Value::as_str) {
            Some("object") => self.mapping(node, name, body, spot),
            Some("array") => self.list(node, body, spot),
            Some("integer") => self.integer(node, body, spot),
            Some(kind) => self.scalar(node, kind, spot),
            None => {}
        }
    }

    fn wrong_type(&mut self, node: &Node, spot: &Spot<'a>, expected: &str, help: Option<String>) {
        let mut problem = spot
            .problem(Code::WrongType, format!("{} is not {expected}", spot.name()))
            .found(describe(node))
            .expected(expected);
        problem.help = help.or_else(|| spot.doc.map(|doc| format!("what it is: {doc}")));
        self.tell(problem);
    }

    fn scalar(&mut self, node: &Node, kind: &str, spot: &Spot<'a>) {
        match (kind, &node.kind) {
            ("string", Kind::Text(text)) => {
                if has_url_password(text) {
                    self.hide(node);
                    self.tell(words::url_with_password(spot));
                }
            }
            ("boolean", Kind::Bool(_)) | ("number", Kind::Int(_) | Kind::Float(_)) => {}
            ("string", Kind::Bool(_) | Kind::Int(_) | Kind::Float(_)) => {
                let help = "YAML reads this as a number or a boolean: put it in quotes".to_owned();
                self.wrong_type(node, spot, "text", Some(help));
            }
            ("string", _) => self.wrong_type(node, spot, "text", None),
            ("boolean", _) => self.wrong_type(node, spot, "`true` or `false`", None),
            _ => self.wrong_type(node, spot, "a number", None),
        }
    }

    fn integer(&mut self, node: &Node, body: &Value, spot: &Spot<'a>) {
        let Kind::Int(value) = node.kind else {
            return self.wrong_type(node, spot, "a whole number", None);
        };
        let low = body.get("minimum").and_then(Value::as_i64).map_or(i128::MIN, i128::from);
        let high = body.get("maximum").and_then(Value::as_i64).map_or_else(
            || match body.get("format").and_then(Value::as_str) {
                Some("uint32") => i128::from(u32::MAX),
                _ => i128::from(u64::MAX),
            },
            i128::from,
        );
        if !(low..=high).contains(&value) {
            self.tell(
                spot.problem(Code::Value, format!("{} is out of range", spot.name()))
                    .found(describe(node))
                    .expected(format!("a whole number from {low} to {high}")),
            );
        }
    }

    fn list(&mut self, node: &Node, body: &'a Value, spot: &Spot<'a>) {
        let Kind::List(items) = &node.kind else {
            let help = match &node.kind {
                Kind::Text(_) => {
                    Some(format!("write {} as a list: `[…]`, or each item on its own line behind `- `", spot.name()))
                }
                Kind::Map(_) => Some("begin each item with `- `".to_owned()),
                _ => None,
            };
            return self.wrong_type(node, spot, "a list", help);
        };
        if items.is_empty() && body.get("minItems").is_some() {
            return self.tell(empty(spot));
        }
        let Some(schema) = body.get("items") else { return };
        for (nth, item) in items.iter().enumerate() {
            self.node(item, schema, &Spot { path: spot.path.index(nth), at: item.first(), doc: spot.doc });
        }
    }

    fn mapping(&mut self, node: &Node, name: Option<&'a str>, body: &'a Value, spot: &Spot<'a>) {
        let Kind::Map(entries) = &node.kind else {
            let keys = keys_of(body);
            let expected =
                if keys.is_empty() { "a mapping".to_owned() } else { format!("a mapping with {}", all_of(keys)) };
            return self.tell(
                spot.problem(Code::WrongType, format!("{} is not a mapping", spot.name()))
                    .found(describe(node))
                    .expected(expected),
            );
        };
        self.duplicates(entries, spot);
        let properties = body.get("properties").and_then(Value::as_object);
        let pattern = body.get("patternProperties").and_then(Value::as_object).and_then(|p| p.values().next());
        let rest = body.get("additionalProperties").filter(|a| a.is_object());
        for entry in entries {
            let path = spot.path.key(&entry.key);
            let known = properties.and_then(|p| p.get(&entry.key));
            if let Some(schema) = known.or(rest) {
                self.value(entry, schema, path);
            } else if let Some(schema) = pattern {
                self.name_key(entry, &path);
                self.value(entry, schema, path);
            } else if body.get("additionalProperties") == Some(&Value::Bool(false)) {
                self.unknown_key(entry, body, &path);
            }
        }
        self.missing_keys(entries, body, spot);
        if let Some(problem) = name.and_then(|name| words::mapping(name, node, spot)) {
            self.tell(problem);
        }
    }

    fn value(&mut self, entry: &Entry, schema: &'a Value, path: NodePath) {
        let doc = schema.get("description").and_then(Value::as_str);
        let block = entry.value.at.bytes.is_empty() || matches!(entry.value.kind, Kind::Map(_) | Kind::List(_));
        let at = if block { entry.key_at.clone() } else { entry.value.at.clone() };
        self.node(&entry.value, schema, &Spot { path, at, doc });
    }

    fn name_key(&mut self, entry: &Entry, path: &NodePath) {
        let spot = Spot { path: path.clone(), at: entry.key_at.clone(), doc: None };
        if let Some(problem) = words::key_name(&entry.key, &spot) {
            self.tell(problem);
        }
    }

    fn duplicates(&mut self, entries: &[Entry], spot: &Spot<'a>) {
        for (nth, entry) in entries.iter().enumerate() {
            if let Some(first) = entries[..nth].iter().find(|e| e.key == entry.key) {
                self.tell(
                    Problem::at(
                        Code::Duplicate,
                        &entry.key_at,
                        &spot.path.key(&entry.key),
                        format!("`{}` is given twice", entry.key),
                    )
                    .found("a second one")
                    .help("keep one of the two")
                    .also(&first.key_at, "the first is here"),
                );
            }
        }
    }

    fn unknown_key(&mut self, entry: &Entry, body: &'a Value, path: &NodePath) {
        let keys = keys_of(body);
        let near = nearest(&entry.key, keys.iter().copied());
        let mut problem = Problem::at(
            Code::UnknownKey,
            &entry.key_at,
            path,
            format!("`{}` is not a key that is known here", entry.key),
        )
        .found(format!("`{}`", entry.key))
        .expected(one_of(keys))
        .nearest(near.clone());
        if near.is_none()
            && let Some(home) = self.home_of(&entry.key)
        {
            problem = problem.help(format!("`{}` belongs under `{home}`; look at the indentation", entry.key));
        }
        self.tell(problem);
    }

    /// Under which key of the root a key would be right.
    fn home_of(&self, key: &str) -> Option<&'a str> {
        let properties = self.root.get("properties")?.as_object()?;
        properties
            .iter()
            .find(|(_, schema)| {
                let (_, body) = self.resolve(schema);
                body.get("properties").is_some_and(|p| p.get(key).is_some())
            })
            .map(|(name, _)| name.as_str())
    }

    fn missing_keys(&mut self, entries: &[Entry], body: &'a Value, spot: &Spot<'a>) {
        let required = body.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let missing: Vec<&str> = required.filter(|key| !entries.iter().any(|e| e.key == *key)).collect();
        if missing.is_empty() {
            return;
        }
        let place = if spot.path.steps().is_empty() { String::new() } else { format!(" in {}", spot.name()) };
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let docs = missing.iter().map(|key| {
            let doc = body.pointer(&format!("/properties/{key}/description")).and_then(Value::as_str);
            format!("`{key}`: {}", doc.unwrap_or("…"))
        });
        let found = match entries {
            [] => "no key".to_owned(),
            _ => format!("only {}", all_of(entries.iter().map(|e| e.key.as_str()))),
        };
        self.tell(
            spot.problem(Code::MissingKey, format!("{} {verb} missing{place}", all_of(missing.iter().copied())))
                .found(found)
                .expected(docs.collect::<Vec<_>>().join("\n")),
        );
    }

    fn choice(&mut self, node: &Node, choice: &Choice<'a>, spot: &Spot<'a>) {
        match &node.kind {
            Kind::Text(text) if choice.takes_text => {
                if has_url_password(text) {
                    self.hide(node);
                    self.tell(words::url_with_password(spot));
                }
            }
            Kind::Text(text) => match choice.find(text) {
                Some(Word { payload: None, .. }) => {}
                Some(Word { word, .. }) => self.tell(
                    spot.problem(Code::WrongType, format!("`{word}` needs to be told more"))
                        .found(format!("only `{word}`"))
                        .expected(
                            words::sample(word)
                                .map_or_else(|| format!("`{word}: …`"), |sample| format!("for example `{sample}`")),
                        ),
                ),
                None => self.unknown_word(text, choice, spot),
            },
            Kind::Map(entries) => self.chosen(entries, choice, spot),
            _ => self.tell(
                spot.problem(Code::WrongType, format!("{} is nothing that is known here", spot.name()))
                    .found(describe(node))
                    .expected(choice.expected()),
            ),
        }
    }

    fn chosen(&mut self, entries: &[Entry], choice: &Choice<'a>, spot: &Spot<'a>) {
        self.duplicates(entries, spot);
        let Some(first) = entries.first() else {
            return self.tell(empty(spot).expected(choice.expected()));
        };
        let at = Spot { path: spot.path.key(&first.key), at: first.key_at.clone(), doc: spot.doc };
        match (choice.find(&first.key), entries) {
            (Some(Word { word, payload: Some(_) }), [_, second, ..]) if matches!(first.value.kind, Kind::Null) => self
                .tell(
                    Problem::at(
                        Code::WrongType,
                        &second.key_at,
                        &spot.path.key(&second.key),
                        format!("`{}` stands beside `{word}`", second.key),
                    )
                    .found(format!("`{}` outside", second.key))
                    .expected(format!("it inside `{word}`"))
                    .help(format!("indent it further than `{word}`, or write `{word}: {{ {}: … }}`", second.key))
                    .also(&first.key_at, format!("`{word}` is empty")),
                ),
            (Some(_), [_, second, ..]) => self.tell(
                Problem::at(
                    Code::WrongType,
                    &second.key_at,
                    &spot.path.key(&second.key),
                    format!("{} holds more than one thing", spot.name()),
                )
                .found(format!("`{}` beside `{}`", second.key, first.key))
                .expected(format!("one of {}", one_of(choice.words())))
                .help(match spot.path.steps().last() {
                    Some(Step::Index(_)) => "begin each with its own `- `",
                    _ => "keep one of them",
                }),
            ),
            (Some(Word { word, payload: None }), [_]) => self.tell(
                at.problem(Code::WrongType, format!("`{word}` stands alone"))
                    .found(format!("`{word}:` with something behind it"))
                    .expected(format!("`{word}`")),
            ),
            (Some(Word { payload: Some(schema), .. }), [entry]) => {
                let text = if let Kind::Text(text) = &entry.value.kind { text.as_str() } else { "" };
                if choice.name == Some("SecretRef") && text.contains("://") {
                    self.hide(&entry.value);
                    return self.tell(words::inline_secret(&Spot { at: entry.value.at.clone(), ..at }, &entry.value));
                }
                self.value(entry, schema, spot.path.key(&entry.key));
            }
            (None, _) => self.unknown_word(&first.key, choice, &at),
            (Some(_), []) => {}
        }
    }

    fn unknown_word(&mut self, word: &str, choice: &Choice<'a>, spot: &Spot<'a>) {
        if let Some(problem) = choice.name.and_then(|name| words::not_built(name, word, spot)) {
            return self.tell(problem);
        }
        let near = nearest(word, choice.words());
        self.tell(
            spot.problem(Code::UnknownWord, format!("{} is not known here", quoted(word).replace('"', "`")))
                .found(quoted(word))
                .expected(choice.expected())
                .nearest(near),
        );
    }
}

fn empty(spot: &Spot<'_>) -> Problem {
    let mut problem = spot
        .problem(Code::EmptyValue, format!("{} has no value", spot.name()))
        .found("nothing")
        .help("give it a value, or remove the line");
    if let Some(doc) = spot.doc {
        problem = problem.help(format!("give it a value, or remove the line; what it is: {doc}"));
    }
    problem
}

fn keys_of(body: &Value) -> Vec<&str> {
    let properties = body.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

/// What an enum may be: words that stand alone, words with something behind them, and for some any text.
struct Choice<'a> {
    name: Option<&'a str>,
    words: Vec<Word<'a>>,
    takes_text: bool,
}

#[derive(Clone, Copy)]
struct Word<'a> {
    word: &'a str,
    payload: Option<&'a Value>,
}

impl<'a> Choice<'a> {
    fn of(name: Option<&'a str>, choices: &'a [Value]) -> Self {
        let mut words = Vec::new();
        let mut takes_text = false;
        for choice in choices {
            let named = choice.get("const").is_some() || choice.get("enum").is_some();
            takes_text |= !named && choice.get("type").and_then(Value::as_str) == Some("string");
            if let Some(word) = choice.get("const").and_then(Value::as_str) {
                words.push(Word { word, payload: None });
            }
            for word in choice.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
                words.push(Word { word, payload: None });
            }
            for (word, schema) in choice.get("properties").and_then(Value::as_object).into_iter().flatten() {
                words.push(Word { word, payload: Some(schema) });
            }
        }
        Self { name, words, takes_text }
    }

    fn find(&self, word: &str) -> Option<Word<'a>> {
        self.words.iter().find(|w| w.word == word).copied()
    }

    fn words(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.words.iter().map(|w| w.word)
    }

    fn expected(&self) -> String {
        let shown: Vec<String> = self
            .words
            .iter()
            .map(|w| if w.payload.is_some() { format!("{}: …", w.word) } else { w.word.to_owned() })
            .collect();
        let words = one_of(shown.iter().map(String::as_str));
        if self.takes_text { format!("a text, {words}") } else { words }
    }
}
