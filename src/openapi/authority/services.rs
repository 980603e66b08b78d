//! `/v1/services`

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::authority::http::manifests::PutQuery;
use crate::openapi::operation::{JSON, Operation, SchemaOf, of};
use crate::protocol::manifest::{
    self, AppliedView, ManifestView, Page, PermissionView, PlanView, RoleView, ServiceView,
};
use crate::protocol::organizations::PageQuery;

use super::{get, put};

pub(super) fn operations() -> Vec<Operation> {
    const MANIFEST: &str = "/v1/services/{service}/manifest";
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
    ]
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
