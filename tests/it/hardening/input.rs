//! Requests of every wrong kind: each is refused in words, by a documented status, and changes
//! nothing.

use serde_json::{Value, json};

use super::wire::{Reply, by};
use super::world::{Authority, Sidecar};
use crate::support::directory;

const NOBODY: &str = "00000000-0000-7000-8000-000000000009";
const ORGANIZATIONS: &str = "/v1/organizations";
const MANIFEST: &str = "/v1/services/billing/manifest";

fn is(reply: &Reply, status: u16, code: &str, what: &str) {
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (status, code),
        "{what}: {:#}",
        reply.json()
    );
}

/// Objects inside one another, `depth` deep.
fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = br#"{"a":"#.repeat(depth);
    bytes.push(b'1');
    bytes.extend(b"}".repeat(depth));
    bytes
}

/// Method, path, body, status and code. `NOBODY` is an id that nobody has, `MARA` a member's.
const REFUSED_BY_THE_AUTHORITY: &str = r#"
POST | /v1/organizations | | 400 | malformed-request
POST | /v1/organizations | {"name": | 400 | malformed-request
POST | /v1/organizations | {} {} | 422 | invalid-request
POST | /v1/organizations | [] | 422 | invalid-request
POST | /v1/organizations | {"name": 5, "slug": "ab"} | 422 | invalid-request
POST | /v1/organizations | {"name": "A", "slug": "ab", "x": 1} | 422 | invalid-request
POST | /v1/organizations | {"name": "A", "slug": "system"} | 422 | invalid-request
POST | /v1/organizations | {"name": "B", "slug": "acme", "owner": "MARA"} | 409 | slug-taken
POST | /v1/users | {"display_name": null} | 422 | invalid-request
POST | /v1/sidecars/enroll | {"join_token": "x"} | 401 | unauthenticated
POST | /v1/sidecars/enroll | {"join_token": {}} | 422 | invalid-request
POST | /v1/sidecars/join-tokens | {"name": ""} | 422 | invalid-request
PUT | /v1/services/billing/manifest | | 400 | malformed-request
PUT | /v1/services/billing/manifest | {"service": "other", "permissions": {}, "roles": {}} | 422 | invalid-request
PUT | /v1/services/billing/manifest | {"service": "billing", "roles": {"a": {"permissions": ["no:such"]}}} | 422 | invalid-request
PUT | /v1/services/billing/manifest | {"service": "billing", "colour": "red"} | 422 | invalid-request
GET | /v1/organizations/nowhere | | 404 | not-found
GET | /v1/organizations/NOBODY | | 404 | not-found
GET | /v1/services/nothing/roles | | 404 | not-found
GET | /v1/services/A%20B/roles | | 400 | malformed-request
GET | /v1/services/%FF/roles | | 400 | malformed-request
GET | /v1/organizations/acme/members/NOBODY | | 404 | not-found
GET | /v1/organizations/acme/members/no-user | | 400 | malformed-request
GET | /v1/organizations/acme/members?limit=many | | 400 | malformed-request
GET | /v1/organizations/acme/members?colour=red | | 400 | malformed-request
POST | /v1/organizations/acme/members | {"user": "NOBODY", "role": "billing/viewer"} | 422 | invalid-request
POST | /v1/organizations/acme/members | {"user": "MARA", "role": "billing/none"} | 422 | invalid-request
PUT | /v1/organizations/acme/members/MARA/roles/billing/none | | 404 | not-found
PUT | /v1/organizations/acme/members/MARA/roles/nothing/viewer | | 404 | not-found
GET | /v1/sidecars/NOBODY | | 404 | not-found
GET | /no/such/path | | 404 | not-found
PATCH | /healthz | | 405 | method-not-allowed
"#;

#[test]
fn the_authority_refuses_every_wrong_request_and_changes_nothing() {
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    let user = authority.furnish();
    let headers = by(&authority.token());
    let before = authority.revision();
    let table = REFUSED_BY_THE_AUTHORITY
        .replace("NOBODY", NOBODY)
        .replace("MARA", &user);
    for line in table.lines().filter(|line| !line.is_empty()) {
        let [method, path, body, status, code] = line
            .split('|')
            .map(str::trim)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        let reply = authority.raw(method, path, &headers, body.as_bytes());
        is(&reply, status.parse().unwrap(), code, line);
        assert!(reply.head.contains("application/problem+json"), "{line}");
    }
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(70_000)).into_bytes();
    for (method, path, body, status, code) in [
        (
            "POST",
            ORGANIZATIONS,
            b"{\"name\": \"\xFF\"}".to_vec(),
            400,
            "malformed-request",
        ),
        ("POST", ORGANIZATIONS, nested(17), 400, "malformed-request"),
        (
            "POST",
            ORGANIZATIONS,
            nested(10_000),
            400,
            "malformed-request",
        ),
        ("POST", ORGANIZATIONS, huge, 413, "too-large"),
        (
            "PUT",
            MANIFEST,
            b"\xFF\xFE".to_vec(),
            400,
            "malformed-request",
        ),
        ("PUT", MANIFEST, nested(9), 422, "invalid-request"),
        ("PUT", MANIFEST, nested(10_000), 422, "invalid-request"),
        (
            "PUT",
            MANIFEST,
            vec![b' '; 5 * 1024 * 1024],
            413,
            "too-large",
        ),
    ] {
        let reply = authority.raw(method, path, &headers, &body);
        is(
            &reply,
            status,
            code,
            &format!("{path}, {} bytes", body.len()),
        );
    }
    let no_type = format!("authorization: Bearer {}\r\n", authority.token());
    let reply = authority.raw("POST", ORGANIZATIONS, &no_type, b"{}");
    is(&reply, 415, "unsupported-media-type", "no media type");
    assert_eq!(authority.revision(), before, "a refusal changed something");
    assert!(!authority.log().contains("panicked"));
    authority.stop();
}

#[test]
fn wrong_credentials_are_refused_in_the_same_words() {
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    let other = Authority::start(&directory.path().join("other"), "");
    let foreign = other.token();
    let mut forged = foreign.clone();
    forged.replace_range(forged.len() - 4.., "AAAA");
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJvcGVyYXRvciJ9.";
    let mut bodies = std::collections::BTreeSet::new();
    for bearer in [&*foreign, &forged, "x", unsigned, "a.b.c"] {
        let reply = authority.call(bearer, "GET", "/v1/services", &Value::Null);
        is(&reply, 401, "unauthenticated", bearer);
        assert!(reply.head.contains("error=\"invalid_token\""));
        let mut body = reply.json();
        body["instance"] = Value::Null;
        bodies.insert(body.to_string());
    }
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    for header in [
        "",
        "authorization: Basic b3A6eA==\r\n",
        "authorization: Bearer\r\n",
    ] {
        authority
            .raw("GET", "/v1/services", header, b"")
            .expect(401);
    }
    let twice = format!("{0}{0}", by(&other.token()));
    authority
        .raw("GET", "/v1/services", &twice, b"")
        .expect(400);

    let form = "content-type: application/x-www-form-urlencoded\r\n";
    for (body, status, code) in [
        (
            "grant_type=client_credentials&client_id=operator&client_secret=wrong",
            401,
            "invalid_client",
        ),
        (
            "grant_type=client_credentials&client_id=nobody&client_secret=wrong",
            401,
            "invalid_client",
        ),
        (
            "grant_type=password&client_id=operator&client_secret=x",
            400,
            "unsupported_grant_type",
        ),
        ("", 401, "invalid_client"),
        (
            "grant_type=client_credentials&grant_type=client_credentials&client_id=a&client_secret=b",
            400,
            "invalid_request",
        ),
    ] {
        let reply = authority.raw("POST", "/oauth2/token", form, body.as_bytes());
        is(&reply, status, code, body);
    }
    let secret = authority.secret.clone();
    let reply = authority.ask_token("operator", &secret, "doorward:everything");
    is(&reply, 400, "invalid_scope", "a scope nobody has");
    assert!(!authority.log().contains(&secret));
    assert!(!authority.log().contains("panicked"));
    authority.stop();
}

#[test]
fn the_sidecar_refuses_every_wrong_question_and_denies_what_it_does_not_know() {
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    let user = authority.furnish();
    let mut sidecar = Sidecar::start(&authority, &directory.path().join("sidecar"));
    sidecar.until(&user, "billing:invoice:read", true);
    let json_type = "content-type: application/json\r\n";
    let one = "/access/v1/evaluation";
    let huge = vec![b' '; 2 * 1024 * 1024];
    let bodies: &[(&str, &[u8], u16)] = &[
        (one, b"", 400),
        (one, b"{", 400),
        (one, b"{}", 400),
        (one, b"[]", 400),
        (one, b"\xFF", 400),
        (one, b"{\"subject\": 5}", 400),
        (one, &nested(10_000), 400),
        (one, &huge, 413),
        ("/access/v1/evaluations", b"{\"evaluations\": 5}", 400),
        ("/no/such/path", b"{}", 404),
        ("/v1/check", b"{}", 405),
        ("/v1/explain", b"{}", 401),
    ];
    for (path, body, status) in bodies {
        let reply = sidecar.raw("POST", path, json_type, body);
        let what = format!(
            "{path} {}",
            String::from_utf8_lossy(&body[..body.len().min(60)])
        );
        assert_eq!(reply.status, *status, "{what}: {:#}", reply.json());
        assert!(reply.head.contains("application/problem+json"), "{what}");
        assert!(!reply.code().is_empty(), "{what}");
    }
    let ask = |user: &str, organization: Value, properties: Value, permission: &str| {
        let (resource, action) = permission.rsplit_once(':').unwrap();
        let body = json!({
            "subject": {"type": "user", "id": user},
            "action": {"name": action},
            "resource": {"type": resource, "id": "1", "properties": properties},
            "context": {"organization": organization},
        });
        sidecar.raw("POST", one, json_type, body.to_string().as_bytes())
    };
    let none = json!({});
    // Two organizations that disagree: no question.
    let other = json!({"organization": NOBODY});
    is(
        &ask(&user, json!("acme"), other, "billing:invoice:read"),
        400,
        "malformed-request",
        "organizations that disagree",
    );
    for (who, organization, permission, reason) in [
        (
            &*user,
            json!("nowhere"),
            "billing:invoice:read",
            "organization_unknown",
        ),
        (
            &user,
            Value::Null,
            "billing:invoice:read",
            "organization_missing",
        ),
        (
            &user,
            json!("acme"),
            "nothing:invoice:read",
            "permission_unknown",
        ),
        (
            &user,
            json!("acme"),
            "billing:invoice:burn",
            "permission_unknown",
        ),
        ("mara", json!("acme"), "billing:invoice:read", "subject_id"),
    ] {
        let answer = ask(who, organization, none.clone(), permission).expect(200);
        assert_eq!(answer["decision"], false, "{answer}");
        assert_eq!(answer["context"]["reason"]["code"], reason, "{answer}");
    }
    let answer = ask(NOBODY, json!("acme"), none.clone(), "billing:invoice:read").expect(200);
    assert_eq!(answer["decision"], false);
    for query in [
        "",
        "user=x",
        "user=x&organization=acme&permission=read",
        "user=x&organization=acme&permission=a:b:c&colour=red",
        "user=x&user=y&organization=acme&permission=a:b:c",
        "user=x&organization=acme&permission=a:b:c&max_staleness=soon",
        "user=x&organization=acme&permission=a:b:c&at_least=dw1",
    ] {
        let reply = sidecar.raw("GET", &format!("/v1/check?{query}"), "", b"");
        is(&reply, 400, "malformed-request", query);
    }
    let misdirected = sidecar.raw("GET", "/healthz", "host: evil.example\r\n", b"");
    is(&misdirected, 421, "misdirected-request", "two hosts");
    assert!(sidecar.allows(&user, "billing:invoice:read"));
    sidecar.stop();
    authority.stop();
}
