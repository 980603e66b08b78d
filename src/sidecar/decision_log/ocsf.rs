//! The same line as an event of the Open Cybersecurity Schema Framework, version 1.6.
//!
//! The class is API Activity (6003) with the profile Security Control. Authorize Session (3003), the
//! other candidate, tells which privileges a *new session* got, usually at login, and has no place
//! for a resource, an action or a denial; API Activity tells that somebody wanted to do something
//! with a resource, and the profile what a control said to it. What has no place of its own stands
//! in `unmapped`, as the schema wants it.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::format::{Line, Text};
use crate::domain::Timestamp;

#[derive(Debug, Serialize)]
pub(super) struct Activity<'a> {
    time: i64,
    metadata: Metadata<'a>,
    category_uid: u32,
    category_name: &'static str,
    class_uid: u32,
    class_name: &'static str,
    #[serde(rename = "activity_id")]
    number: u32,
    #[serde(rename = "activity_name", skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    type_uid: u64,
    severity_id: u32,
    status_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<&'a str>,
    status_detail: &'a str,
    action_id: u32,
    action: &'static str,
    disposition_id: u32,
    actor: Actor<'a>,
    api: Api<'a>,
    src_endpoint: Endpoint<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_request: Option<HttpRequest<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    resources: Vec<Resource<'a>>,
    authorizations: [Authorization; 1],
    unmapped: Unmapped<'a>,
}

#[derive(Debug, Serialize)]
struct Metadata<'a> {
    version: &'static str,
    product: Product,
    profiles: [&'static str; 1],
    #[serde(serialize_with = "super::format::id")]
    uid: crate::domain::DecisionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_uid: Option<Text<'a>>,
}

#[derive(Debug, Serialize)]
struct Product {
    name: &'static str,
    vendor_name: &'static str,
    version: &'static str,
}

#[derive(Debug, Serialize)]
struct Actor<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_uid: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Uid<'a>>,
}

#[derive(Debug, Serialize)]
struct User<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'a str>,
    type_id: u32,
}

#[derive(Debug, Serialize)]
struct Uid<'a> {
    uid: Text<'a>,
}

#[derive(Debug, Serialize)]
struct Api<'a> {
    operation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Name<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Uid<'a>>,
}

#[derive(Debug, Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Debug, Serialize)]
struct Endpoint<'a> {
    svc_name: Text<'a>,
}

#[derive(Debug, Serialize)]
struct HttpRequest<'a> {
    http_method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Url<'a>>,
}

#[derive(Debug, Serialize)]
struct Url<'a> {
    hostname: Text<'a>,
}

#[derive(Debug, Serialize)]
struct Resource<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<Text<'a>>,
}

#[derive(Debug, Serialize)]
struct Authorization {
    decision: &'static str,
}

#[derive(Debug, Serialize)]
struct Unmapped<'a> {
    door: &'static str,
    transport: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    staleness_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a Value>,
}

impl<'a> Activity<'a> {
    pub(super) fn of(line: &'a Line<'a>, at: Timestamp) -> Self {
        let allow = line.decision == "allow";
        // What an action of a service's means to its data is not known here: all are "other", by
        // their own names.
        let (class, other) = (6003, 99);
        let kind = line.resource.as_ref().and_then(|resource| resource.kind);
        let service = kind.and_then(|kind| kind.split(':').next());
        let user = line.subject.as_ref();
        let anonymous = user.is_none() && line.client.is_none() && line.session.is_none();
        Self {
            time: at.unix_micros().div_euclid(1000),
            metadata: Metadata {
                version: "1.6.0",
                product: Product {
                    name: "doorward-sidecar",
                    vendor_name: "Doorward",
                    version: env!("CARGO_PKG_VERSION"),
                },
                profiles: ["security_control"],
                uid: line.id,
                tenant_uid: line.organization,
            },
            category_uid: 6,
            category_name: "Application Activity",
            class_uid: class,
            class_name: "API Activity",
            number: other,
            name: line.action,
            type_uid: u64::from(class) * 100 + u64::from(other),
            severity_id: 1,
            status_id: if allow { 1 } else { 2 },
            status_code: line.detail,
            status_detail: line.reason,
            action_id: if allow { 1 } else { 2 },
            action: if allow { "Allowed" } else { "Denied" },
            disposition_id: if allow { 1 } else { 2 },
            actor: Actor {
                user: user.map(|user| User {
                    uid: user.id,
                    r#type: user.kind,
                    type_id: if user.kind == Some("user") { 1 } else { other },
                }),
                app_uid: line.client,
                // One of them has to be there.
                app_name: anonymous.then_some("anonymous"),
                session: line.session.map(|uid| Uid { uid }),
            },
            api: Api {
                operation: line.action.or(line.method).unwrap_or("unknown"),
                service: service.map(|name| Name { name }),
                request: line.request_id.map(|uid| Uid { uid }),
            },
            src_endpoint: Endpoint {
                svc_name: line.caller.unwrap_or(Text::Plain(line.door)),
            },
            http_request: line.method.map(|http_method| HttpRequest {
                http_method,
                url: line.host.map(|hostname| Url { hostname }),
            }),
            resources: line
                .resource
                .iter()
                .map(|resource| Resource {
                    r#type: resource.kind,
                    uid: resource.id,
                })
                .collect(),
            authorizations: [Authorization {
                decision: if allow { "allowed" } else { "denied" },
            }],
            unmapped: Unmapped {
                door: line.door,
                transport: line.transport,
                uid: line.uid,
                roles: line.roles,
                grant: line.grant,
                token_id: line.token_id,
                route: line.route,
                revision: line.revision,
                staleness_ms: line.staleness_ms,
                context: line.context.as_ref(),
            },
        }
    }
}
