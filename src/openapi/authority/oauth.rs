//! OAuth 2.0 and OpenID Connect, as clients and identity providers speak to it.

use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::authority::oauth::device::DEVICE_AUTHORIZATION_PATH;
use crate::authority::oauth::introspect::INTROSPECT_PATH;
use crate::authority::oauth::metadata::REGISTER;
use crate::authority::oauth::par::PAR_PATH;
use crate::authority::oauth::revoke::REVOKE_PATH;
use crate::authority::oauth::token::TOKEN_PATH;
use crate::authority::oauth::userinfo::USERINFO_PATH;
use crate::openapi::operation::{Brought, FORM, JSON, Operation, SchemaOf, of};
use crate::protocol::clients::registration::RegistrationError;
use crate::protocol::oauth::device::DeviceResponse;
use crate::protocol::oauth::{Introspection, OAuthError, TokenResponse};
use crate::protocol::oidc::discovery::ProviderMetadata;
use crate::protocol::oidc::userinfo::UserInfo;

use super::call;

/// A client by its secret, or by what is in the form.
const CLIENT: &[&str] = &["clientSecret", ""];

const PROOF: &[Brought] = &[(
    "DPoP",
    "A proof of possession (RFC 9449).",
    |_| json_schema!({ "type": "string" }),
)];

pub(super) fn operations() -> Vec<Operation> {
    [documents(), tokens(), registration(), others()].concat()
}

fn documents() -> Vec<Operation> {
    let published = |path: &str, id, summary, about, schema| {
        Operation::new(Method::GET, path, id, summary)
            .shows(200, about, schema)
            .with(&["CacheControl", "AnyOrigin"])
    };
    vec![
        published(
            "/.well-known/openid-configuration",
            "discover",
            "What is offered here (OpenID Connect Discovery §4).",
            "The metadata.",
            of::<ProviderMetadata>(),
        ),
        published(
            "/.well-known/oauth-authorization-server",
            "discoverOAuth",
            "The same (RFC 8414 §3).",
            "The metadata.",
            of::<ProviderMetadata>(),
        ),
        published(
            "/.well-known/jwks.json",
            "listKeys",
            "The keys of access and ID tokens (RFC 7517).",
            "The keys.",
            |_| {
                json_schema!({
                    "type": "object", "required": ["keys"],
                    "properties": { "keys": { "type": "array", "items": {
                        "type": "object", "required": ["kty", "kid", "alg", "use"],
                        "not": { "required": ["d"] },
                    } } },
                })
            },
        ),
    ]
}

fn tokens() -> Vec<Operation> {
    vec![
        of_client(TOKEN_PATH, "issueToken", "Gives tokens (RFC 6749 §3.2).", token_form)
            .bringing(PROOF)
            .shows(200, "The tokens.", of::<TokenResponse>())
            .with(&["CacheControl", "DPoPNonce"]),
        of_client(PAR_PATH, "pushRequest", "Takes an authorization request ahead of the browser (RFC 9126).", push_form)
            .bringing(PROOF)
            .shows(201, "What the browser is sent with.", |_| {
                json_schema!({
                    "type": "object", "required": ["request_uri", "expires_in"],
                    "properties": {
                        "request_uri": { "type": "string" },
                        "expires_in": { "type": "integer", "minimum": 1, "description": "Seconds." },
                    },
                })
            })
            .with(&["CacheControl", "DPoPNonce"])
            .shows(400, "Refused: here, or as the authorization endpoint would.", |_| {
                json_schema!({
                    "type": "object", "required": ["error", "error_description"],
                    "properties": { "error": { "type": "string" }, "error_description": { "type": "string" } },
                })
            })
            .with(&["DPoPNonce"]),
        of_client(DEVICE_AUTHORIZATION_PATH, "authorizeDevice", "Begins the login of a device (RFC 8628 §3.1).", device_form)
            .shows(200, "The codes.", of::<DeviceResponse>())
            .with(&["CacheControl"]),
        of_client(INTROSPECT_PATH, "introspect", "Whether a token counts (RFC 7662).", query_form)
            .shows(200, "What is told of it.", of::<Introspection>())
            .with(&["CacheControl"]),
        of_client(REVOKE_PATH, "revoke", "Gives a token back (RFC 7009).", query_form)
            .says(200, "It does not count, whatever it was before."),
    ]
}

/// An operation that a client may call with a form, with OAuth's refusals.
fn of_client(path: &str, id: &'static str, summary: &'static str, form: SchemaOf) -> Operation {
    refused::<OAuthError>(
        Operation::new(Method::POST, path, id, summary)
            .secured(CLIENT)
            .wants(FORM, form),
    )
    .shows(500, "No token can be issued.", of::<OAuthError>())
    .may(&[413, 500, 503])
}

/// OAuth's refusals in a shape of `E`, and problems where nothing of OAuth was reached.
fn refused<E: JsonSchema>(operation: Operation) -> Operation {
    operation
        .shows(400, "Refused: `error` says why.", of::<E>())
        .with(&["DPoPNonce"])
        .shows(401, "The credential is missing or wrong.", of::<E>())
        .with(&["WWWAuthenticate"])
        .shows(429, "Too much at once, or too many failures.", of::<E>())
        .with(&["RetryAfter"])
        .shows(503, "Not now.", of::<E>())
}

fn registration() -> Vec<Operation> {
    let client = format!("{REGISTER}/{{client}}");
    let registered = |operation: Operation, status, about| {
        refused::<RegistrationError>(operation.secured(&["registration"]))
            .shows(status, about, registered_client)
            .with(&["CacheControl"])
            .may(&[404, 413, 500, 503])
    };
    vec![
        registered(
            Operation::new(
                Method::POST,
                REGISTER,
                "registerClient",
                "Registers a client (RFC 7591).",
            )
            .wants(JSON, metadata),
            201,
            "The registration, with its credentials this once.",
        ),
        registered(
            Operation::new(
                Method::GET,
                &*client,
                "showRegistration",
                "A client's registration (RFC 7592).",
            ),
            200,
            "The registration.",
        ),
        registered(
            Operation::new(
                Method::PUT,
                &*client,
                "updateRegistration",
                "Changes a registration (RFC 7592).",
            )
            .wants(JSON, metadata),
            200,
            "The registration.",
        ),
        refused::<RegistrationError>(
            Operation::new(
                Method::DELETE,
                &*client,
                "deregisterClient",
                "Ends a registration (RFC 7592).",
            )
            .secured(&["registration"]),
        )
        .says(204, "It is gone.")
        .with(&["CacheControl"])
        .may(&[404, 500, 503]),
    ]
}

fn others() -> Vec<Operation> {
    let userinfo = |method, id| {
        call(
            method,
            USERINFO_PATH,
            id,
            "Who the token's user is (OpenID Connect Core §5.3).",
        )
        .bringing(PROOF)
        .shows(200, "What the token's scopes name.", of::<UserInfo>())
        .with(&["CacheControl", "DPoPNonce"])
    };
    vec![
        userinfo(Method::GET, "userinfo"),
        userinfo(Method::POST, "userinfoByPost"),
        Operation::new(
            Method::POST,
            "/login/backchannel/{provider}",
            "endUpstreamSessions",
            "An identity provider tells of a logout (OpenID Connect Back-Channel Logout §2.5).",
        )
        .wants(FORM, |_| form(&[("logout_token", "What the provider signed.")], &["logout_token"]))
        .says(200, "The sessions ended.")
        .with(&["CacheControl"])
        .shows(400, "Refused.", |_| {
            json_schema!({
                "type": "object", "required": ["error"],
                "properties": { "error": { "const": "invalid_request" }, "error_description": { "type": "string" } },
            })
        })
        .shows(503, "Not now.", |_| {
            json_schema!({
                "type": "object", "required": ["error"],
                "properties": { "error": { "const": "temporarily_unavailable" } },
            })
        })
        .may(&[413, 500, 503]),
    ]
}

/// What stands in every form of a client's.
const OF_CLIENT: &[(&str, &str)] = &[
    ("client_id", "The client, where no header says so."),
    ("client_secret", "Its secret, where no header says so."),
    (
        "client_assertion_type",
        "`urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.",
    ),
    (
        "client_assertion",
        "A JWT that the client signed (RFC 7523).",
    ),
];

/// A form: no parameter twice, but for `resource`.
fn form(parameters: &[(&str, &str)], required: &[&str]) -> Schema {
    let properties: Map<String, Value> = parameters
        .iter()
        .map(|(name, about)| {
            let schema = json!({ "type": "string", "description": about });
            ((*name).to_owned(), schema)
        })
        .collect();
    json_schema!({ "type": "object", "required": required, "properties": properties })
}

fn client_form(own: &[(&str, &str)], required: &[&str]) -> Schema {
    form(&[own, OF_CLIENT].concat(), required)
}

fn token_form(_: &mut SchemaGenerator) -> Schema {
    client_form(
        &[
            (
                "grant_type",
                "`client_credentials`, `authorization_code`, `refresh_token`, or the device's.",
            ),
            ("code", "The authorization code."),
            ("redirect_uri", "Where the code was sent."),
            (
                "code_verifier",
                "What the code's challenge was made of (RFC 7636): 43 to 128 characters.",
            ),
            ("refresh_token", "The refresh token; it counts once."),
            ("device_code", "The device's code (RFC 8628)."),
            (
                "scope",
                "Space-delimited; no more than the client or the grant has.",
            ),
            ("resource", "For which API (RFC 8707)."),
        ],
        &["grant_type"],
    )
}

fn push_form(_: &mut SchemaGenerator) -> Schema {
    client_form(
        &[
            ("response_type", "`code`."),
            ("redirect_uri", "One of the client's, to the letter."),
            ("scope", "Space-delimited."),
            ("state", "Comes back unchanged."),
            ("nonce", "Stands in the ID token."),
            ("code_challenge", "RFC 7636."),
            ("code_challenge_method", "`S256`."),
            ("prompt", "`none`, `login`, `consent` or `select_account`."),
            ("max_age", "Seconds since the login at most."),
            ("login_hint", "Who is likely to log in."),
            ("resource", "For which API (RFC 8707)."),
        ],
        &["response_type"],
    )
}

fn device_form(_: &mut SchemaGenerator) -> Schema {
    client_form(
        &[
            ("scope", "Space-delimited."),
            ("resource", "For which API (RFC 8707)."),
        ],
        &[],
    )
}

fn query_form(_: &mut SchemaGenerator) -> Schema {
    client_form(
        &[("token", "The token."), ("token_type_hint", "Not needed.")],
        &["token"],
    )
}

/// RFC 7591 §2. A member that nobody here knows is passed over.
fn metadata(_: &mut SchemaGenerator) -> Schema {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    json_schema!({
        "type": "object",
        "properties": {
            "client_id": text, "client_secret": text, "client_name": text,
            "redirect_uris": texts, "post_logout_redirect_uris": texts,
            "token_endpoint_auth_method": text, "grant_types": texts, "response_types": texts,
            "application_type": text, "scope": text, "jwks": { "type": "object" },
            "id_token_signed_response_alg": text, "subject_type": text,
            "backchannel_logout_uri": text, "require_pushed_authorization_requests": { "type": "boolean" },
            "dpop_bound_access_tokens": { "type": "boolean" },
            "logo_uri": text, "client_uri": text, "policy_uri": text, "tos_uri": text,
        },
    })
}

fn registered_client(generator: &mut SchemaGenerator) -> Schema {
    let metadata = metadata(generator);
    json_schema!({
        "allOf": [metadata, {
            "type": "object",
            "required": [
                "client_id", "client_name", "redirect_uris", "grant_types", "registration_client_uri",
                "registration_access_token", "client_id_issued_at",
            ],
            "properties": {
                "registration_client_uri": { "type": "string" },
                "registration_access_token": { "type": "string" },
                "client_id_issued_at": { "type": "integer", "description": "Seconds since 1970." },
                "client_secret_expires_at": { "type": "integer", "description": "With the client; 0 is never." },
            },
        }],
    })
}
