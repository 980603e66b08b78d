//! From tables of operations to a document.

use std::collections::{BTreeMap, BTreeSet};

use schemars::SchemaGenerator;
use schemars::generate::{Contract, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::protocol::problem::{PROBLEM_JSON, Problem};

use super::operation::{Answer, Operation, SchemaOf, of};

/// Where schemas stand, as `schemars` wants it.
const SCHEMAS: &str = "/components/schemas";
/// The same in front of a name.
const SCHEMA_REF: &str = "#/components/schemas/";

/// A header of answers.
pub(super) struct Header {
    /// What tables call it.
    pub(super) key: &'static str,
    /// Its name on the wire.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Whether every answer that names it has it.
    pub(super) always: bool,
    pub(super) schema: fn() -> Value,
}

/// What a document is made of.
pub(super) struct Book {
    pub(super) title: &'static str,
    pub(super) about: String,
    pub(super) operations: Vec<Operation>,
    /// By the name in paths: what it is, and its schema.
    pub(super) captures: &'static [(&'static str, &'static str, SchemaOf)],
    pub(super) headers: &'static [Header],
    /// Headers that every answer has.
    pub(super) everywhere: &'static [&'static str],
    /// Headers of problems by their status.
    pub(super) of_problems: &'static [(u16, &'static str)],
    pub(super) security: Value,
    /// Paths that answer and are not described, with the reason.
    pub(super) outside: Value,
}

/// Requests and answers may spell one type differently: what may be left out and what never is.
struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let generator = |contract: Contract| {
            SchemaSettings::draft2020_12()
                .with(|settings| {
                    settings.definitions_path = SCHEMAS.into();
                    settings.meta_schema = None;
                    settings.contract = contract.clone();
                })
                .into_generator()
        };
        Self {
            requests: generator(Contract::Deserialize),
            answers: generator(Contract::Serialize),
        }
    }
}

impl Book {
    /// The document.
    pub(super) fn write(&self) -> Value {
        let mut schemas = Schemas::new();
        let mut parts: Vec<(&Operation, Value, Value)> = self
            .operations
            .iter()
            .map(|operation| {
                let request = self.request(operation, &mut schemas.requests);
                (
                    operation,
                    request,
                    self.responses(operation, &mut schemas.answers),
                )
            })
            .collect();
        let problems = self.problems(&mut schemas.answers);
        let (renamed, components) = joined(
            schemas.requests.take_definitions(true),
            schemas.answers.take_definitions(true),
        );
        let mut paths = BTreeMap::<&str, Map<String, Value>>::new();
        for (operation, request, responses) in &mut parts {
            rename(request, &renamed);
            let written = described(operation, request.take(), responses.take());
            let method = operation.method.as_str().to_ascii_lowercase();
            let path = paths.entry(operation.path.as_str()).or_default();
            path.insert(method, written);
        }
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .map(|header| {
                let written = json!({
                    "description": header.about,
                    "required": header.always,
                    "schema": (header.schema)(),
                });
                (header.key.to_owned(), written)
            })
            .collect();
        let mut document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": self.title,
                "version": env!("CARGO_PKG_VERSION"),
                "description": self.about,
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "servers": [{ "url": "/" }],
            "paths": paths,
            "components": {
                "schemas": components,
                "responses": problems,
                "headers": headers,
                "securitySchemes": self.security,
            },
            "x-doorward-outside": self.outside,
        });
        plain(&mut document);
        document
    }

    /// Parameters and body.
    fn request(&self, operation: &Operation, generator: &mut SchemaGenerator) -> Value {
        let mut parameters: Vec<Value> = captures(&operation.path)
            .map(|name| {
                let known = self.captures.iter().find(|(known, ..)| *known == name);
                let (about, schema) = known.map_or(("", json!({ "type": "string" })), |capture| {
                    (capture.1, capture.2(generator).to_value())
                });
                json!({
                    "name": name, "in": "path", "required": true,
                    "description": about, "schema": schema,
                })
            })
            .collect();
        if let Some(query) = operation.query {
            let object = query(generator).to_value();
            parameters.extend(query_parameters(&object));
        }
        for (name, about, schema) in &operation.brought {
            let schema = schema(generator).to_value();
            parameters.push(json!({
                "name": name, "in": "header", "description": about, "schema": schema,
            }));
        }
        let mut request = Map::new();
        request.insert("parameters".to_owned(), parameters.into());
        if let Some((media, schema, required)) = operation.body {
            let body = json!({
                "required": required,
                "content": { media: { "schema": schema(generator).to_value() } },
            });
            request.insert("requestBody".to_owned(), body);
        }
        request.into()
    }

    fn responses(&self, operation: &Operation, generator: &mut SchemaGenerator) -> Value {
        let mut responses = BTreeMap::<String, Value>::new();
        for answer in &operation.answers {
            let written = self.answer(answer, operation, generator);
            responses.insert(answer.status.to_string(), written);
        }
        for status in &operation.problems {
            responses
                .entry(status.to_string())
                .or_insert_with(|| json!({ "$ref": format!("#/components/responses/{status}") }));
        }
        json!(responses)
    }

    /// An answer; when a problem may stand there too, with the problem beside it.
    fn answer(
        &self,
        answer: &Answer,
        operation: &Operation,
        generator: &mut SchemaGenerator,
    ) -> Value {
        let mut written = Map::new();
        written.insert("description".to_owned(), answer.about.into());
        written.insert("headers".to_owned(), self.headers_of(&answer.headers));
        let mut bodies = answer.bodies.clone();
        if operation.problems.contains(&answer.status) {
            bodies.push((PROBLEM_JSON, of::<Problem>()));
        }
        if !bodies.is_empty() {
            let content: Map<String, Value> = bodies
                .into_iter()
                .map(|(media, schema)| {
                    let schema = schema(generator).to_value();
                    (media.to_owned(), json!({ "schema": schema }))
                })
                .collect();
            written.insert("content".to_owned(), content.into());
        }
        written.into()
    }

    fn headers_of(&self, own: &[&'static str]) -> Value {
        let keys: BTreeSet<&str> = own.iter().chain(self.everywhere).copied().collect();
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .filter(|header| keys.contains(header.key))
            .map(|header| {
                let reference = format!("#/components/headers/{}", header.key);
                (header.name.to_owned(), json!({ "$ref": reference }))
            })
            .collect();
        headers.into()
    }

    /// The problems of all operations, each once.
    fn problems(&self, generator: &mut SchemaGenerator) -> Value {
        let statuses: BTreeSet<u16> = self
            .operations
            .iter()
            .flat_map(|operation| operation.problems.iter().copied())
            .collect();
        let schema = of::<Problem>()(generator).to_value();
        let responses: Map<String, Value> = statuses
            .into_iter()
            .map(|status| {
                let of_status = self.of_problems.iter().filter(|(of, _)| *of == status);
                let headers: Vec<&'static str> = of_status.map(|(_, name)| *name).collect();
                let written = json!({
                    "description": meaning(status),
                    "headers": self.headers_of(&headers),
                    "content": { PROBLEM_JSON: { "schema": schema.clone() } },
                });
                (status.to_string(), written)
            })
            .collect();
        responses.into()
    }
}

/// What a problem's status means, whatever was asked.
const fn meaning(status: u16) -> &'static str {
    match status {
        308 => "The same request belongs to the path in `Location`.",
        400 => "The request cannot be read.",
        401 => "A valid credential is needed.",
        403 => "The caller may not do this.",
        404 => "There is no such thing, or the caller may not see whether there is.",
        408 => "The body did not arrive in time.",
        409 => "At odds with the present state: `code` says how.",
        410 => "What is asked for is no longer kept.",
        413 => "The body is too large.",
        415 => "The body has the wrong media type.",
        416 => "There is nothing from there on.",
        421 => "The `Host` is not one that is answered.",
        422 => "Readable, but wrong: `errors` lists where and why.",
        426 => "This version is not spoken here.",
        429 => "Too much at once: come again after `Retry-After`.",
        500 => "Ours to mend; the log has the cause.",
        503 => "Not now; asking again may help.",
        507 => "The disk is full; nothing was written.",
        _ => "Refused.",
    }
}

fn described(operation: &Operation, request: Value, responses: Value) -> Value {
    let security: Vec<Value> = operation
        .security
        .iter()
        .map(|name| match *name {
            "" => json!({}),
            name => json!({ name: [] }),
        })
        .collect();
    let mut written = Map::new();
    written.insert("operationId".to_owned(), operation.id.into());
    written.insert("summary".to_owned(), operation.summary.into());
    if let Some(description) = operation.description {
        written.insert("description".to_owned(), description.into());
    }
    written.insert("security".to_owned(), security.into());
    if let Value::Object(request) = request {
        written.extend(request);
    }
    written.insert("responses".to_owned(), responses);
    written.into()
}

/// The names in braces of a path.
pub(super) fn captures(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

/// The fields of an object as parameters of a query. A parameter is there or not: none is `null`.
fn query_parameters(object: &Value) -> Vec<Value> {
    let required: Vec<&str> = object["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let Some(fields) = object["properties"].as_object() else {
        return Vec::new();
    };
    fields
        .iter()
        .map(|(name, schema)| {
            let mut schema = schema.as_object().cloned().unwrap_or_default();
            let about = schema.remove("description");
            schema.remove("default");
            if let Some(Value::Array(types)) = schema.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    schema.insert("type".to_owned(), only);
                }
            }
            json!({
                "name": name, "in": "query", "required": required.contains(&name.as_str()),
                "description": about, "schema": schema,
            })
        })
        .collect()
}

/// One set of schemas from those of requests and those of answers. A type that both have, and spell
/// differently, is called `<name>Request` in requests: those names come first.
fn joined(
    mut requests: Map<String, Value>,
    mut answers: Map<String, Value>,
) -> (BTreeSet<String>, Map<String, Value>) {
    let mut renamed = BTreeSet::new();
    loop {
        let before = renamed.len();
        for (name, schema) in &requests {
            let differs = answers.get(name).is_some_and(|other| other != schema)
                || (answers.contains_key(name) && refers(schema, &renamed));
            if differs {
                renamed.insert(name.clone());
            }
        }
        if renamed.len() == before {
            break;
        }
    }
    for (name, mut schema) in std::mem::take(&mut requests) {
        rename(&mut schema, &renamed);
        let name = if renamed.contains(&name) {
            format!("{name}Request")
        } else {
            name
        };
        answers.insert(name, schema);
    }
    (renamed, answers)
}

/// Descriptions without the marks and line breaks of comments in code.
fn plain(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value.as_str() {
                    Some(text) if key == "description" => {
                        let text = text.replace("[`", "`").replace("`]", "`");
                        let paragraphs: Vec<String> = text
                            .split("\n\n")
                            .map(|paragraph| paragraph.replace('\n', " "))
                            .collect();
                        *value = paragraphs.join("\n\n").into();
                    }
                    _ => plain(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}

fn refers(value: &Value, names: &BTreeSet<String>) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, value)| {
            let to = (key == "$ref").then(|| value.as_str()?.strip_prefix(SCHEMA_REF));
            to.flatten().is_some_and(|name| names.contains(name)) || refers(value, names)
        }),
        Value::Array(items) => items.iter().any(|item| refers(item, names)),
        _ => false,
    }
}

fn rename(value: &mut Value, names: &BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let renamed = match value
                    .as_str()
                    .and_then(|text| text.strip_prefix(SCHEMA_REF))
                {
                    Some(name) if key == "$ref" && names.contains(name) => {
                        format!("{SCHEMA_REF}{name}Request")
                    }
                    _ => {
                        rename(value, names);
                        continue;
                    }
                };
                *value = renamed.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        _ => {}
    }
}
