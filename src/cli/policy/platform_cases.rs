//! Cases of the authority's own rules.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::super::error::CliError;
use super::cases::Expected;
use super::test::{Outcome, Tested};
use super::yaml::{Document, Step};
use crate::authority::access::auth_manifest;
use crate::domain::{
    ClientKind, OrganizationId, PermissionKey, RoleKey, Scopes, ServiceName, UserId,
};
use crate::policy::platform::{Object, Platform, Subject, Tenant};

/// The organization of the operators, by its slug.
const SYSTEM: &str = "system";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    #[serde(rename = "platform")]
    _platform: bool,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    subject: CaseSubject,
    /// The scopes of the token, with blanks between them.
    scopes: String,
    permission: PermissionKey,
    object: CaseObject,
    expect: Expected,
    reasons: BTreeSet<String>,
}

/// One of these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseSubject {
    member: Option<CaseMember>,
    user: Option<String>,
    client: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseMember {
    organization: String,
    user: String,
    #[serde(default)]
    roles: Vec<RoleKey>,
    /// Whether the user owns the organization; of objects only.
    #[serde(default)]
    owner: bool,
}

/// One of these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseObject {
    #[serde(default)]
    installation: bool,
    new_organization_of: Option<String>,
    organization: Option<String>,
    member: Option<CaseMember>,
    account: Option<String>,
    service: Option<ServiceName>,
}

/// Runs the cases of a file.
///
/// # Errors
///
/// What in the file is wrong, with line and field.
pub(super) fn run(document: &Document, tested: &mut Tested) -> Result<(), CliError> {
    let file: CaseFile = document.read()?;
    let broken = |error: &dyn std::fmt::Display| CliError::local(error.to_string());
    let manifest = auth_manifest().map_err(|error| broken(&error))?;
    let platform = Platform::new(&manifest).map_err(|error| broken(&error))?;
    tested.has("", platform.places());
    for (number, case) in file.cases.iter().enumerate() {
        let steps =
            |field: &'static str| [Step::Key("cases"), Step::Place(number), Step::Key(field)];
        let scopes = Scopes::parse(&case.scopes)
            .map_err(|error| document.mistake(&steps("scopes"), error))?;
        if !manifest.declared.permissions.contains_key(&case.permission) {
            let what = format!("`{}` is no permission of the authority", case.permission);
            return Err(document.mistake(&steps("permission"), what));
        }
        let kind = case
            .subject
            .client
            .as_deref()
            .map(client)
            .transpose()
            .map_err(|error| document.mistake(&steps("subject"), error))?;
        let one = "one of member, user, client is wanted";
        let subject = match (&case.subject.member, &case.subject.user, &kind) {
            (Some(member), None, None) => Subject::Membership {
                organization: tenant(&member.organization),
                user: user(&member.user),
                roles: &member.roles,
            },
            (None, Some(name), None) => Subject::User(user(name)),
            (None, None, Some(kind)) => Subject::Client(kind),
            _ => return Err(document.mistake(&steps("subject"), one)),
        };
        let object = object(&case.object)
            .ok_or_else(|| document.mistake(&steps("object"), "one kind of object is wanted"))?;
        let ruling = platform.rule(&subject, &scopes, &case.permission.to_string(), &object);
        tested.ran(Outcome {
            place: document.place(&[Step::Key("cases"), Step::Place(number)]),
            name: case.name.clone(),
            wanted: (case.expect, case.reasons.clone()),
            got: (
                Expected::of(ruling.allowed),
                ruling.policies.into_iter().collect(),
            ),
            why: String::new(),
        });
    }
    Ok(())
}

fn object(case: &CaseObject) -> Option<Object> {
    let mut found = Vec::new();
    if case.installation {
        found.push(Object::Installation);
    }
    found.extend(
        case.new_organization_of
            .as_ref()
            .map(|owner| Object::NewOrganization { owner: user(owner) }),
    );
    found.extend(
        case.organization
            .as_ref()
            .map(|name| Object::Organization(tenant(name))),
    );
    found.extend(case.member.as_ref().map(|member| Object::Member {
        organization: tenant(&member.organization),
        user: user(&member.user),
        owner: member.owner,
    }));
    found.extend(
        case.account
            .as_ref()
            .map(|name| Object::Account(user(name))),
    );
    found.extend(case.service.clone().map(Object::Service));
    match (found.pop(), found.is_empty()) {
        (Some(object), true) => Some(object),
        _ => None,
    }
}

/// `operator`, `sidecar`, `app`, or the name of a service after `service `.
fn client(text: &str) -> Result<ClientKind, String> {
    match text {
        "operator" => Ok(ClientKind::Operator),
        "sidecar" => Ok(ClientKind::Sidecar),
        "app" => Ok(ClientKind::App),
        _ => match text.strip_prefix("service ") {
            Some(name) => name
                .parse()
                .map(ClientKind::Service)
                .map_err(|error| format!("{error}")),
            None => Err(format!(
                "`{text}` is no client: operator, sidecar, app or `service <name>`"
            )),
        },
    }
}

/// A number from a name, for ids: FNV-1a.
fn numbered(name: &str) -> u128 {
    name.bytes()
        .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        })
}

fn tenant(name: &str) -> Tenant {
    Tenant {
        id: OrganizationId::from_u128(numbered(name)),
        system: name == SYSTEM,
    }
}

fn user(name: &str) -> UserId {
    UserId::from_u128(numbered(name))
}
