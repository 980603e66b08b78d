//! Who may do what on this API: reads the actor's facts in the transaction at hand and asks the
//! platform's Cedar rules.
//!
//! Handlers ask before they act, and the write asks again inside its own transaction: what changed
//! in between counts. What an actor may not see answers as if it did not exist; what it sees but
//! may not do is forbidden.

use crate::domain::manifest::Manifest;
use crate::domain::role::Role;
use crate::domain::user::UserState;
use crate::domain::{OrganizationId, RoleKey, ServiceName, UserId};
use crate::policy::platform::{Object, Platform, PlatformError, Subject, Tenant};
use crate::protocol::manifest::{self, ManifestError};
use crate::store::clients::ClientState;
use crate::store::{StoreError, Tx, clients, members, organizations, users};

use super::credentials::Actor;

/// The manifest of the built-in service `auth`.
const AUTH_MANIFEST: &[u8] = include_bytes!("../../policies/auth.manifest.json");

/// What a user who owns an organization holds in it.
pub const OWNER: &str = "auth/owner";

/// What a user who runs the installation holds in the organization `system`.
pub const OPERATOR: &str = "auth/operator";

/// Proof that the actor may do to `T` what the holder is about to do. Made here only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorized<T>(T);

impl<T> Authorized<T> {
    /// What the permission is about.
    pub const fn target(&self) -> &T {
        &self.0
    }

    /// What the permission is about, without the proof.
    pub fn into_target(self) -> T {
        self.0
    }
}

/// What belongs to no organization: sidecars, keys, clients, the list of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installation;

/// A user's membership of an organization, there or to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberTarget {
    /// The organization.
    pub organization: OrganizationId,
    /// Whether it is the organization of the operators.
    pub system: bool,
    /// The user.
    pub user: UserId,
    /// Whether the user owns the organization now.
    pub owner: bool,
}

/// Why an actor may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It does not exist, or the actor may not see whether it does.
    #[error("there is no {0}")]
    NotFound(String),
    /// The actor sees it and lacks the permission.
    #[error("permission `{permission}` is needed")]
    Forbidden {
        /// What is needed.
        permission: String,
    },
    /// The token's scopes do not cover the permission, whoever bears it.
    #[error("the token's scopes do not cover `{permission}`")]
    Scope {
        /// What is needed.
        permission: String,
    },
    /// The user is suspended or deleted, or the client is retired: no token of theirs counts.
    #[error("the bearer may no longer act")]
    Inactive,
    /// The facts could not be read.
    #[error("the facts to decide by cannot be read")]
    Store(#[from] StoreError),
}

/// Why [`Access`] cannot be made. Only a broken build has a reason.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The built-in manifest breaks a rule.
    #[error("the built-in manifest of `auth` is refused")]
    Manifest(#[from] ManifestError),
    /// Manifest and rules do not fit together.
    #[error("the platform's rules are refused")]
    Rules(#[from] PlatformError),
}

/// The built-in manifest of `auth`, to be applied like any other at start.
///
/// # Errors
///
/// Never in a build whose tests pass.
pub fn auth_manifest() -> Result<Manifest, ManifestError> {
    manifest::from_json(AUTH_MANIFEST, None)
}

/// The judge. Immutable; shared by all requests.
#[derive(Debug)]
pub struct Access {
    platform: Platform,
}

impl Access {
    /// Compiles the platform's rules.
    pub fn new() -> Result<Self, AccessError> {
        Ok(Self {
            platform: Platform::new(&auth_manifest()?)?,
        })
    }

    /// Whether the actor has `permission` on an organization.
    ///
    /// # Errors
    ///
    /// [`Denied::NotFound`] when there is none, or none that the actor may see.
    pub fn check(
        &self,
        tx: &mut dyn Tx,
        actor: &Actor,
        permission: &str,
        organization: OrganizationId,
    ) -> Result<Authorized<OrganizationId>, Denied> {
        let asking = self.asking(tx, actor, permission, Some(organization))?;
        let tenant = asking.tenant(organization)?;
        self.visible(&asking, tenant)?;
        self.require(&asking, permission, &Object::Organization(tenant))?;
        Ok(Authorized(organization))
    }

    /// Whether the actor has `permission` on a user's membership of an organization, whether or
    /// not there is one yet.
    ///
    /// # Errors
    ///
    /// [`Denied::NotFound`] when there is no such organization that the actor may see.
    pub fn check_member(
        &self,
        tx: &mut dyn Tx,
        actor: &Actor,
        permission: &str,
        (organization, user): (OrganizationId, UserId),
    ) -> Result<Authorized<MemberTarget>, Denied> {
        let asking = self.asking(tx, actor, permission, Some(organization))?;
        let target = self.member_target(tx, &asking, organization, user)?;
        self.require(&asking, permission, &member(target))?;
        Ok(Authorized(target))
    }

    /// Whether the actor may give `role` to the user in the organization, or take it: the
    /// permission that the role names decides, and an owner's membership is touched by owners only.
    pub fn check_assignment(
        &self,
        tx: &mut dyn Tx,
        actor: &Actor,
        role: &Role,
        (organization, user): (OrganizationId, UserId),
    ) -> Result<Authorized<MemberTarget>, Denied> {
        // Other services' permissions are in nobody's platform scope: the scope to assign counts.
        // Of `auth`'s own only those to assign are asked of the rules, which let everybody read and
        // end the own membership: guarded by such a permission, a role goes by the roles held.
        let needed = role.assignable_by.to_string();
        let own = role.assignable_by.service.as_str() == "auth"
            && role.assignable_by.action.as_str() == "assign";
        let scoped = if own { &needed } else { "auth:member:assign" };
        let asking = self.asking(tx, actor, scoped, Some(organization))?;
        let target = self.member_target(tx, &asking, organization, user)?;
        if own {
            self.require(&asking, &needed, &member(target))?;
        } else if !self.operates(&asking) && !holds(tx, actor, organization, role)? {
            return Err(Denied::Forbidden { permission: needed });
        }
        if target.owner {
            self.require(&asking, "auth:owner:assign", &member(target))?;
        }
        Ok(Authorized(target))
    }

    /// Whether the actor may make an organization that `owner` is to own.
    pub fn check_founding(
        &self,
        tx: &mut dyn Tx,
        actor: &Actor,
        owner: UserId,
    ) -> Result<Authorized<UserId>, Denied> {
        let permission = "auth:organization:create";
        let asking = self.asking(tx, actor, permission, None)?;
        self.require(&asking, permission, &Object::NewOrganization { owner })?;
        Ok(Authorized(owner))
    }

    /// Whether the actor has `permission` on what belongs to no organization.
    pub fn check_installation(
        &self,
        tx: &mut dyn Tx,
        actor: &Actor,
        permission: &str,
    ) -> Result<Authorized<Installation>, Denied> {
        let asking = self.asking(tx, actor, permission, None)?;
        self.require(&asking, permission, &Object::Installation)?;
        Ok(Authorized(Installation))
    }

    /// Whether the actor has `permission` on a service. Services' names are no secret: a refusal is
    /// always [`Denied::Forbidden`].
    pub fn check_service(
        &self,
        tx: &mut dyn Tx,
        actor: &Actor,
        permission: &str,
        service: &ServiceName,
    ) -> Result<Authorized<ServiceName>, Denied> {
        let asking = self.asking(tx, actor, permission, None)?;
        self.require(&asking, permission, &Object::Service(service.clone()))?;
        Ok(Authorized(service.clone()))
    }

    /// Whether the actor may see a user's profile.
    ///
    /// # Errors
    ///
    /// [`Denied::NotFound`] when not: whether the user exists is not for the actor to learn.
    pub fn check_account(
        &self,
        tx: &mut dyn Tx,
        actor: &Actor,
        user: UserId,
    ) -> Result<Authorized<UserId>, Denied> {
        let permission = "auth:user:read";
        let asking = self.asking(tx, actor, permission, None)?;
        if self.allows(&asking, permission, &Object::Account(user)) {
            Ok(Authorized(user))
        } else {
            Err(no_user(user))
        }
    }

    /// Whether the actor may have a user's tokens of identity providers.
    ///
    /// # Errors
    ///
    /// [`Denied::NotFound`] when not, [`Denied::Scope`] when its token is for something else.
    pub fn check_provider_tokens(
        &self,
        tx: &mut dyn Tx,
        actor: &Actor,
        user: UserId,
    ) -> Result<Authorized<UserId>, Denied> {
        let permission = "auth:user:token";
        let asking = self.asking(tx, actor, permission, None)?;
        if self.allows(&asking, permission, &Object::Account(user)) {
            Ok(Authorized(user))
        } else {
            Err(no_user(user))
        }
    }

    /// Which organizations a list may show the actor.
    pub fn shown_organizations(
        &self,
        tx: &mut dyn Tx,
        actor: &Actor,
    ) -> Result<organizations::Shown, Denied> {
        let permission = "auth:organization:read";
        let asking = self.asking(tx, actor, permission, None)?;
        if self.allows(&asking, permission, &Object::Installation) {
            return Ok(organizations::Shown::All);
        }
        match actor {
            Actor::User { user_id, .. } => Ok(organizations::Shown::MemberOf(*user_id)),
            Actor::Client { .. } => Err(Denied::Forbidden {
                permission: permission.to_owned(),
            }),
        }
    }

    fn allows(&self, asking: &Asking<'_>, permission: &str, object: &Object) -> bool {
        asking.subjects().into_iter().any(|subject| {
            self.platform
                .rule(&subject, asking.actor.scopes(), permission, object)
                .allowed
        })
    }

    fn require(
        &self,
        asking: &Asking<'_>,
        permission: &str,
        object: &Object,
    ) -> Result<(), Denied> {
        if self.allows(asking, permission, object) {
            Ok(())
        } else {
            Err(Denied::Forbidden {
                permission: permission.to_owned(),
            })
        }
    }

    /// Whether the actor acts on every organization.
    fn operates(&self, asking: &Asking<'_>) -> bool {
        self.allows(asking, "auth:operator:assign", &Object::Installation)
    }

    fn visible(&self, asking: &Asking<'_>, tenant: Tenant) -> Result<(), Denied> {
        if self.allows(
            asking,
            "auth:organization:read",
            &Object::Organization(tenant),
        ) {
            Ok(())
        } else {
            Err(no_organization(tenant.id))
        }
    }

    /// The facts about a membership of a visible organization.
    fn member_target(
        &self,
        tx: &mut dyn Tx,
        asking: &Asking<'_>,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<MemberTarget, Denied> {
        let tenant = asking.tenant(organization)?;
        self.visible(asking, tenant)?;
        let roles = members::roles_held(tx, organization, user)?;
        Ok(MemberTarget {
            organization,
            system: tenant.system,
            user,
            owner: holds_role(&roles, OWNER),
        })
    }

    /// Reads what is to be known about the actor.
    fn asking<'a>(
        &self,
        tx: &mut dyn Tx,
        actor: &'a Actor,
        permission: &str,
        organization: Option<OrganizationId>,
    ) -> Result<Asking<'a>, Denied> {
        if !self.platform.in_scope(actor.scopes(), permission) {
            return Err(Denied::Scope {
                permission: permission.to_owned(),
            });
        }
        within_bounds(actor, permission, organization)?;
        let system = organizations::system(tx)?;
        let tenant = match organization {
            Some(id) => organizations::find(tx, id)?.map(|found| Tenant {
                id: found.id,
                system: Some(found.id) == system,
            }),
            None => None,
        };
        let client = match actor {
            Actor::Client { id, .. } => clients::find(tx, *id)?,
            Actor::User { client, .. } => clients::find_by_identifier(tx, client)?,
        };
        if client.is_none_or(|client| client.state != ClientState::Active) {
            return Err(Denied::Inactive);
        }
        let mut memberships = Vec::new();
        if let Actor::User { user_id, .. } = actor {
            match users::find_state(tx, *user_id)? {
                Some((UserState::Active, _)) => {}
                _ => return Err(Denied::Inactive),
            }
            if let Some(tenant) = tenant {
                let roles = members::roles_held(tx, tenant.id, *user_id)?;
                if !roles.is_empty() {
                    memberships.push((tenant, roles));
                }
            }
            // A token for one organization carries no powers that come from another.
            let elsewhere = system.filter(|_| actor.bound_to().is_none());
            if let Some(id) = elsewhere.filter(|id| Some(*id) != organization) {
                let roles = members::roles_held(tx, id, *user_id)?;
                if holds_role(&roles, OPERATOR) {
                    memberships.push((Tenant { id, system: true }, roles));
                }
            }
        }
        Ok(Asking {
            actor,
            tenant,
            memberships,
        })
    }
}

/// A token that is bound to an organization acts in that organization only: others are as if they
/// were not there, and what belongs to none is not its business.
fn within_bounds(
    actor: &Actor,
    permission: &str,
    organization: Option<OrganizationId>,
) -> Result<(), Denied> {
    match (actor.bound_to(), organization) {
        (None, _) => Ok(()),
        (Some(bound), Some(asked)) if bound == asked => Ok(()),
        (Some(_), Some(asked)) => Err(no_organization(asked)),
        (Some(_), None) => Err(Denied::Forbidden {
            permission: permission.to_owned(),
        }),
    }
}

/// The actor with what the store says of it.
#[derive(Debug)]
struct Asking<'a> {
    actor: &'a Actor,
    tenant: Option<Tenant>,
    memberships: Vec<(Tenant, Vec<RoleKey>)>,
}

impl Asking<'_> {
    fn tenant(&self, organization: OrganizationId) -> Result<Tenant, Denied> {
        self.tenant.ok_or_else(|| no_organization(organization))
    }

    /// Everyone the actor is: a client; or a user alone, as a member, as an operator.
    fn subjects(&self) -> Vec<Subject<'_>> {
        match self.actor {
            Actor::Client { kind, .. } => vec![Subject::Client(kind)],
            Actor::User { user_id, .. } => self
                .memberships
                .iter()
                .map(|(organization, roles)| Subject::Membership {
                    organization: *organization,
                    user: *user_id,
                    roles,
                })
                .chain([Subject::User(*user_id)])
                .collect(),
        }
    }
}

fn member(target: MemberTarget) -> Object {
    Object::Member {
        organization: Tenant {
            id: target.organization,
            system: target.system,
        },
        user: target.user,
        owner: target.owner,
    }
}

fn holds(
    tx: &mut dyn Tx,
    actor: &Actor,
    organization: OrganizationId,
    role: &Role,
) -> Result<bool, StoreError> {
    match actor {
        Actor::User { user_id, .. } => {
            members::holds_permission(tx, organization, *user_id, &role.assignable_by)
        }
        Actor::Client { .. } => Ok(false),
    }
}

/// Whether `text`, a role in its text form, is among the roles.
fn holds_role(roles: &[RoleKey], text: &str) -> bool {
    roles.iter().any(|role| role.to_string() == text)
}

/// What is said of an organization that is not there, or not for the actor to see.
pub fn no_organization(named: impl std::fmt::Display) -> Denied {
    Denied::NotFound(format!("organization `{named}`"))
}

/// What is said of a user who is not there, or not for the actor to see.
pub fn no_user(named: impl std::fmt::Display) -> Denied {
    Denied::NotFound(format!("user `{named}`"))
}
