//! What a handler knows of its request: who asks, when, and how to act for them.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

use crate::authority::access::{Access, Authorized, Installation};
use crate::authority::app::Authority;
use crate::authority::change::Change;
use crate::authority::credentials::{self, Actor, AuthError, Shown};
use crate::authority::organizations::listing::{self, Named};
use crate::domain::organization::Organization;
use crate::domain::{OrganizationId, PlainToken, ServiceName, Slug, Timestamp};
use crate::protocol::oauth::dpop::DPOP;
use crate::protocol::problem::Problem;
use crate::store::{StoreError, Tx, Written};

use super::error::HttpError;

/// A request's id: the caller's `X-Request-ID` if it is fit to be printed, else a random one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// `-` for text that no header can carry.
    pub(super) fn new(text: &str) -> Self {
        let value = HeaderValue::from_str(text);
        Self(value.unwrap_or(HeaderValue::from_static("-")))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("-")
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// An authenticated request. Handlers that take it are for bearers of a valid access token.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The process's parts.
    pub authority: Arc<Authority>,
    /// Who asks.
    pub actor: Actor,
    /// When the request came.
    pub now: Timestamp,
    /// Under which id the log knows it.
    pub request_id: RequestId,
    path_and_query: Arc<str>,
}

impl FromRequestParts<Arc<Authority>> for RequestContext {
    type Rejection = HttpError;

    async fn from_request_parts(
        parts: &mut Parts,
        authority: &Arc<Authority>,
    ) -> Result<Self, HttpError> {
        let token = PresentedToken::read(&parts.headers)?;
        let now = authority.clock.now();
        let shown = token.shown(&parts.headers, &parts.method, parts.uri.path());
        let (actor, _) = credentials::authenticate_shown(authority, shown).await?;
        let request_id = parts
            .extensions
            .get::<RequestId>()
            .cloned()
            .unwrap_or_else(|| RequestId::new("-"));
        let path_and_query = parts
            .uri
            .path_and_query()
            .map_or("/", |path_and_query| path_and_query.as_str())
            .into();
        Ok(Self {
            authority: Arc::clone(authority),
            actor,
            now,
            request_id,
            path_and_query,
        })
    }
}

impl From<AuthError> for HttpError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Store(error) => error.into(),
            AuthError::Nonce(nonce) => Self::unproved("use_dpop_nonce", Some(&nonce)),
            AuthError::Proof(error) => {
                tracing::debug!(reason = %error, "a proof of possession is refused");
                Self::unproved("invalid_dpop_proof", None)
            }
            refused => {
                tracing::debug!(reason = %refused, "a bearer is refused");
                Self::unauthenticated(true)
            }
        }
    }
}

/// The token of `Authorization: Bearer …` or `DPoP …`, which must stand there once.
#[derive(Debug)]
pub(super) struct PresentedToken {
    token: PlainToken,
    bound: bool,
}

impl PresentedToken {
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, HttpError> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Err(HttpError::unauthenticated(false));
        };
        let refused = || HttpError::unauthenticated(true);
        if values.next().is_some() {
            return Err(Problem::malformed("several `Authorization` headers").into());
        }
        let text = value.to_str().map_err(|_| refused())?;
        let (scheme, token) = text.split_once(' ').ok_or_else(refused)?;
        let token = token.trim();
        let bound = scheme.eq_ignore_ascii_case(DPOP);
        if token.is_empty() || !(bound || scheme.eq_ignore_ascii_case("bearer")) {
            return Err(refused());
        }
        Ok(Self {
            token: PlainToken::presented(token.to_owned()),
            bound,
        })
    }

    /// The token in its request.
    pub(super) fn shown<'r>(
        &'r self,
        headers: &'r HeaderMap,
        method: &'r Method,
        path: &'r str,
    ) -> Shown<'r> {
        let token = self.token.expose();
        if self.bound {
            Shown::Bound {
                token,
                headers,
                method,
                path,
            }
        } else {
            Shown::Bearer(token)
        }
    }
}

/// The path with another slug in the place of its own, however that is spelled there. What follows
/// must not get lost: a `DELETE` of a member would go on as one of the organization.
fn under_slug(path_and_query: &str, slug: &Slug) -> String {
    const BASE: &str = "/v1/organizations/";
    let segment = path_and_query.strip_prefix(BASE).unwrap_or_default();
    let end = segment.find(['/', '?']).unwrap_or(segment.len());
    let rest = segment.get(end..).unwrap_or_default();
    format!("{BASE}{slug}{rest}")
}

impl RequestContext {
    /// Whether the actor has `permission` on the organization. The write asks again.
    ///
    /// # Errors
    ///
    /// 404 when the actor may not see the organization, 403 when it may not do this.
    pub async fn authorize(
        &self,
        permission: &'static str,
        organization: OrganizationId,
    ) -> Result<Authorized<OrganizationId>, HttpError> {
        self.ask(move |access, tx, actor| access.check(tx, actor, permission, organization))
            .await
    }

    /// Whether the actor has `permission` on the service.
    ///
    /// # Errors
    ///
    /// 403 when not: services' names are no secret.
    pub async fn authorize_service(
        &self,
        permission: &'static str,
        service: &ServiceName,
    ) -> Result<Authorized<ServiceName>, HttpError> {
        let service = service.clone();
        self.ask(move |access, tx, actor| access.check_service(tx, actor, permission, &service))
            .await
    }

    /// Whether the actor has `permission` on what belongs to no organization.
    ///
    /// # Errors
    ///
    /// 403 when not.
    pub async fn authorize_installation(
        &self,
        permission: &'static str,
    ) -> Result<Authorized<Installation>, HttpError> {
        self.ask(move |access, tx, actor| access.check_installation(tx, actor, permission))
            .await
    }

    /// The organization that a path segment names, if the actor may see it.
    ///
    /// # Errors
    ///
    /// 404 when there is none to see; 308 to the same path under the present slug when the segment
    /// is one that the organization no longer has.
    pub async fn organization(&self, segment: &str) -> Result<Organization, HttpError> {
        let Some(named) = Named::parse(segment) else {
            return Err(crate::authority::access::no_organization(segment).into());
        };
        let asked = named.clone();
        let found = self
            .ask(move |access, tx, actor| listing::find(tx, access, actor, &asked))
            .await?;
        match named {
            Named::Slug(slug) if slug != found.slug => {
                let path = under_slug(&self.path_and_query, &found.slug);
                Err(HttpError::moved(&path))
            }
            Named::Slug(_) | Named::Id(_) => Ok(found),
        }
    }

    /// The circumstances of the write this request makes.
    pub fn change(&self) -> Change {
        Change::new(
            Arc::clone(&self.authority.access),
            self.actor.clone(),
            self.now,
            &*self.authority.entropy,
        )
    }

    /// Mints an id: `cx.mint(UserId::mint)`.
    pub fn mint<T>(&self, mint: impl FnOnce(Timestamp, [u8; 10]) -> T) -> T {
        mint(self.now, self.authority.entropy.id_bits())
    }

    /// Reads in a transaction.
    pub async fn read<T, E>(
        &self,
        f: impl FnMut(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<T, HttpError>
    where
        T: Send + 'static,
        E: From<StoreError> + Into<HttpError> + Send + 'static,
    {
        self.authority.store.read(f).await.map_err(Into::into)
    }

    /// Writes in a transaction.
    pub async fn write<T, E>(
        &self,
        f: impl FnMut(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<Written<T>, HttpError>
    where
        T: Send + 'static,
        E: From<StoreError> + Into<HttpError> + Send + 'static,
    {
        self.authority.store.write(f).await.map_err(Into::into)
    }

    /// Asks the judge, in a read transaction.
    pub(super) async fn ask<T, E>(
        &self,
        mut question: impl FnMut(&Access, &mut dyn Tx, &Actor) -> Result<T, E> + Send + 'static,
    ) -> Result<T, HttpError>
    where
        T: Send + 'static,
        E: From<StoreError> + Into<HttpError> + Send + 'static,
    {
        let access = Arc::clone(&self.authority.access);
        let actor = self.actor.clone();
        self.read(move |tx| question(&access, tx, &actor)).await
    }
}
