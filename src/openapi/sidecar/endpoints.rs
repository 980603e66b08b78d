//! What is answered at paths of their own, an operation for each [`Endpoint`].

use schemars::json_schema;

use crate::openapi::operation::{Brought, JSON, Operation, SchemaOf, of};
use crate::sidecar::http::Endpoint;

use super::schemas::{
    ActionResults, Decision, Decisions, Evaluation, Evaluations, Metadata, Plans, Results, Search,
    SearchAction, SearchSubject, Status,
};

const DECISION: &[&str] = &["", "callerCredential"];
const CREDENTIAL: &[&str] = &["callerCredential", ""];

/// What the caller asks of freshness.
const FRESHNESS: &[Brought] = &[
    (
        "Doorward-At-Least",
        "A freshness token: be answered with that write known, or told that it is not.",
        |generator| generator.subschema_for::<crate::domain::FreshnessToken>(),
    ),
    (
        "Doorward-Max-Staleness",
        "How old the facts may be: `500ms`, `2s`, `1m`. Older ones deny.",
        |_| json_schema!({ "type": "string", "pattern": "^[0-9]{1,6}(ms|s|m|h|d)$" }),
    ),
];

const EXPLAIN: &[Brought] = &[(
    "Doorward-Explain",
    "`true` explains the answer, for who may ask for that.",
    |_| json_schema!({ "enum": ["true", "false"] }),
)];

pub(super) fn operations() -> Vec<Operation> {
    Endpoint::ALL.iter().copied().map(operation).collect()
}

fn operation(endpoint: Endpoint) -> Operation {
    let at =
        |id, summary| Operation::new(endpoint.method(), endpoint.path(), id, summary).may(&[421]);
    let asked = |id, summary| {
        at(id, summary)
            .secured(DECISION)
            .may(&[400, 401, 403])
            .bringing(FRESHNESS)
    };
    let search = |id, summary, body: SchemaOf, found: SchemaOf| {
        at(id, summary)
            .secured(CREDENTIAL)
            .bringing(FRESHNESS)
            .wants(JSON, body)
            .shows(200, "A page of what was found.", found)
            .may(&[400, 401, 403, 408, 413])
    };
    match endpoint {
        Endpoint::Evaluation => asked("evaluate", "One decision (AuthZEN 1.0).")
            .bringing(EXPLAIN)
            .wants(JSON, of::<Evaluation>())
            .shows(200, "The decision.", of::<Decision>())
            .may(&[408, 413]),
        Endpoint::Evaluations => asked("evaluateMany", "Many decisions (AuthZEN 1.0).")
            .bringing(EXPLAIN)
            .wants(JSON, of::<Evaluations>())
            .shows(200, "The decisions, in order; one where no items were sent.", |generator| {
                let one = generator.subschema_for::<Decision>();
                let many = generator.subschema_for::<Decisions>();
                json_schema!({ "anyOf": [one, many] })
            })
            .may(&[408, 413]),
        Endpoint::Check => asked("check", "One decision, by words.")
            .bringing(EXPLAIN)
            .queried(check)
            .shows(200, "The decision.", of::<Decision>()),
        Endpoint::Explain => asked("explain", "One decision, and why.")
            .secured(CREDENTIAL)
            .wants(JSON, of::<Evaluation>())
            .shows(200, "The decision with `context.explanation`.", of::<Decision>())
            .may(&[408, 413]),
        Endpoint::Watch => asked("watch", "One decision, again whenever it changes.")
            .about("Server-sent events: `decision` with what an evaluation answers, and heartbeats; docs/watch.md has their form.")
            .bringing(&[("Last-Event-ID", "The id of the last event that was seen.", |_| json_schema!({ "type": "string" }))])
            .wants(JSON, of::<Evaluation>())
            .answers(200, "The events, without an end.", vec![("text/event-stream", |_| json_schema!({ "type": "string" }))])
            .with(&["NoStore"])
            .may(&[408, 413, 429]),
        Endpoint::SearchSubject => search("searchSubjects", "Who may do this (AuthZEN 1.0).", of::<SearchSubject>(), of::<Results>()),
        Endpoint::SearchResource => search("searchResources", "On what this may be done (AuthZEN 1.0).", of::<Search>(), of::<Results>()).may(&[422]),
        Endpoint::SearchAction => search("searchActions", "What may be done (AuthZEN 1.0).", of::<SearchAction>(), of::<ActionResults>()),
        Endpoint::Plan => search("plan", "Where this may be done, and on which conditions.", of::<Search>(), of::<Plans>()),
        Endpoint::Metadata => at("metadata", "What is offered here (AuthZEN 1.0 §9).")
            .about("Where `public_url` has a path, that path follows.")
            .shows(200, "The metadata.", of::<Metadata>()),
        Endpoint::DoorHeaders => at("listDoorHeaders", "The headers of the doors of proxies.")
            .shows(200, "Those that every allow sets, and those that a proxy strips from what clients send.", |_| {
                json_schema!({
                    "type": "object", "required": ["identity", "strip", "dialects"],
                    "properties": {
                        "identity": { "type": "array", "items": { "type": "string" } },
                        "strip": { "type": "array", "items": { "type": "string" } },
                        "dialects": { "type": "array", "items": { "type": "string" } },
                    },
                })
            }),
        Endpoint::Status => at("status", "How the sidecar is.")
            .secured(CREDENTIAL)
            .shows(200, "Its state.", of::<Status>())
            .may(&[401, 403]),
        Endpoint::Metrics => at("metrics", "The same in numbers.")
            .about("Open to everybody where the listener says `metrics = true`.")
            .secured(CREDENTIAL)
            .answers(200, "Prometheus' text format.", vec![("text/plain", text())])
            .may(&[401, 403]),
        Endpoint::Live => at("live", "Whether the process answers.")
            .answers(200, "It does.", vec![("text/plain", text())]),
        Endpoint::Ready => at("ready", "Whether there are facts to decide by.")
            .answers(200, "There are.", vec![("text/plain", text())])
            .may(&[503]),
    }
}

fn text() -> SchemaOf {
    |_| json_schema!({ "type": "string" })
}

fn check(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let permission = generator.subschema_for::<crate::domain::PermissionKey>();
    let token = generator.subschema_for::<crate::domain::FreshnessToken>();
    json_schema!({
        "type": "object",
        "required": ["user", "permission"],
        "properties": {
            "user": { "type": "string", "description": "The user's id." },
            "organization": { "type": "string", "description": "Its id or slug." },
            "permission": { "allOf": [permission], "description": "What is to be done." },
            "resource": { "type": "string", "description": "The id of the resource, where policies look at it." },
            "at_least": { "allOf": [token], "description": "As the header `Doorward-At-Least`, and before it." },
            "max_staleness": {
                "type": "string", "pattern": "^[0-9]{1,6}(ms|s|m|h|d)$",
                "description": "As the header `Doorward-Max-Staleness`, and before it.",
            },
            "explain": { "enum": ["true", "false"], "description": "As the header `Doorward-Explain`." },
        },
    })
}
