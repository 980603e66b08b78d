//! The whole matrix of who may do what on the platform, as one golden file.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use doorward::authority::access::auth_manifest;
use doorward::domain::{ClientKind, OrganizationId, Scopes, UserId};
use doorward::policy::platform::{Object, Platform, Subject, Tenant};

const OURS: Tenant = Tenant {
    id: OrganizationId::from_u128(1),
    system: false,
};
const OTHERS: Tenant = Tenant {
    id: OrganizationId::from_u128(2),
    system: false,
};
const SYSTEM: Tenant = Tenant {
    id: OrganizationId::from_u128(3),
    system: true,
};
const ME: UserId = UserId::from_u128(10);
const SOMEBODY: UserId = UserId::from_u128(11);

fn scopes(text: &str) -> Scopes {
    Scopes::parse(text).unwrap()
}

/// Name, who asks, with which scopes.
type Column = (&'static str, Subject<'static>, Scopes);

fn columns() -> Vec<Column> {
    let every = || scopes("doorward:admin doorward:feed doorward:manifest doorward:organizations");
    let membership = |organization, role: Option<&str>| Subject::Membership {
        organization,
        user: ME,
        roles: role.map_or(&[][..], |role| vec![role.parse().unwrap()].leak()),
    };
    let client = |kind: ClientKind| Subject::Client(Box::leak(Box::new(kind)));
    let service = || client(ClientKind::Service("billing".parse().unwrap()));
    vec![
        ("owner", membership(OURS, Some("auth/owner")), every()),
        ("admin", membership(OURS, Some("auth/admin")), every()),
        ("member", membership(OURS, Some("auth/member")), every()),
        ("guest", membership(OURS, Some("billing/viewer")), every()),
        (
            "fake-operator",
            membership(OURS, Some("auth/operator")),
            every(),
        ),
        (
            "operator",
            membership(SYSTEM, Some("auth/operator")),
            every(),
        ),
        (
            "system-owner",
            membership(SYSTEM, Some("auth/owner")),
            every(),
        ),
        ("user", Subject::User(ME), every()),
        (
            "owner/narrow",
            membership(OURS, Some("auth/owner")),
            scopes("doorward:feed"),
        ),
        ("operator-client", client(ClientKind::Operator), every()),
        (
            "operator-client/narrow",
            client(ClientKind::Operator),
            scopes("doorward:feed"),
        ),
        ("service-client", service(), every()),
        ("service-client/narrow", service(), scopes("doorward:feed")),
        ("sidecar-client", client(ClientKind::Sidecar), every()),
        ("app-client", client(ClientKind::App), every()),
        (
            "sidecar-client/narrow",
            client(ClientKind::Sidecar),
            scopes("doorward:manifest"),
        ),
    ]
}

fn objects() -> Vec<(&'static str, Object)> {
    let member = |organization, user, owner| Object::Member {
        organization,
        user,
        owner,
    };
    vec![
        ("installation", Object::Installation),
        (
            "new organization, own",
            Object::NewOrganization { owner: ME },
        ),
        (
            "new organization, another's",
            Object::NewOrganization { owner: SOMEBODY },
        ),
        ("organization, own", Object::Organization(OURS)),
        ("organization, another's", Object::Organization(OTHERS)),
        ("organization, system", Object::Organization(SYSTEM)),
        ("member, self", member(OURS, ME, false)),
        ("member, self, owner", member(OURS, ME, true)),
        ("member, other", member(OURS, SOMEBODY, false)),
        ("member, other, owner", member(OURS, SOMEBODY, true)),
        ("member of another's", member(OTHERS, SOMEBODY, false)),
        ("member of system, other", member(SYSTEM, SOMEBODY, false)),
        ("member of system, self", member(SYSTEM, ME, false)),
        ("account, own", Object::Account(ME)),
        ("account, another's", Object::Account(SOMEBODY)),
        ("service, own", Object::Service("billing".parse().unwrap())),
        (
            "service, another's",
            Object::Service("documents".parse().unwrap()),
        ),
    ]
}

fn matrix() -> String {
    let manifest = auth_manifest().unwrap();
    let platform = Platform::new(&manifest).unwrap();
    let mut text = String::from(
        "# Who may do what on the authority's own API: one line per object and subject with the\n\
         # permissions allowed. Written by a test under UPDATE_GOLDEN=1; review it like code.\n",
    );
    for (object_name, object) in objects() {
        let _ = writeln!(text, "\n[{object_name}]");
        for (subject_name, subject, scopes) in columns() {
            let allowed: Vec<String> = manifest
                .declared
                .permissions
                .keys()
                .filter(|key| {
                    platform
                        .rule(&subject, &scopes, &key.to_string(), &object)
                        .allowed
                })
                .map(|key| format!("{}:{}", key.resource, key.action))
                .collect();
            let allowed = if allowed.is_empty() {
                "-".to_owned()
            } else {
                allowed.join(" ")
            };
            let _ = writeln!(text, "{subject_name}: {allowed}");
        }
    }
    text
}

#[test]
fn who_may_do_what_on_the_platform_is_what_the_golden_file_says() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/policies/tests/platform.matrix"
    );
    let now = matrix();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        golden == now,
        "policies/tests/platform.matrix is not what the rules say; review the difference after \
         UPDATE_GOLDEN=1"
    );
}

#[test]
fn the_matrix_asks_for_every_role_and_every_kind_of_subject_and_object() {
    // A kind that is added does not compile here until it is named.
    let subject_kind = |subject: &Subject<'_>| match subject {
        Subject::Membership { .. } => "membership",
        Subject::User(_) => "user",
        Subject::Client(ClientKind::Operator) => "operator's client",
        Subject::Client(ClientKind::Service(_)) => "service's client",
        Subject::Client(ClientKind::Sidecar) => "sidecar's client",
        Subject::Client(ClientKind::App) => "app's client",
    };
    let object_kind = |object: &Object| match object {
        Object::Installation => "installation",
        Object::NewOrganization { .. } => "new organization",
        Object::Organization(_) => "organization",
        Object::Member { .. } => "member",
        Object::Account(_) => "account",
        Object::Service(_) => "service",
    };
    let columns = columns();
    let subjects: BTreeSet<&str> = columns
        .iter()
        .map(|(_, one, _)| subject_kind(one))
        .collect();
    assert_eq!(subjects.len(), 6, "{subjects:?}");
    let objects: BTreeSet<&str> = objects().iter().map(|(_, one)| object_kind(one)).collect();
    assert_eq!(objects.len(), 6, "{objects:?}");
    let manifest = auth_manifest().unwrap();
    for role in manifest.declared.roles.keys() {
        let held = columns.iter().any(|(_, subject, _)| match subject {
            Subject::Membership { roles, .. } => roles
                .iter()
                .any(|key| key.to_string() == format!("auth/{role}")),
            _ => false,
        });
        assert!(held, "no column holds auth/{role}");
    }
    // Permissions are those of the manifest, so each that anybody has is in the file.
    let matrix = matrix();
    for key in manifest.declared.permissions.keys() {
        let name = format!("{}:{}", key.resource, key.action);
        assert!(matrix.split_whitespace().any(|word| word == name), "{name}");
    }
}

#[test]
fn an_unknown_permission_is_denied() {
    let platform = Platform::new(&auth_manifest().unwrap()).unwrap();
    let ruling = platform.rule(
        &Subject::Client(&ClientKind::Operator),
        &scopes("doorward:admin"),
        "auth:organization:paint",
        &Object::Organization(OURS),
    );
    assert!(!ruling.allowed);
}

#[test]
fn the_operators_scope_covers_every_permission_of_the_platform() {
    let manifest = auth_manifest().unwrap();
    let admin = manifest
        .declared
        .scopes
        .get(&"doorward:admin".parse().unwrap())
        .unwrap();
    let all: Vec<_> = manifest.declared.permissions.keys().collect();
    assert_eq!(admin.iter().collect::<Vec<_>>(), all);
}
