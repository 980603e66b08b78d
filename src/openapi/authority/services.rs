//! `/v1/services`

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::authority::http::manifests::PutQuery;
use crate::domain::instance::{
    Attributes, MAX_ATTRIBUTE_NAME, MAX_ATTRIBUTES, MAX_ATTRIBUTES_BYTES, MAX_VALUES,
};
use crate::domain::{OrganizationId, Slug};
use crate::openapi::operation::{JSON, Operation, SchemaOf, of};
use crate::protocol::instances::{
    BatchView, InstanceBatch, InstanceQuery, InstanceView, OrganizationRef,
};
use crate::protocol::manifest::{
    self, AppliedView, ManifestView, Page, PermissionView, PlanView, RoleView, ServiceView,
};
use crate::protocol::organizations::{self, Changed, Gone, PageQuery};

use super::{delete, get, put};

pub(super) fn operations() -> Vec<Operation> {
    const MANIFEST: &str = "/v1/services/{service}/manifest";
    const RESOURCES: &str = "/v1/services/{service}/resources";
    vec![
        get(
            "/v1/services",
            "listServices",
            "Services that synced a manifest, in order of name.",
        )
        .query::<PageQuery>()
        .shows(200, "A page of services.", of::<Page<ServiceView>>()),
        get(MANIFEST, "showManifest", "A service's manifest as applied.")
            .shows(200, "The canonical document.", of::<ManifestView>())
            .may(&[404]),
        put(
            MANIFEST,
            "putManifest",
            "Applies a service's manifest, or shows what that would change.",
        )
        .query::<PutQuery>()
        .wants(JSON, of::<Manifest>())
        .shows(
            200,
            "What changed; with `dry_run`, what would change.",
            planned_or_applied(),
        )
        .may(&[413, 415, 422]),
        get(
            "/v1/services/{service}/roles",
            "listRoles",
            "A service's roles with what each grants, in order of name.",
        )
        .query::<PageQuery>()
        .shows(200, "A page of roles.", of::<Page<RoleView>>())
        .may(&[404]),
        get(
            "/v1/services/{service}/permissions",
            "listPermissions",
            "A service's permissions, in order of resource and action.",
        )
        .query::<PageQuery>()
        .shows(200, "A page of permissions.", of::<Page<PermissionView>>())
        .may(&[404]),
        get(
            RESOURCES,
            "listResources",
            "Instances that a service registered, in order of type and id, by bytes.",
        )
        .query::<InstanceQuery>()
        .shows(
            200,
            "A page of instances.",
            of::<organizations::Page<InstanceView>>(),
        )
        .may(&[404, 409]),
        put(
            RESOURCES,
            "putResources",
            "Registers instances and removes others: all of the batch or nothing.",
        )
        .json::<InstanceBatch>()
        .changed::<Changed<BatchView>>("What the batch did.")
        .may(&[404]),
        delete(
            "/v1/services/{service}/resources/{resource}/{instance}",
            "removeResource",
            "Removes an instance.",
        )
        .changed::<Changed<Gone>>("It is gone.")
        .may(&[404]),
    ]
}

impl JsonSchema for OrganizationRef {
    fn schema_name() -> Cow<'static, str> {
        "OrganizationRef".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let id = generator.subschema_for::<OrganizationId>();
        let slug = generator.subschema_for::<Slug>();
        json_schema!({ "description": "An organization's id, or a slug that it has or had.", "anyOf": [id, slug] })
    }
}

impl JsonSchema for Attributes {
    fn schema_name() -> Cow<'static, str> {
        "InstanceAttributes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let plain = ["string", "integer", "boolean"];
        json_schema!({
            "type": "object",
            "description": format!("What policies may read of an instance: at most {MAX_ATTRIBUTES_BYTES} bytes as JSON."),
            "maxProperties": MAX_ATTRIBUTES,
            "propertyNames": {
                "pattern": "^(_?[A-Za-z][A-Za-z0-9_]*|_[0-9][A-Za-z0-9_]*|_)$",
                "maxLength": MAX_ATTRIBUTE_NAME,
                "not": { "const": "organization" },
            },
            "additionalProperties": {
                "anyOf": [
                    { "type": plain },
                    { "type": "array", "maxItems": MAX_VALUES, "items": { "type": plain } },
                ],
            },
        })
    }
}

fn planned_or_applied() -> SchemaOf {
    |generator| {
        let plan = generator.subschema_for::<PlanView>();
        let applied = generator.subschema_for::<AppliedView>();
        json_schema!({ "anyOf": [plan, applied] })
    }
}

/// The schema of manifests, which has definitions of its own.
struct Manifest;

impl JsonSchema for Manifest {
    fn schema_name() -> Cow<'static, str> {
        "Manifest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = manifest::json_schema();
        if let Value::Object(members) = &mut schema {
            members.remove("$schema");
        }
        moved(&mut schema);
        schema.try_into().unwrap_or_default()
    }
}

/// Its references, where it stands here.
fn moved(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let local = value
                    .as_str()
                    .and_then(|text| text.strip_prefix("#/$defs/"));
                match local {
                    Some(name) if key == "$ref" => {
                        *value = format!("#/components/schemas/Manifest/$defs/{name}").into();
                    }
                    _ => moved(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(moved),
        _ => {}
    }
}
