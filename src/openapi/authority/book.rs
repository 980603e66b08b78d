//! The document itself, and what its tables refer to.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::domain::user::Provider;
use crate::domain::{
    ClientIdentifier, FeedName, InstanceId, InvitationId, OrganizationId, RegistrationTokenId,
    ResourceName, RoleName, ServiceName, SidecarId, Slug, UserId,
};
use crate::openapi::document::{Book, Header};
use crate::openapi::operation::SchemaOf;
use crate::openapi::texts;
use crate::protocol::feed::SNAPSHOT_HEADER;

use super::{feed, installation, oauth, organizations, programs, services, users};

/// What answers at these paths is for browsers, and described nowhere: a document describes what
/// programs may rely on.
pub const OUTSIDE: &[(&str, &str)] = &[
    (
        "/oauth2/authorize",
        "a browser is sent there (RFC 6749 §3.1); pages and redirects answer",
    ),
    (
        "/oauth2/authorize/resume",
        "a step of a login in the browser",
    ),
    (
        "/oauth2/logout",
        "a browser is sent there (RP-Initiated Logout); pages and redirects answer",
    ),
    ("/consent", "a page"),
    ("/login", "a page"),
    ("/login/{provider}", "a form of a page"),
    (
        "/login/callback/{provider}",
        "the identity provider sends the browser there",
    ),
    ("/device", "a page"),
    ("/account", "a page"),
    ("/account/sign-out", "a form of a page"),
    ("/account/sessions/end-others", "a form of a page"),
    ("/account/sessions/end-all", "a form of a page"),
    ("/account/sessions/{session}/end", "a form of a page"),
    ("/account/apps/{client}/revoke", "a form of a page"),
    ("/account/providers/{provider}/add", "a form of a page"),
    ("/account/accounts/{account}/remove", "a form of a page"),
    ("/invitation", "a page"),
    ("/invitation/declined", "a page"),
    ("/signed-out", "a page"),
    ("/assets/{name}", "styles of the pages"),
];

/// The document.
pub fn document() -> Value {
    let operations = [
        installation::operations(),
        oauth::operations(),
        services::operations(),
        organizations::operations(),
        users::operations(),
        programs::operations(),
        feed::operations(),
    ];
    let outside: Map<String, Value> = OUTSIDE
        .iter()
        .map(|(path, why)| ((*path).to_owned(), (*why).into()))
        .collect();
    Book {
        title: "Doorward authority",
        about: ABOUT.to_owned(),
        operations: operations.into_iter().flatten().collect(),
        captures: CAPTURES,
        headers: HEADERS,
        everywhere: &["XRequestId"],
        of_problems: &[
            (308, "Location"),
            (401, "WWWAuthenticate"),
            (401, "DPoPNonce"),
            (403, "InsufficientScope"),
            (429, "RetryAfter"),
            (503, "MaybeRetryAfter"),
        ],
        security: json!({
            "accessToken": {
                "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": "An access token of this authority. One that is bound to a key comes as `Authorization: DPoP` with a proof in `DPoP` (RFC 9449).",
            },
            "clientSecret": {
                "type": "http", "scheme": "basic",
                "description": "A client's id and secret, each form-encoded first (RFC 6749 §2.3.1). In the form, `client_id` with `client_secret` or a `client_assertion` does as well; public clients send `client_id` alone.",
            },
            "registration": {
                "type": "http", "scheme": "bearer",
                "description": "To register: an initial access token of `/v1/registration-tokens`. After that: the `registration_access_token` of the registration.",
            },
        }),
        outside: outside.into(),
    }
    .write()
}

const ABOUT: &str = "\
The interfaces of `doorward-authority` that programs speak to: OAuth 2.0 and OpenID Connect, the API under `/v1`, the \
change feed, health and metrics. The pages that people see in a browser are not described; `x-doorward-outside` names \
them.\n\n\
Refusals are problems (RFC 9457); `code` is for programs. A method that a path does not have is answered with 405 and \
`Allow`. Writes answer with a freshness token: a sidecar that is asked with it answers with that write known, or says \
that it does not know it yet. `HEAD` answers wherever `GET` does; endpoints that apps in a browser call answer CORS \
preflights with 204.";

/// Names in paths.
const CAPTURES: &[(&str, &str, SchemaOf)] = &[
    (
        "client",
        "The client's public name, percent-encoded.",
        of_client,
    ),
    ("feed", "The feed.", feed_name),
    (
        "instance",
        "The instance's id, percent-encoded.",
        |generator| generator.subschema_for::<InstanceId>(),
    ),
    ("invitation", "The invitation.", |generator| {
        generator.subschema_for::<InvitationId>()
    }),
    (
        "organization",
        "Its id, or its slug. One that it no longer has is answered with 308.",
        organization,
    ),
    ("provider", "The identity provider.", |generator| {
        generator.subschema_for::<Provider>()
    }),
    (
        "resource",
        "The resource of the service, percent-encoded.",
        |generator| generator.subschema_for::<ResourceName>(),
    ),
    ("role", "The role's name within its service.", |generator| {
        generator.subschema_for::<RoleName>()
    }),
    ("service", "The service.", |generator| {
        generator.subschema_for::<ServiceName>()
    }),
    ("sidecar", "The sidecar.", |generator| {
        generator.subschema_for::<SidecarId>()
    }),
    ("token", "The initial access token's id.", |generator| {
        generator.subschema_for::<RegistrationTokenId>()
    }),
    ("user", "The user.", |generator| {
        generator.subschema_for::<UserId>()
    }),
];

fn of_client(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<ClientIdentifier>()
}

fn organization(generator: &mut SchemaGenerator) -> Schema {
    let id = generator.subschema_for::<OrganizationId>();
    let slug = generator.subschema_for::<Slug>();
    json_schema!({ "anyOf": [id, slug] })
}

fn feed_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": [FeedName::Authz.as_str()] })
}

/// Headers of answers. Those that are not always there are named with what decides.
const HEADERS: &[Header] = &[
    Header {
        key: "XRequestId",
        name: "X-Request-Id",
        about: "The request's own `X-Request-ID` if it is fit to be printed, else a new one. The log knows the request by it.",
        always: true,
        schema: || json!({ "type": "string", "minLength": 1 }),
    },
    Header {
        key: "DoorwardFreshness",
        name: "Doorward-Freshness",
        about: "The write's freshness token, as in the body.",
        always: true,
        schema: freshness,
    },
    Header {
        key: "Location",
        name: "Location",
        about: "The path of what was made, or where the request belongs.",
        always: true,
        schema: || json!({ "type": "string", "pattern": "^/" }),
    },
    Header {
        key: "CacheControl",
        name: "Cache-Control",
        about: "`no-store` where the answer holds a secret.",
        always: true,
        schema: || json!({ "type": "string" }),
    },
    Header {
        key: "WWWAuthenticate",
        name: "WWW-Authenticate",
        about: "How to authenticate (RFC 9110 §11.6.1).",
        always: true,
        schema: || json!({ "type": "string" }),
    },
    Header {
        key: "RetryAfter",
        name: "Retry-After",
        about: "Seconds after which to come again.",
        always: true,
        schema: || json!({ "type": "string", "pattern": "^[1-9][0-9]*$" }),
    },
    Header {
        key: "InsufficientScope",
        name: "WWW-Authenticate",
        about: "There when the token, not its bearer, may not do this (RFC 6750 §3.1).",
        always: false,
        schema: || json!({ "type": "string" }),
    },
    Header {
        key: "MaybeRetryAfter",
        name: "Retry-After",
        about: "Seconds after which to come again, where that is known.",
        always: false,
        schema: || json!({ "type": "string", "pattern": "^[1-9][0-9]*$" }),
    },
    Header {
        key: "AnyOrigin",
        name: "Access-Control-Allow-Origin",
        about: "Apps in a browser may read it.",
        always: true,
        schema: || json!({ "const": "*" }),
    },
    Header {
        key: "ETag",
        name: "ETag",
        about: "The same for the same bytes.",
        always: true,
        schema: || json!({ "type": "string" }),
    },
    Header {
        key: "ContentRange",
        name: "Content-Range",
        about: "Which bytes these are.",
        always: true,
        schema: || json!({ "type": "string", "pattern": "^bytes [0-9]+-[0-9]+/[0-9]+$" }),
    },
    Header {
        key: "SnapshotManifest",
        name: SNAPSHOT_HEADER,
        about: "What the snapshot holds, signed: CBOR in base64url.",
        always: true,
        schema: || json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+$" }),
    },
    Header {
        key: "DPoPNonce",
        name: "DPoP-Nonce",
        about: "The nonce that the next proof of possession must hold (RFC 9449 §8).",
        always: false,
        schema: || json!({ "type": "string" }),
    },
];

fn freshness() -> Value {
    let text = texts().iter().find(|text| text.name == "FreshnessToken");
    text.map_or(json!({ "type": "string" }), |text| {
        (text.schema)().to_value()
    })
}
