//! Schemas of the names and ids of `domain`: each a text, with what its parser takes as a pattern.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::domain::instance::MAX_ID_BYTES;
use crate::domain::names::MAX_NAME_LEN;
use crate::domain::registration::HostPattern;
use crate::domain::user::{DisplayName, EmailAddress, Provider, ProviderAccount};
use crate::domain::{
    AccountId, ActionName, ClientIdentifier, FreshnessToken, GrantId, InstanceId, InvitationId,
    OrganizationId, OrganizationName, PermissionKey, RegistrationTokenId, ResourceName, RoleKey,
    RoleName, Scope, ServiceName, SessionId, SidecarId, Slug, Timestamp, UserId,
};

/// A kind of text: what its schema says, and what its parser takes.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// Its name among the schemas.
    pub name: &'static str,
    /// Its schema.
    pub schema: fn() -> Schema,
    /// Whether the parser takes a text.
    pub takes: fn(&str) -> bool,
}

macro_rules! texts {
    ($($name:ident $schema:expr;)*) => {
        $(impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })*

        /// Every kind of text that has a schema.
        pub fn texts() -> &'static [Text] {
            &[$(Text {
                name: stringify!($name),
                schema: || $schema,
                takes: |text| text.parse::<$name>().is_ok(),
            }),*]
        }
    };
}

texts! {
    UserId id("A person.");
    OrganizationId id("An organization.");
    SessionId id("A login.");
    GrantId id("What a user granted to a client.");
    SidecarId id("An enrolled sidecar.");
    AccountId id("An account at an identity provider.");
    InvitationId id("An invitation.");
    RegistrationTokenId id("An initial access token.");
    ServiceName named("A service", ServiceName::ALLOWED, ServiceName::PATTERN);
    ResourceName named("A kind of thing", ResourceName::ALLOWED, ResourceName::PATTERN);
    ActionName named("What is done to it", ActionName::ALLOWED, ActionName::PATTERN);
    InstanceId json_schema!({
        "type": "string",
        "description": "An instance's id in its service's own terms: at most 255 bytes of UTF-8, no control characters, not `*`.",
        "minLength": 1, "maxLength": MAX_ID_BYTES,
    });
    RoleName named("A role of a service", RoleName::ALLOWED, RoleName::PATTERN);
    RoleKey json_schema!({
        "type": "string",
        "description": "A role by its names: `service/role`.",
        "pattern": joined("/", &[ServiceName::PATTERN, RoleName::PATTERN]),
        "maxLength": 2 * MAX_NAME_LEN + 1,
    });
    PermissionKey json_schema!({
        "type": "string",
        "description": "A permission by its names: `service:resource:action`.",
        "pattern": joined(":", &[ServiceName::PATTERN, ResourceName::PATTERN, ActionName::PATTERN]),
        "maxLength": 3 * MAX_NAME_LEN + 2,
    });
    Slug json_schema!({
        "type": "string",
        "description": "An organization's place in URLs. Some words are reserved.",
        "pattern": "^[a-z]([a-z0-9]|-[a-z0-9])*$", "minLength": 2, "maxLength": 63,
    });
    OrganizationName json_schema!({
        "type": "string",
        "description": "The name an organization shows. No control characters; space around it is cut off.",
        "minLength": 1, "maxLength": 100,
    });
    DisplayName json_schema!({
        "type": "string",
        "description": "The name a user shows. No control characters, and not only space.",
        "minLength": 1, "maxLength": 100,
    });
    EmailAddress json_schema!({
        "type": "string",
        "description": "An address; its case does not count.",
        "pattern": r"^[^@\s]+@[^@\s]+$", "maxLength": 255,
    });
    Provider json_schema!({
        "type": "string",
        "description": "An identity provider.",
        "pattern": "^[a-z0-9-]+$", "minLength": 1, "maxLength": 30,
    });
    ProviderAccount json_schema!({
        "type": "string",
        "description": "A user's account at a provider, in the provider's words. No control characters.",
        "minLength": 1, "maxLength": 255,
    });
    ClientIdentifier json_schema!({
        "type": "string",
        "description": "A client's public name, or the URL of the document that describes it.",
        "pattern": CLIENT_IDENTIFIER, "minLength": 1, "maxLength": 100,
    });
    Scope json_schema!({
        "type": "string",
        "description": "A scope (RFC 6749 §3.3).",
        "pattern": r"^[\x21\x23-\x5B\x5D-\x7E]+$", "minLength": 1, "maxLength": 100,
    });
    HostPattern json_schema!({
        "type": "string",
        "description": "A host: `app.example`, `*.app.example` or `*`.",
        "pattern": r"^(\*|(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*)$",
        "minLength": 1, "maxLength": 253,
    });
    Timestamp json_schema!({
        "type": "string", "format": "date-time",
        "description": "A time in UTC, to the microsecond (RFC 3339).",
    });
    FreshnessToken json_schema!({
        "type": "string",
        "description": "\"At least as new as this write.\" Opaque: pass it to a sidecar unchanged.",
        "pattern": r"^dw1\.authz\.[0-9a-f]{32}\.(0|[1-9][0-9]{0,18})$",
    });
}

const CLIENT_IDENTIFIER: &str = r"^([A-Za-z0-9._~-]+|https?://[A-Za-z0-9._~:\[\]%!$()*+,;=@-]+/[A-Za-z0-9._~/:\[\]%!$()*+,;=@-]*)$";

fn id(about: &str) -> Schema {
    json_schema!({
        "type": "string", "format": "uuid", "description": about,
        "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    })
}

fn named(what: &str, allowed: &str, pattern: &str) -> Schema {
    json_schema!({
        "type": "string", "description": format!("{what}: {allowed}."),
        "pattern": pattern, "minLength": 1, "maxLength": MAX_NAME_LEN,
    })
}

/// Several patterns, one after another.
fn joined(separator: &str, patterns: &[&str]) -> String {
    let parts: Vec<&str> = patterns
        .iter()
        .map(|pattern| pattern.trim_start_matches('^').trim_end_matches('$'))
        .collect();
    format!("^{}$", parts.join(separator))
}
