//! `/forward-auth/<dialect>`: what proxies ask.

use http::Method;
use schemars::json_schema;

use crate::openapi::operation::{Brought, Operation};
use crate::protocol::forward_auth::Dialect;

/// What every answer of a door says.
const TOLD: &[&str] = &["NoStore", "Reason", "Revision", "Staleness", "DecisionId"];

pub(super) fn operations() -> Vec<Operation> {
    Dialect::HTTP.into_iter().map(door).collect()
}

fn door(dialect: Dialect) -> Operation {
    let (id, summary) = words(dialect);
    let suffix = match dialect {
        Dialect::Envoy => "/{path}",
        _ => "",
    };
    let path = format!("/forward-auth/{}{suffix}", dialect.name());
    let mut door = Operation::new(Method::GET, path, id, summary)
        .about("May a request go on? Asked by a proxy, with the request's own headers; the routes say what it needs. Any method is answered alike: the original one counts, which `HEAD` and the like cannot hide.")
        .secured(&["userToken", ""])
        .bringing(&told(dialect))
        .says(200, "Let through. Every identity header is there.")
        .with(TOLD)
        .with(&["AuthUser", "AuthClient", "AuthOrg"])
        .says(401, "It is not known who asks, or their token does not count.")
        .with(TOLD)
        .with(&["WWWAuthenticate", "MaybeLogin"])
        .says(403, "They may not, or no route is for it.")
        .with(TOLD)
        .with(&["Scope"])
        .says(503, "The sidecar cannot tell: no facts, too old ones, or too late.")
        .with(TOLD)
        .with(&["RetryAfter"])
        .may(&[404]);
    if dialect.malformed_status() != 403 {
        door = door
            .says(400, "It can be read in two ways, or not at all.")
            .with(TOLD);
    }
    if dialect.login_status() != 401 {
        door = door
            .says(302, "A person on the way to a page is sent to log in.")
            .with(TOLD)
            .with(&["Login"]);
    }
    if dialect.told_in().is_some() {
        door = door.may(&[421]);
    }
    door
}

const fn words(dialect: Dialect) -> (&'static str, &'static str) {
    match dialect {
        Dialect::Nginx => ("askForNginx", "nginx `auth_request`."),
        Dialect::Traefik => ("askForTraefik", "Traefik `ForwardAuth`."),
        Dialect::Caddy => ("askForCaddy", "Caddy `forward_auth`."),
        Dialect::Haproxy => ("askForHaproxy", "HAProxy, with the shipped Lua."),
        Dialect::Envoy | Dialect::EnvoyGrpc => ("askForEnvoy", "Envoy `ext_authz` over HTTP."),
        Dialect::Plain => ("askPlainly", "Other programs."),
    }
}

fn told(dialect: Dialect) -> Vec<Brought> {
    let about = [
        "The method of the original request.",
        "Its host.",
        "Its path and query.",
    ];
    let mut headers: Vec<Brought> = dialect
        .told_in()
        .into_iter()
        .flatten()
        .zip(about)
        .map(|(name, about)| -> Brought { (name, about, |_| json_schema!({ "type": "string" })) })
        .collect();
    headers.push((
        "DPoP",
        "The proof of a token that is bound to a key.",
        |_| json_schema!({ "type": "string" }),
    ));
    headers
}
