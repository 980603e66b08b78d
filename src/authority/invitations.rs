//! Invitations to an organization: a link that makes whoever follows it a member, once.
//!
//! What the inviter may give is asked twice: when the link is made, and when it is accepted, by the
//! facts of that moment. An inviter who has lost the right, or is gone, invites nobody any more.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::crypto::digest::token_digest;
use crate::domain::organization::Organization;
use crate::domain::role::Role;
use crate::domain::user::{EmailAddress, User, UserState};
use crate::domain::{
    ClientIdentifier, InvitationId, MemberId, OrganizationId, PlainToken, RoleKey, Scopes,
    Timestamp, TokenDigest, UserId,
};
use crate::store::audit::{self, AuditEntry};
use crate::store::clients::{self, ClientState};
use crate::store::invitations::{self, Invitation};
use crate::store::{Lock, StoreError, Tx, accounts, organizations, roles, users};

use super::access::{Access, Denied};
use super::app::Authority;
use super::change::{Change, Event};
use super::credentials::Actor;
use super::init::LOCAL_CLIENT;
use super::organizations::OrganizationsError;
use super::organizations::membership::{self, NewMember, givable};

/// Begins every token of an invitation.
pub const TOKEN_PREFIX: &str = "dwi_";
/// The most open invitations of one organization.
pub const MOST: i64 = 1_000;
/// How long an invitation is open when nobody says.
pub const DEFAULT_LIFETIME: Duration = Duration::from_hours(24 * 7);
/// How long it may be open at most.
pub const LONGEST_LIFETIME: Duration = Duration::from_hours(24 * 30);
/// How long it must be open at least.
pub const SHORTEST_LIFETIME: Duration = Duration::from_mins(1);

/// Why an invitation was not made, not revoked or not accepted. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// The rules of membership, for the inviter.
    #[error(transparent)]
    Organizations(#[from] OrganizationsError),
    /// The organization has too many open invitations.
    #[error("the organization has {MOST} open invitations: revoke some first")]
    TooMany,
    /// There is no such open invitation: used, revoked, expired, or never made.
    #[error("the invitation is no longer open")]
    NotOpen,
    /// It is for somebody else.
    #[error("the invitation is for another e-mail address")]
    OtherAddress,
    /// Whoever invited may no longer give the role.
    #[error("whoever made the invitation may no longer do so")]
    Withdrawn,
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] StoreError),
}

impl From<StoreError> for InvitationError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Denied> for InvitationError {
    fn from(denied: Denied) -> Self {
        Self::Organizations(denied.into())
    }
}

/// An invitation to be made.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// Its id.
    pub id: InvitationId,
    /// The digest of its token.
    pub digest: TokenDigest,
    /// Where to.
    pub organization: OrganizationId,
    /// As what.
    pub role: RoleKey,
    /// Who may accept it; anybody who has the link if absent.
    pub email: Option<EmailAddress>,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Mints a token, to be shown once.
pub fn mint_token(authority: &Authority) -> PlainToken {
    PlainToken::from_random(TOKEN_PREFIX, authority.entropy.token_bits())
}

/// The link that an invitation is sent as.
pub fn link(authority: &Authority, token: &PlainToken) -> String {
    let issuer = authority.config.issuer.as_str();
    format!("{issuer}/invitation?token={}", token.expose())
}

/// Makes an invitation.
///
/// # Errors
///
/// What adding a member with that role would be refused for.
pub fn create(
    tx: &mut dyn Tx,
    change: &Change,
    new: &NewInvitation,
) -> Result<(Invitation, Role), InvitationError> {
    tx.lock(Lock::Organization(new.organization))?;
    // Nobody yet: a user without a membership.
    let place = (new.organization, UserId::from_u128(0));
    change
        .access
        .check_member(tx, &change.actor, "auth:member:add", place)?;
    let role = givable(tx, change, &new.role, place)?;
    if invitations::count(tx, new.organization, change.now)? >= MOST {
        return Err(InvitationError::TooMany);
    }
    let invitation = Invitation {
        id: new.id,
        organization_id: new.organization,
        role_id: role.id,
        email: new.email.as_ref().map(ToString::to_string),
        invited_by: change.actor.audit_name(),
        created_at: change.now,
        expires_at: new.expires_at,
    };
    invitations::insert(tx, &invitation, new.digest)?;
    change.record(
        tx,
        Event {
            name: "invitation.created",
            organization: Some(new.organization),
            target: Some(format!("invitation:{}", new.id)),
            details: json!({ "role": role.key, "bound_to_address": new.email.is_some() }),
        },
    )?;
    Ok((invitation, role))
}

/// A page of an organization's open invitations, with their roles, for those who may make some.
pub fn page(
    tx: &mut dyn Tx,
    (access, actor): (&Access, &Actor),
    organization: OrganizationId,
    page: (InvitationId, i64),
    now: Timestamp,
) -> Result<Vec<(Invitation, RoleKey)>, InvitationError> {
    access.check(tx, actor, "auth:member:add", organization)?;
    invitations::page(tx, organization, page, now)?
        .into_iter()
        .map(|invitation| {
            let role = roles::find_by_id(tx, invitation.role_id)?.ok_or(StoreError::ForeignKey)?;
            Ok((invitation, role.key))
        })
        .collect()
}

/// Takes an invitation back.
///
/// # Errors
///
/// [`InvitationError::NotOpen`] when there is none.
pub fn revoke(
    tx: &mut dyn Tx,
    change: &Change,
    organization: OrganizationId,
    id: InvitationId,
) -> Result<(), InvitationError> {
    change
        .access
        .check(tx, &change.actor, "auth:member:add", organization)?;
    if !invitations::delete(tx, organization, id)? {
        return Err(InvitationError::NotOpen);
    }
    change.record(
        tx,
        Event {
            name: "invitation.revoked",
            organization: Some(organization),
            target: Some(format!("invitation:{id}")),
            details: json!({}),
        },
    )?;
    Ok(())
}

/// What an open invitation offers, for the page that asks whether to accept it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The organization.
    pub organization: Organization,
    /// The role.
    pub role: Role,
    /// Who may accept; anybody who has the link if absent.
    pub email: Option<String>,
    /// Until when.
    pub expires_at: Timestamp,
}

/// What the invitation of this token offers; `None` when it is not open.
pub fn offer(
    tx: &mut dyn Tx,
    digest: TokenDigest,
    now: Timestamp,
) -> Result<Option<Offer>, StoreError> {
    let Some(invitation) = invitations::find_open(tx, digest, now)? else {
        return Ok(None);
    };
    let organization =
        organizations::find(tx, invitation.organization_id)?.ok_or(StoreError::ForeignKey)?;
    let role = roles::find_by_id(tx, invitation.role_id)?.ok_or(StoreError::ForeignKey)?;
    Ok(Some(Offer {
        organization,
        role,
        email: invitation.email,
        expires_at: invitation.expires_at,
    }))
}

/// An acceptance about to be written. Made before the transaction, which may run more than once.
#[derive(Debug, Clone)]
pub struct Acceptance {
    digest: TokenDigest,
    user: UserId,
    member: MemberId,
    /// Carries the id of the audit row of the membership; its actor is replaced by the inviter.
    change: Change,
    entry: AuditEntry,
    now: Timestamp,
}

/// What accepting an invitation led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The organization.
    pub organization: OrganizationId,
    /// The role that the user holds there.
    pub role: RoleKey,
}

impl Acceptance {
    /// Of the invitation with this token, by a user who is logged in.
    pub fn new(authority: &Authority, token: &PlainToken, user: UserId) -> Result<Self, Denied> {
        let now = authority.clock.now();
        let actor = format!("user:{user}");
        let entry = authority.audit(actor, "invitation.accepted", String::new(), json!({}));
        Ok(Self {
            digest: token_digest(token),
            user,
            member: MemberId::mint(now, authority.entropy.id_bits()),
            change: Change::new(
                Arc::clone(&authority.access),
                local_user(user)?,
                now,
                &*authority.entropy,
            ),
            entry,
            now,
        })
    }
}

/// Makes the user a member, as the invitation says, and uses the invitation up.
///
/// # Errors
///
/// [`InvitationError`]; the invitation stays open unless somebody else accepted it meanwhile.
pub fn accept(tx: &mut dyn Tx, acceptance: &Acceptance) -> Result<Accepted, InvitationError> {
    let Acceptance {
        digest, user, now, ..
    } = acceptance;
    let invitation = invitations::find_open(tx, *digest, *now)?.ok_or(InvitationError::NotOpen)?;
    let accepting = users::find(tx, *user)?
        .filter(|user| user.state == UserState::Active)
        .ok_or(OrganizationsError::UnknownUser(*user))?;
    if let Some(address) = &invitation.email
        && !is_address_of(tx, &accepting, address)?
    {
        return Err(InvitationError::OtherAddress);
    }
    let organization = invitation.organization_id;
    let role = roles::find_by_id(tx, invitation.role_id)?
        .ok_or(StoreError::ForeignKey)?
        .key;
    let inviter = inviter(tx, &invitation.invited_by)?.ok_or(InvitationError::Withdrawn)?;
    let mut change = acceptance.change.clone();
    change.actor = inviter;
    let new = NewMember {
        id: acceptance.member,
        organization,
        user: *user,
        role: role.clone(),
    };
    match membership::add(tx, &change, &new) {
        Ok(_) => {}
        // What the inviter may not is nothing that the user could mend.
        Err(OrganizationsError::Denied(
            Denied::Forbidden { .. }
            | Denied::Scope { .. }
            | Denied::NotFound(_)
            | Denied::Inactive,
        )) => return Err(InvitationError::Withdrawn),
        Err(error) => return Err(error.into()),
    }
    if !invitations::delete(tx, organization, invitation.id)? {
        return Err(InvitationError::NotOpen);
    }
    let entry = AuditEntry {
        organization: Some(organization),
        target: Some(format!("invitation:{}", invitation.id)),
        details: json!({ "role": role, "invited_by": invitation.invited_by }),
        ..acceptance.entry.clone()
    };
    audit::record(tx, &entry)?;
    Ok(Accepted { organization, role })
}

/// Whether a provider has verified that the address is the user's.
fn is_address_of(tx: &mut dyn Tx, user: &User, address: &str) -> Result<bool, StoreError> {
    if user.email.eq_ignore_ascii_case(address) {
        return Ok(true);
    }
    Ok(accounts::of_user(tx, user.id)?.iter().any(|account| {
        account.email_verified
            && account
                .email
                .as_deref()
                .is_some_and(|email| email.eq_ignore_ascii_case(address))
    }))
}

/// Who invited, as somebody who could act now; `None` when they no longer can.
fn inviter(tx: &mut dyn Tx, name: &str) -> Result<Option<Actor>, InvitationError> {
    if let Some(id) = name.strip_prefix("user:") {
        // Whether the user is active the judge asks itself.
        return Ok(id.parse().ok().and_then(|id| local_user(id).ok()));
    }
    let Some(identifier) = name
        .strip_prefix("client:")
        .and_then(|name| name.parse::<ClientIdentifier>().ok())
    else {
        return Ok(None);
    };
    Ok(clients::find_by_identifier(tx, &identifier)?
        .filter(|client| client.state == ClientState::Active)
        .map(|client| Actor::Client {
            id: client.id,
            identifier: client.identifier,
            kind: client.kind,
            scopes: client.scopes,
        }))
}

/// A user with everything that their roles permit: the token that once bounded them is not here.
fn local_user(user_id: UserId) -> Result<Actor, Denied> {
    let broken = |_| Denied::Inactive;
    Ok(Actor::User {
        user_id,
        client: LOCAL_CLIENT.parse().map_err(|_| Denied::Inactive)?,
        scopes: Scopes::parse("doorward:admin doorward:organizations").map_err(broken)?,
        organization: None,
    })
}
