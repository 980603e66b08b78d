//! Providers that speak OpenID Connect.

use data_encoding::BASE64;
use http::HeaderValue;

use crate::authority::app::Authority;
use crate::crypto::digest::at_hash_fits;
use crate::domain::provider::UpstreamAuth;
use crate::domain::{Secret, Timestamp};
use crate::protocol::oidc::upstream::{
    ExpectedIdToken, IdTokenClaims, IdTokenError, Profile, TokenAnswer, TokenFailure,
};

use super::error::{UpstreamError, printable};
use super::identity::{self, Identity, UpstreamTokens};
use super::provider::Provider;
use super::transaction::Transaction;

/// What userinfo answers (OpenID Connect Core §5.3.2).
#[derive(serde::Deserialize)]
struct UserInfo {
    sub: String,
    #[serde(flatten)]
    profile: Profile,
}

/// Redeems a code and finds out who has logged in.
pub(super) async fn identify(
    authority: &Authority,
    provider: &Provider,
    transaction: &Transaction,
    code: &str,
) -> Result<Identity, UpstreamError> {
    let known = authority.directory.look_up(authority, provider).await?;
    let redirect_uri = provider.redirect_uri(authority);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri.as_str()),
        ("code_verifier", transaction.verifier.as_str()),
    ];
    let endpoint = &known.metadata.token_endpoint;
    let answer = ask_token_endpoint(authority, provider, endpoint, &form).await?;
    let now = authority.clock.now();
    let id_token = answer
        .id_token
        .as_deref()
        .ok_or(UpstreamError::Answer("there is no ID token in it"))?;
    let claims: IdTokenClaims = authority
        .directory
        .verify(authority, provider, id_token, &["JWT"])
        .await?;
    claims.check(ExpectedIdToken {
        issuer: &provider.issuer,
        client_id: &provider.client_id,
        nonce: &transaction.nonce,
        now,
        max_age: transaction.request.max_age,
        proved_after: transaction
            .request
            .force
            .then(|| Timestamp::from_unix_micros(transaction.started_at)),
    })?;
    if claims
        .at_hash
        .as_ref()
        .is_some_and(|hash| !at_hash_fits(hash, &answer.access_token))
    {
        return Err(IdTokenError::AccessToken.into());
    }
    let tokens = tokens(provider, answer, now);
    let mut profile = claims.profile.clone();
    if wants_userinfo(provider, &profile)
        && let Some(endpoint) = &known.metadata.userinfo_endpoint
    {
        let info: UserInfo = authority
            .outbound
            .get_json(endpoint, Some(&tokens.access))
            .await?;
        if info.sub != claims.sub {
            return Err(UpstreamError::Answer("userinfo is about somebody else"));
        }
        profile.fill(info.profile);
    }
    Ok(identity(provider, claims, profile, tokens, now))
}

/// Whether the ID token left out what is needed.
fn wants_userinfo(provider: &Provider, profile: &Profile) -> bool {
    let settings = &provider.settings;
    settings.userinfo
        || profile.email.is_none()
        || (profile.name.is_none() && profile.preferred_username.is_none())
        || (!settings.groups.is_empty() && profile.list(settings.groups_claim()).is_none())
}

fn identity(
    provider: &Provider,
    claims: IdTokenClaims,
    profile: Profile,
    tokens: UpstreamTokens,
    now: Timestamp,
) -> Identity {
    let groups = profile
        .list(provider.settings.groups_claim())
        .unwrap_or_default();
    let named = profile.name.as_deref().and_then(identity::display_name);
    Identity {
        subject: claims.sub,
        name: named.or_else(|| {
            profile
                .preferred_username
                .as_deref()
                .and_then(identity::display_name)
        }),
        email: profile.email.as_deref().and_then(identity::email),
        email_verified: profile.email_verified,
        picture: profile.picture.as_deref().and_then(identity::picture),
        locale: profile.locale.as_deref().and_then(identity::locale),
        hosted_domain: profile.hd,
        groups,
        // Its clock may be a little ahead; nobody proved anything in the future.
        authenticated_at: claims
            .auth_time
            .map(|time| Timestamp::from_unix_seconds(time).min(now)),
        amr: claims
            .amr
            .into_iter()
            .filter_map(identity::word)
            .take(8)
            .collect(),
        acr: claims.acr.and_then(identity::word),
        sid: claims.sid.and_then(identity::word),
        tokens,
    }
}

/// Sends a form with our credentials to a token endpoint.
pub(super) async fn ask_token_endpoint(
    authority: &Authority,
    provider: &Provider,
    endpoint: &str,
    form: &[(&str, &str)],
) -> Result<TokenAnswer, UpstreamError> {
    let mut form = form.to_vec();
    let mut authorization = None;
    match (&provider.secret, provider.settings.auth) {
        (Some(secret), UpstreamAuth::ClientSecretBasic) => {
            authorization = Some(basic(&provider.client_id, secret)?);
        }
        (secret, _) => {
            form.push(("client_id", &provider.client_id));
            if let Some(secret) = secret {
                form.push(("client_secret", secret.expose()));
            }
        }
    }
    let answer = authority
        .outbound
        .post_form(endpoint, &form, authorization)
        .await?;
    if let Ok(failure) = answer.json::<TokenFailure>() {
        return Err(UpstreamError::Refused(printable(&failure.error)));
    }
    let token: TokenAnswer = answer.success()?.json()?;
    if !token.is_bearer() {
        return Err(UpstreamError::Answer("its token is of another type"));
    }
    Ok(token)
}

/// RFC 6749 §2.3.1: both halves are form-encoded first.
fn basic(client_id: &str, secret: &Secret<String>) -> Result<HeaderValue, UpstreamError> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Secret::new(format!("{}:{}", encode(client_id), encode(secret.expose())));
    let text = Secret::new(format!("Basic {}", BASE64.encode(pair.expose().as_bytes())));
    let mut value = HeaderValue::from_str(text.expose())
        .map_err(|_| UpstreamError::Answer("our secret is no header value"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The tokens of an answer.
pub(super) fn tokens(provider: &Provider, answer: TokenAnswer, now: Timestamp) -> UpstreamTokens {
    UpstreamTokens {
        access: Secret::new(answer.access_token),
        refresh: answer.refresh_token.map(Secret::new),
        scope: answer.scope.unwrap_or_else(|| provider.scope()),
        expires_at: answer
            .expires_in
            .map(|seconds| now.plus(std::time::Duration::from_secs(seconds))),
    }
}
