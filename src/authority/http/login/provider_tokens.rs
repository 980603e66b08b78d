//! Tokens of providers, for clients that call providers' APIs.

use http::HeaderValue;
use http::header::RETRY_AFTER;
use serde::Serialize;

use crate::authority::http::answer::Show;
use crate::authority::http::context::RequestContext;
use crate::authority::http::error::HttpError;
use crate::authority::http::json::{Path, parse_text};
use crate::authority::login::tokens::{self, TokensError};
use crate::domain::user::Provider;
use crate::domain::{Timestamp, UserId};
use crate::protocol::problem::Problem;

/// A provider's token, as its API wants it.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub(crate) struct ProviderTokenView {
    provider: String,
    access_token: String,
    token_type: &'static str,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

/// `GET /v1/users/{user}/provider-tokens/{provider}`
pub(super) async fn show(
    cx: RequestContext,
    Path((user, provider)): Path<(String, String)>,
) -> Result<Show<ProviderTokenView>, HttpError> {
    let user: UserId = parse_text(&user)?;
    let provider: Provider = parse_text(&provider)?;
    cx.ask(move |access, tx, actor| access.check_provider_tokens(tx, actor, user))
        .await?;
    let actor = cx.actor.audit_name();
    let given = tokens::give(&cx.authority, actor, user, provider.as_str()).await?;
    Ok(Show(ProviderTokenView {
        provider: provider.to_string(),
        access_token: given.access.expose().clone(),
        token_type: "Bearer",
        scope: given.scope,
        expires_at: given.expires_at,
    }))
}

impl From<TokensError> for HttpError {
    fn from(error: TokensError) -> Self {
        let detail = error.to_string();
        match error {
            TokensError::None => Problem::not_found(detail).into(),
            TokensError::Over(_) => Problem::conflict("login-needed", detail).into(),
            TokensError::Upstream(cause) => {
                tracing::warn!(error = %cause, "a provider's token cannot be refreshed");
                Self::from(Problem::unavailable("the provider cannot be asked"))
                    .with_header(RETRY_AFTER, HeaderValue::from_static("5"))
            }
            TokensError::Store(error) => error.into(),
            TokensError::Provider(_) | TokensError::Seal(_) => {
                tracing::error!(%error, "a provider's token cannot be given");
                Problem::internal().into()
            }
        }
    }
}
