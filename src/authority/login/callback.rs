//! What a browser brings back from a provider, to its end.

use http::HeaderMap;
use http::header::USER_AGENT;

use crate::authority::app::Authority;
use crate::authority::proxies::ClientAddress;
use crate::domain::PlainToken;
use crate::domain::provider::ProviderKind;
use crate::protocol::oidc::upstream::{Callback, CallbackError, Outcome};
use crate::store::StoreError;

use super::error::{UpstreamError, printable};
use super::finish::{Arrived, FinishError, Visitor, finish};
use super::identity::Identity;
use super::provider::{Provider, ProviderError};
use super::request::{LoginError, LoginRequest, begin};
use super::transaction::{self, Found, Transaction};
use super::{github, oidc, session};

/// Where a login leads that is over.
#[derive(Debug)]
pub enum Ended {
    /// Somebody is logged in, by this cookie's value.
    LoggedIn {
        /// A path of ours.
        return_to: String,
        /// The cookie's value.
        token: PlainToken,
    },
    /// Another account is linked.
    Linked {
        /// A path of ours.
        return_to: String,
    },
    /// Nobody is logged in, and who asked is told why: `login_error` in the query.
    Refused {
        /// A path of ours.
        return_to: String,
    },
    /// The sign-in page again.
    Again {
        /// Its path.
        path: String,
        /// Why.
        why: Again,
    },
}

/// Why somebody is back at the sign-in page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// They stopped at the provider.
    Cancelled,
    /// They took too long.
    Expired,
}

/// Why there is only a page that says so.
#[derive(Debug, thiserror::Error)]
pub enum CallbackFailure {
    /// No such provider.
    #[error("no such provider")]
    UnknownProvider,
    /// Not an answer.
    #[error(transparent)]
    Query(#[from] CallbackError),
    /// The attempt is not this browser's, or over.
    #[error("no attempt of this browser's belongs to the answer")]
    Nothing,
    /// The provider failed.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The provider's own refusal.
    #[error("the provider answered `{0}`")]
    Refused(String),
    /// Not this one.
    #[error(transparent)]
    Finish(#[from] FinishError),
    /// The provider's secret.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Nothing can be sealed.
    #[error(transparent)]
    Begin(#[from] LoginError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A finished callback, with what becomes of the attempt's cookie.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub end: Result<Ended, CallbackFailure>,
    /// The `Set-Cookie` that ends the attempt, which counts once.
    pub clear: Option<String>,
}

/// Follows a callback to its end.
pub async fn callback(
    authority: &Authority,
    slug: &str,
    query: &str,
    headers: &HeaderMap,
    address: ClientAddress,
) -> Finished {
    let callback = match Callback::parse(query) {
        Ok(callback) => callback,
        Err(error) => {
            return Finished {
                end: Err(error.into()),
                clear: None,
            };
        }
    };
    let found = transaction::find(authority, headers, &callback.state, slug);
    let clear = match found {
        // Somebody else's answer must not end this browser's attempt.
        Found::Nothing => None,
        Found::Here(_) | Found::Late(_) => transaction::clear(&callback.state),
    };
    Finished {
        end: follow(authority, slug, callback, found, (headers, address)).await,
        clear,
    }
}

async fn follow(
    authority: &Authority,
    slug: &str,
    callback: Callback,
    found: Found,
    (headers, address): (&HeaderMap, ClientAddress),
) -> Result<Ended, CallbackFailure> {
    let transaction = match found {
        Found::Here(transaction) => transaction,
        Found::Late(transaction) => {
            return again(authority, &transaction.request, Again::Expired);
        }
        Found::Nothing => return Err(CallbackFailure::Nothing),
    };
    let provider = Provider::find(authority, slug)
        .await?
        .ok_or(CallbackFailure::UnknownProvider)?;
    let announced = match provider.kind {
        ProviderKind::Github => false,
        ProviderKind::Oidc | ProviderKind::Google | ProviderKind::Demo => {
            authority
                .directory
                .look_up(authority, &provider)
                .await?
                .metadata
                .authorization_response_iss_parameter_supported
        }
    };
    callback.check_issuer(&provider.issuer, announced)?;
    let code = match callback.outcome {
        Outcome::Code(code) => code,
        Outcome::Error(error) => return refused(authority, &transaction, &error),
    };
    let identity = match identify(authority, &provider, &transaction, &code).await {
        Err(error) if error.is_not_fresh() => {
            tracing::info!(provider = slug, %error, "login required");
            return Ok(with_error(&transaction.request, "login_required"));
        }
        identified => identified?,
    };
    let visitor = Visitor {
        current: session::current(authority, headers, address).await?,
        user_agent: headers
            .get(USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        network: address.network(),
    };
    let Transaction { request, .. } = *transaction;
    let arrived = finish(authority, provider, identity, request.purpose, visitor).await?;
    let return_to = request.return_to;
    Ok(match arrived {
        Arrived::Session(token) => Ended::LoggedIn { return_to, token },
        Arrived::Linked => Ended::Linked { return_to },
    })
}

async fn identify(
    authority: &Authority,
    provider: &Provider,
    transaction: &Transaction,
    code: &str,
) -> Result<Identity, UpstreamError> {
    match provider.kind {
        ProviderKind::Github => github::identify(authority, provider, transaction, code).await,
        ProviderKind::Oidc | ProviderKind::Google | ProviderKind::Demo => {
            oidc::identify(authority, provider, transaction, code).await
        }
    }
}

fn refused(
    authority: &Authority,
    transaction: &Transaction,
    error: &str,
) -> Result<Ended, CallbackFailure> {
    match error {
        "access_denied" => again(authority, &transaction.request, Again::Cancelled),
        // It was asked for a new proof and will not have one.
        "login_required" | "interaction_required" | "account_selection_required" => {
            Ok(with_error(&transaction.request, "login_required"))
        }
        other => Err(CallbackFailure::Refused(printable(other))),
    }
}

fn again(
    authority: &Authority,
    request: &LoginRequest,
    why: Again,
) -> Result<Ended, CallbackFailure> {
    let path = begin(authority, request)?;
    Ok(Ended::Again { path, why })
}

/// Back to who asked, who is told that it did not work.
fn with_error(request: &LoginRequest, error: &'static str) -> Ended {
    Ended::Refused {
        return_to: returning_with(&request.return_to, error),
    }
}

/// The path with `login_error` in its query.
pub fn returning_with(return_to: &str, error: &'static str) -> String {
    let separator = if return_to.contains('?') { '&' } else { '?' };
    format!("{return_to}{separator}login_error={error}")
}
