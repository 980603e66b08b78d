//! The document itself, and what its tables refer to.

use schemars::json_schema;
use serde_json::{Map, Value, json};

use crate::openapi::document::{Book, Header};
use crate::openapi::operation::SchemaOf;

use super::{doors, endpoints};

/// What answers and is described nowhere, with the reason.
pub const OUTSIDE: &[(&str, &str)] = &[
    (
        "/.doorward/…",
        "the reserved path of a gate, by the `Host` of a guarded app: redirects and pages for browsers (docs/gate.md)",
    ),
    (
        "/envoy.service.auth.v3.Authorization/Check",
        "gRPC over HTTP/2, on a listener of its own (docs/forward-auth.md)",
    ),
];

/// The document.
pub fn document() -> Value {
    let outside: Map<String, Value> = OUTSIDE
        .iter()
        .map(|(path, why)| ((*path).to_owned(), (*why).into()))
        .collect();
    Book {
        title: "Doorward sidecar",
        about: ABOUT.to_owned(),
        operations: [endpoints::operations(), doors::operations()].concat(),
        captures: CAPTURES,
        headers: HEADERS,
        everywhere: &["XRequestId"],
        of_problems: &[(401, "WWWAuthenticate")],
        security: json!({
            "callerCredential": {
                "type": "http", "scheme": "bearer",
                "description": "The sidecar's `credential_file`, or the credential of a caller of its configuration. Over the Unix socket none is needed, and over loopback none for decisions, unless the listener says otherwise.",
            },
            "userToken": {
                "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": "An access token of the user on whose behalf a proxy asks; one that is bound to a key comes as `Authorization: DPoP` with its proof in `DPoP`.",
            },
        }),
        outside: outside.into(),
    }
    .write()
}

const ABOUT: &str = "\
What `doorward-sidecar` answers over HTTP: OpenID AuthZEN 1.0, explanations, plans and watches of our own, the doors of \
proxies, and how the process is. Which caller may ask what is configured; over TCP the `Host` must be a loopback name \
or a configured one.\n\n\
Refusals are problems (RFC 9457); `code` is for programs. A method that a path does not have is answered with 405 and \
`Allow`. A decision is always 200, allow or deny; `context.reason` tells what is not the plain outcome of roles and \
policies.";

const CAPTURES: &[(&str, &str, SchemaOf)] = &[(
    "path",
    "The path of the original request, slashes and all, and its query.",
    |_| json_schema!({ "type": "string" }),
)];

const HEADERS: &[Header] = &[
    Header {
        key: "XRequestId",
        name: "X-Request-Id",
        about: "The request's own `X-Request-ID`, if it sent one of at most 256 bytes.",
        always: false,
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
        key: "Scope",
        name: "WWW-Authenticate",
        about: "There when the token's scopes do not name the permission (RFC 6750 §3.1).",
        always: false,
        schema: || json!({ "type": "string" }),
    },
    Header {
        key: "NoStore",
        name: "Cache-Control",
        about: "`no-store`.",
        always: true,
        schema: || json!({ "const": "no-store" }),
    },
    Header {
        key: "Reason",
        name: "Doorward-Reason",
        about: "Why, in a word of a closed set.",
        always: true,
        schema: || json!({ "type": "string", "pattern": "^[a-z_]+$" }),
    },
    Header {
        key: "Revision",
        name: "Doorward-Revision",
        about: "The revision of the facts, where they were looked at.",
        always: false,
        schema: || json!({ "type": "string", "pattern": "^[0-9]+$" }),
    },
    Header {
        key: "Staleness",
        name: "Doorward-Staleness-Ms",
        about: "How old the facts may be, in milliseconds; absent when that is unknown.",
        always: false,
        schema: || json!({ "type": "string", "pattern": "^[0-9]+$" }),
    },
    Header {
        key: "DecisionId",
        name: "Doorward-Decision-Id",
        about: "What finds the record in the decision log, if one was made.",
        always: false,
        schema: || json!({ "type": "string" }),
    },
    Header {
        key: "AuthUser",
        name: "X-Auth-User",
        about: "The user's id; empty when there is none.",
        always: true,
        schema: || json!({ "type": "string" }),
    },
    Header {
        key: "AuthClient",
        name: "X-Auth-Client",
        about: "The client's public name; empty when there is none.",
        always: true,
        schema: || json!({ "type": "string" }),
    },
    Header {
        key: "AuthOrg",
        name: "X-Auth-Org",
        about: "The organization's id; empty when there is none.",
        always: true,
        schema: || json!({ "type": "string" }),
    },
    Header {
        key: "Login",
        name: "Location",
        about: "Where the person logs in.",
        always: true,
        schema: || json!({ "type": "string" }),
    },
    Header {
        key: "MaybeLogin",
        name: "Location",
        about: "Where the person logs in, where one is on the way to a page.",
        always: false,
        schema: || json!({ "type": "string" }),
    },
    Header {
        key: "RetryAfter",
        name: "Retry-After",
        about: "Seconds after which to ask again.",
        always: true,
        schema: || json!({ "type": "string", "pattern": "^[0-9]+$" }),
    },
];
