//! Schemas of what the sidecar reads and writes. By hand: it reads borrowed and writes bytes, so
//! there are no types to derive them from; a fuzzer holds answers to them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use crate::protocol::authzen::{MAX_EVALUATIONS, MAX_PAGE};
use crate::sidecar::why::Why;

macro_rules! schemas {
    ($($(#[$doc:meta])* $name:ident |$generator:pat_param| $schema:expr;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

schemas! {
    /// Who or what: whole.
    Entity |_| json_schema!({
        "type": "object", "required": ["type", "id"],
        "properties": {
            "type": { "type": "string" }, "id": { "type": "string" },
            "properties": { "type": "object" },
        },
    });
    /// One by its type.
    OfType |_| json_schema!({
        "type": "object", "required": ["type"],
        "properties": {
            "type": { "type": "string" }, "id": { "type": "string" },
            "properties": { "type": "object" },
        },
    });
    /// What is done.
    Action |_| json_schema!({
        "type": "object", "required": ["name"],
        "properties": { "name": { "type": "string" }, "properties": { "type": "object" } },
    });
    /// Circumstances; `organization` is ours.
    Context |_| json_schema!({
        "type": "object",
        "description": "Circumstances that policies may look at. `organization` names the organization by id or slug.",
        "properties": { "organization": { "type": "string" } },
    });
    /// A question.
    Evaluation |generator| json_schema!({
        "type": "object", "required": ["subject", "action", "resource"],
        "properties": {
            "subject": generator.subschema_for::<Entity>(),
            "action": generator.subschema_for::<Action>(),
            "resource": generator.subschema_for::<Entity>(),
            "context": generator.subschema_for::<Context>(),
        },
    });
    /// Questions.
    Evaluations |generator| json_schema!({
        "type": "object",
        "description": "The members of a question are defaults for all items; without items they are the question.",
        "properties": {
            "subject": generator.subschema_for::<Entity>(),
            "action": generator.subschema_for::<Action>(),
            "resource": generator.subschema_for::<Entity>(),
            "context": generator.subschema_for::<Context>(),
            "evaluations": {
                "type": "array", "maxItems": MAX_EVALUATIONS,
                "items": {
                    "type": "object",
                    "properties": {
                        "subject": generator.subschema_for::<Entity>(),
                        "action": generator.subschema_for::<Action>(),
                        "resource": generator.subschema_for::<Entity>(),
                        "context": generator.subschema_for::<Context>(),
                    },
                },
            },
            "options": {
                "type": "object",
                "properties": { "evaluations_semantic": {
                    "enum": ["execute_all", "deny_on_first_deny", "permit_on_first_permit"],
                } },
            },
        },
    });
    /// Why an answer is not the plain outcome.
    Reason |_| json_schema!({
        "type": "object", "required": ["code", "message"],
        "properties": {
            "code": { "enum": Why::ALL.map(Why::code) },
            "message": { "type": "string", "description": "What happened, and what would help." },
        },
    });
    /// One answer.
    Decision |generator| json_schema!({
        "type": "object", "required": ["decision", "context"],
        "properties": {
            "decision": { "type": "boolean" },
            "context": {
                "type": "object", "required": ["revision", "staleness_ms"],
                "properties": {
                    "revision": { "type": "integer", "minimum": 0, "description": "Of the facts." },
                    "staleness_ms": {
                        "type": ["integer", "null"], "minimum": 0,
                        "description": "How old they may be; `null` when that is unknown.",
                    },
                    "decision_id": { "type": "string", "description": "What finds the record in the decision log." },
                    "reason": generator.subschema_for::<Reason>(),
                    "error": {
                        "type": "object", "required": ["status", "message"],
                        "description": "Of an item that could not be asked.",
                        "properties": {
                            "status": { "type": "integer", "minimum": 400, "maximum": 499 },
                            "message": { "type": "string" },
                        },
                    },
                    "explanation": { "type": "object", "description": "Role, membership, manifest and revision on allow; the nearest miss on deny." },
                },
            },
        },
    });
    /// Answers.
    Decisions |generator| json_schema!({
        "type": "object", "required": ["evaluations"],
        "properties": { "evaluations": {
            "type": "array", "maxItems": MAX_EVALUATIONS,
            "items": generator.subschema_for::<Decision>(),
        } },
    });
    /// Which page of a search.
    PageWanted |_| json_schema!({
        "type": "object",
        "properties": {
            "token": { "type": "string", "description": "The `next_token` of the page before." },
            "limit": {
                "type": "integer", "minimum": 1,
                "description": format!("How many results; at most {MAX_PAGE} are given."),
            },
        },
    });
    /// For subjects.
    SearchSubject |generator| search(generator, ("subject", "resource"));
    /// For resources, and plans.
    Search |generator| search(generator, ("resource", "subject"));
    /// For actions.
    SearchAction |generator| json_schema!({
        "type": "object", "required": ["subject", "resource"],
        "properties": {
            "subject": generator.subschema_for::<Entity>(),
            "resource": generator.subschema_for::<Entity>(),
            "context": generator.subschema_for::<Context>(),
            "page": generator.subschema_for::<PageWanted>(),
        },
    });
    /// What was found.
    Results |generator| page(generator, &json!({
        "type": "object", "required": ["type", "id"],
        "properties": {
            "type": { "type": "string" },
            "id": { "type": "string", "description": "`*` stands for every resource of the type in its organization." },
            "properties": {
                "type": "object", "required": ["organization"],
                "properties": { "organization": { "type": "string" } },
            },
        },
    }));
    /// Actions that were found.
    ActionResults |generator| page(generator, &json!({
        "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } },
    }));
    /// Organizations, each with its conditions.
    Plans |generator| page(generator, &json!({
        "type": "object", "required": ["organization", "decision"],
        "properties": {
            "organization": { "type": "string", "format": "uuid" },
            "slug": { "type": ["string", "null"] },
            "decision": { "enum": ["always", "conditional"] },
            "conditions": { "type": ["object", "null"] },
        },
    }));
    /// AuthZEN's metadata.
    Metadata |_| {
        let url = json!({ "type": "string", "pattern": "^https?://" });
        json_schema!({
            "type": "object",
            "required": ["policy_decision_point", "access_evaluation_endpoint"],
            "properties": {
                "policy_decision_point": url, "access_evaluation_endpoint": url,
                "access_evaluations_endpoint": url, "search_subject_endpoint": url,
                "search_resource_endpoint": url, "search_action_endpoint": url,
            },
        })
    };
    /// How the sidecar is.
    Status |_| {
        let number = json!({ "type": "integer", "minimum": 0 });
        json_schema!({
            "type": "object",
            "required": ["ready", "epoch", "revision", "staleness_ms", "connected", "decisions", "listeners"],
            "properties": {
                "ready": { "type": "boolean", "description": "Whether there are facts to decide by." },
                "epoch": { "type": ["string", "null"] },
                "revision": number,
                "chain": { "type": ["string", "null"] },
                "staleness_ms": { "type": ["integer", "null"], "minimum": 0 },
                "connected": { "type": "boolean", "description": "Whether the authority is heard." },
                "last_problem": { "type": ["string", "null"] },
                "policies_problem": { "type": ["string", "null"] },
                "roles_and_permissions": { "type": "object" },
                "members": { "type": "object" },
                "copy_reads": number,
                "decisions": {
                    "type": "object", "required": ["allowed", "denied"],
                    "properties": { "allowed": number, "denied": number },
                },
                "listeners": { "type": "array", "items": { "type": "string" } },
            },
        })
    };
}

/// A search: `wanted` by its type, `given` whole.
fn search(generator: &mut SchemaGenerator, (wanted, given): (&str, &str)) -> Schema {
    json_schema!({
        "type": "object", "required": [wanted, given, "action"],
        "properties": {
            wanted: generator.subschema_for::<OfType>(),
            given: generator.subschema_for::<Entity>(),
            "action": generator.subschema_for::<Action>(),
            "context": generator.subschema_for::<Context>(),
            "page": generator.subschema_for::<PageWanted>(),
        },
    })
}

/// A page of results.
fn page(generator: &mut SchemaGenerator, result: &serde_json::Value) -> Schema {
    json_schema!({
        "type": "object", "required": ["page", "context", "results"],
        "properties": {
            "page": {
                "type": "object", "required": ["next_token", "count"],
                "properties": {
                    "next_token": { "type": "string", "description": "Empty on the last page." },
                    "count": { "type": "integer", "minimum": 0, "maximum": MAX_PAGE },
                },
            },
            "context": {
                "type": "object", "required": ["revision", "staleness_ms"],
                "properties": {
                    "revision": { "type": "integer", "minimum": 0 },
                    "staleness_ms": { "type": ["integer", "null"], "minimum": 0 },
                    "pages": {
                        "type": "object", "required": ["first_revision", "moved"],
                        "description": "Whether the facts changed since the first page.",
                        "properties": {
                            "first_revision": { "type": "integer", "minimum": 0 },
                            "moved": { "type": "boolean" },
                        },
                    },
                    "reason": generator.subschema_for::<Reason>(),
                },
            },
            "results": { "type": "array", "maxItems": MAX_PAGE, "items": result },
        },
    })
}
