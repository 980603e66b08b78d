//! The JSON Schema that editors complete and check manifests with.
//!
//! Written by hand from the same constants that the reader uses, because a derived one could say
//! neither the alphabets of names nor the limits. A golden file and a test over the example
//! manifests keep both together.

use serde_json::{Value, json};

use crate::domain::manifest::limits;
use crate::domain::names::MAX_NAME_LEN;
use crate::domain::{ActionName, ResourceName, RoleName, ServiceName};

/// The schema, draft 2020-12.
#[expect(clippy::too_many_lines, reason = "one document, read as a whole")]
pub fn json_schema() -> Value {
    let name = |pattern: &str, allowed: &str| {
        json!({
            "type": "string",
            "description": allowed,
            "pattern": pattern,
            "maxLength": MAX_NAME_LEN,
        })
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Doorward service manifest",
        "description": "What a service declares: its permissions, the roles that grant them, the scopes that bound tokens.",
        "type": "object",
        "required": ["service", "permissions"],
        "additionalProperties": false,
        "properties": {
            "$schema": { "type": "string" },
            "service": { "$ref": "#/$defs/service" },
            "version": {
                "description": "The service's own counter. A lower one is never applied over a higher one by accident.",
                "type": ["integer", "null"], "minimum": 0, "maximum": i64::MAX,
            },
            "permissions": {
                "description": format!("Resources, each with its actions. At most {} permissions.", limits::MAX_PERMISSIONS),
                "type": "object",
                "propertyNames": { "$ref": "#/$defs/resource" },
                "additionalProperties": {
                    "type": "object",
                    "propertyNames": { "$ref": "#/$defs/action" },
                    "additionalProperties": { "$ref": "#/$defs/permission" },
                },
            },
            "roles": {
                "type": "object",
                "maxProperties": limits::MAX_ROLES,
                "propertyNames": { "$ref": "#/$defs/role_name" },
                "additionalProperties": { "$ref": "#/$defs/role" },
            },
            "scopes": {
                "description": "What a token with a scope may use: permissions of this service.",
                "type": "object",
                "maxProperties": limits::MAX_SCOPES,
                "propertyNames": { "pattern": r"^[\x21\x23-\x5B\x5D-\x7E]+$", "maxLength": 100 },
                "additionalProperties": {
                    "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/reference" },
                },
            },
            "grantable_by": {
                "description": "Services whose roles may grant this service's permissions.",
                "type": "array", "maxItems": limits::MAX_GRANTEES,
                "items": { "$ref": "#/$defs/service" },
            },
            "replaces": {
                "description": "Roles no longer declared, each with the declared role that takes over its holders.",
                "type": "object",
                "maxProperties": limits::MAX_ROLES,
                "propertyNames": { "$ref": "#/$defs/role_name" },
                "additionalProperties": { "$ref": "#/$defs/role_name" },
            },
        },
        "$defs": {
            "service": name(ServiceName::PATTERN, ServiceName::ALLOWED),
            "resource": name(ResourceName::PATTERN, ResourceName::ALLOWED),
            "action": name(ActionName::PATTERN, ActionName::ALLOWED),
            "role_name": name(RoleName::PATTERN, RoleName::ALLOWED),
            "description": { "type": ["string", "null"], "maxLength": limits::MAX_DESCRIPTION },
            "deprecated": {
                "description": "Announces the removal.",
                "type": ["boolean", "null"],
            },
            "permission": {
                "description": "A description, nothing, or both fields.",
                "oneOf": [
                    { "type": ["string", "null"], "maxLength": limits::MAX_DESCRIPTION },
                    {
                        "type": "object",
                        "additionalProperties": false,
                        "properties": {
                            "description": { "$ref": "#/$defs/description" },
                            "deprecated": { "$ref": "#/$defs/deprecated" },
                        },
                    },
                ],
            },
            "reference": {
                "description": "`resource:action`, `resource:*`, `*:action`, `*:*`, or `service:resource:action` of another service.",
                "type": "string",
                "pattern": r"^([a-z0-9-]+:)?([a-z0-9_./-]+|\*):([a-z0-9_.-]+|\*)$",
            },
            "role": {
                "type": "object",
                "required": ["permissions"],
                "additionalProperties": false,
                "properties": {
                    "description": { "$ref": "#/$defs/description" },
                    "permissions": { "type": "array", "items": { "$ref": "#/$defs/reference" } },
                    "assignable_by": {
                        "description": "What a member needs to give or take this role; `auth:member:assign` unless said.",
                        "type": ["string", "null"],
                    },
                    "deprecated": { "$ref": "#/$defs/deprecated" },
                },
            },
        },
    })
}
