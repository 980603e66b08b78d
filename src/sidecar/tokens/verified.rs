//! What a token says of itself.

use crate::crypto::sign::LEEWAY;
use crate::domain::{
    ClientId, ClientIdentifier, FULL_SCOPE, GrantId, OrganizationId, SessionId, Timestamp, UserId,
};
use crate::policy::ActionIndex;
use crate::protocol::jose::{AccessTokenClaims, Audience, Confirmation, Subject};
use crate::sidecar::refusal::Refusal;
use crate::sidecar::view::View;

/// Whose tokens count, and for whom they must be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The authority's issuer URL, compared whole.
    pub issuer: String,
    /// One of these must be among the token's audiences, by exact comparison.
    pub audiences: Vec<String>,
}

impl Rules {
    /// What a token's own words decide, each time anew: the same token may come to several doors.
    pub(super) fn check(&self, token: &Verified, now: Timestamp) -> Result<(), Refusal> {
        if token.issuer != self.issuer {
            return Err(Refusal::Issuer);
        }
        if !self.audiences.iter().any(|one| token.audience.names(one)) {
            return Err(Refusal::Audience);
        }
        if token.expires_at.plus(LEEWAY) <= now {
            return Err(Refusal::Expired);
        }
        if token.not_before > now.plus(LEEWAY) {
            return Err(Refusal::NotYetValid);
        }
        Ok(())
    }
}

/// What a token says, its signature being right. Whether it still counts is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whom it speaks for.
    pub subject: Subject,
    /// The client it was issued to.
    pub client: ClientIdentifier,
    /// That client's row.
    pub client_id: ClientId,
    /// The one organization it may act in, if it is bound to one.
    pub organization: Option<OrganizationId>,
    /// The login session it came from.
    pub session: Option<SessionId>,
    /// The grant it came from.
    pub grant: Option<GrantId>,
    /// The key that its bearer must prove to have (RFC 9449 §6.1): whoever opens a door checks the
    /// proof, and without one refuses.
    pub jkt: Option<String>,
    /// Its own id, for logs.
    pub jti: String,
    /// When it stops working.
    pub expires_at: Timestamp,
    not_before: Timestamp,
    issuer: String,
    audience: Audience,
    scopes: Vec<Box<str>>,
    /// Under which epoch of its subject it was minted.
    pub(super) epoch: i64,
    /// Under which epoch of its client.
    pub(super) client_epoch: i64,
}

impl Verified {
    /// Takes claims whose signature is right.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] when something is missing that a refusal might have to rest on.
    pub(in crate::sidecar) fn new(claims: AccessTokenClaims) -> Result<Self, Refusal> {
        let subject = claims.subject().ok_or(Refusal::Malformed)?;
        let scopes = claims.scopes().ok_or(Refusal::Malformed)?;
        let client_epoch = match subject {
            Subject::Client => Some(claims.dw_epoch),
            Subject::User(_) => claims.dw_client_epoch,
        };
        let starts = claims.nbf.unwrap_or(claims.iat).max(claims.iat);
        Ok(Self {
            expires_at: claims.expires_at(),
            not_before: Timestamp::from_unix_seconds(starts),
            subject,
            client: claims.client_id,
            client_id: claims.dw_client.ok_or(Refusal::Malformed)?,
            organization: claims.dw_org,
            session: claims.sid,
            grant: claims.gid,
            jkt: claims.cnf.map(|bound| bound.jkt),
            jti: claims.jti,
            issuer: claims.iss,
            audience: claims.aud,
            scopes: scopes.iter().map(|scope| scope.as_str().into()).collect(),
            epoch: claims.dw_epoch,
            client_epoch: client_epoch.ok_or(Refusal::Malformed)?,
        })
    }

    /// What it says, until another time: for what stands for it without its signature.
    pub(in crate::sidecar) fn claims_until(&self, until: Timestamp) -> AccessTokenClaims {
        let (sub, client_epoch) = match self.subject {
            Subject::User(user) => (user.to_string(), Some(self.client_epoch)),
            Subject::Client => (self.client.as_str().to_owned(), None),
        };
        AccessTokenClaims {
            iss: self.issuer.clone(),
            sub,
            aud: self.audience.clone(),
            exp: until.unix_seconds(),
            iat: self.not_before.unix_seconds(),
            nbf: None,
            jti: self.jti.clone(),
            client_id: self.client.clone(),
            scope: self.scopes.join(" "),
            dw_epoch: self.epoch,
            dw_client_epoch: client_epoch,
            dw_client: Some(self.client_id),
            dw_org: self.organization,
            sid: self.session,
            gid: self.grant,
            cnf: self.jkt.clone().map(|jkt| Confirmation { jkt }),
        }
    }

    /// The user it speaks for; `None` when a client speaks for itself.
    pub const fn user(&self) -> Option<UserId> {
        match self.subject {
            Subject::User(user) => Some(user),
            Subject::Client => None,
        }
    }

    /// Its scopes, in order.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(AsRef::as_ref)
    }

    /// Whether its scopes name the permission. A user's token may be a full one; a client has no
    /// permissions but those that its scopes name.
    pub fn permits(&self, view: &View, action: ActionIndex) -> bool {
        let full = matches!(self.subject, Subject::User(_));
        self.scopes()
            .any(|scope| (full && scope == FULL_SCOPE) || view.scopes.names(scope, action))
    }

    /// What it takes of memory, about.
    pub(in crate::sidecar) fn weight(&self) -> usize {
        let audience = match &self.audience {
            Audience::One(one) => one.len(),
            Audience::Many(many) => many.iter().map(|one| one.len() + 24).sum(),
        };
        let scopes: usize = self.scopes.iter().map(|scope| scope.len() + 16).sum();
        size_of::<Self>()
            + audience
            + scopes
            + self.client.as_str().len()
            + self.issuer.len()
            + self.jti.len()
            + self.jkt.as_ref().map_or(0, String::len)
    }
}
