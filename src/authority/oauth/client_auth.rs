//! Who a client is: every endpoint that clients call asks here.

use std::borrow::Cow;
use std::time::Duration;

use crate::authority::app::Authority;
use crate::authority::apps::documents::{self, Asker};
use crate::authority::attempts;
use crate::authority::proxies::ClientAddress;
use crate::crypto::digest::{sha256, token_digest};
use crate::crypto::sign::{Jws, JwsError, PublicKey};
use crate::domain::app::{AuthMethod, ClientSource};
use crate::domain::{ClientIdentifier, ClientKind, PlainToken, Timestamp, TokenDigest};
use crate::protocol::oauth::{AssertionClaims, OAuthError, PresentedClient, Proof};
use crate::store::apps::App;
use crate::store::clients::{Client, ClientState, StoredSecret};
use crate::store::{StoreError, used_jtis};

use super::Refused;
use super::check::is_active;
use super::known::KnownClient;

/// The longest an assertion may live: a stolen one is worth something until then.
const ASSERTION_LIFE: Duration = Duration::from_hours(1);
/// How far a client's clock may be off.
const SKEW: Duration = Duration::from_secs(30);
const JTI_MAX: usize = 256;

/// A client that has proved who it is, or that has nothing to prove it by and is public.
#[derive(Debug, Clone)]
pub struct AuthenticatedClient {
    /// Who it is.
    pub client: Client,
    /// What its registration says, if people log in through it.
    pub app: Option<App>,
    /// Whether it proved anything.
    pub confidential: bool,
}

impl AuthenticatedClient {
    fn new(known: &KnownClient, proof: &Proof) -> Self {
        Self {
            client: known.client.clone(),
            app: known.app.clone(),
            confidential: !matches!(proof, Proof::None),
        }
    }
}

/// Finds out who the client is. A wrong proof is counted by where it came from and answered "later"
/// when there were too many; a right one costs nothing here and is never kept out.
///
/// # Errors
///
/// [`Refused::TooMany`], and
/// `invalid_client` in the same words, and after the same work, for an unknown client, a wrong or
/// expired secret, a method that is not the client's, and a client that is retired or expired.
pub(super) async fn authenticate_client(
    authority: &Authority,
    presented: &PresentedClient,
    from: ClientAddress,
) -> Result<AuthenticatedClient, Refused> {
    if let Some(client) = prove(authority, presented, from).await? {
        return Ok(client);
    }
    metrics::counter!("doorward_authority_failed_authentications_total").increment(1);
    tracing::debug!("a client's proof is refused");
    match attempts::client_failed(authority, &presented.client_id, from).await? {
        Some(wait) => Err(Refused::TooMany(wait)),
        None => Err(OAuthError::invalid_client().into()),
    }
}

async fn prove(
    authority: &Authority,
    presented: &PresentedClient,
    from: ClientAddress,
) -> Result<Option<AuthenticatedClient>, Refused> {
    let now = authority.clock.now();
    let digest = match &presented.proof {
        Proof::Basic(secret) | Proof::Post(secret) => token_digest(secret),
        Proof::None | Proof::Assertion(_) => TokenDigest::from_bytes(sha256(b"")),
    };
    let identifier = presented.client_id.parse::<ClientIdentifier>().ok();
    let remembered = identifier
        .as_ref()
        .and_then(|identifier| authority.known.get(&authority.store, identifier));
    if let Some(known) = remembered
        && !is_documented(&known)
        && let Judged::Right = judge(authority, &known, &presented.proof, &digest, now)
    {
        return Ok(Some(AuthenticatedClient::new(&known, &presented.proof)));
    }
    let named = identifier.is_some();
    // A name that cannot be one is looked up all the same: it takes the same time.
    let looked_up = identifier.map_or_else(nobody, Ok)?;
    let found = authority.known.look_up(&authority.store, looked_up).await?;
    let Some(found) = found.filter(|_| named) else {
        matches_one(&digest, &[], now);
        return Ok(None);
    };
    let said = documented(authority, &found, from).await?;
    let right = match judge(authority, &said, &presented.proof, &digest, now) {
        Judged::Right => true,
        Judged::Wrong => false,
        Judged::Assertion(assertion) => assertion_counts(authority, &said, assertion, now).await?,
    };
    Ok(right.then(|| AuthenticatedClient::new(&found, &presented.proof)))
}

/// What a proof is worth.
enum Judged<'p> {
    Right,
    Wrong,
    /// It counts once, and that is for the store to say.
    Assertion(&'p PlainToken),
}

fn judge<'p>(
    authority: &Authority,
    known: &KnownClient,
    proof: &'p Proof,
    digest: &TokenDigest,
    now: Timestamp,
) -> Judged<'p> {
    let secret_right = matches_one(digest, &known.secrets, now);
    if !may_act(authority, known) {
        return Judged::Wrong;
    }
    match (proof, method(known)) {
        (Proof::None, Method::None) => Judged::Right,
        (Proof::Basic(_), Method::Basic | Method::AnySecret)
        | (Proof::Post(_), Method::Post | Method::AnySecret)
            if secret_right =>
        {
            Judged::Right
        }
        (Proof::Assertion(assertion), Method::PrivateKeyJwt) => Judged::Assertion(assertion),
        _ => Judged::Wrong,
    }
}

/// How a client is to prove itself.
enum Method {
    None,
    Basic,
    Post,
    /// Machine clients have no say in it: either way of sending the secret does.
    AnySecret,
    PrivateKeyJwt,
}

fn method(known: &KnownClient) -> Method {
    match (&known.client.kind, &known.app) {
        (ClientKind::App, Some(app)) => match app.spec.auth_method {
            AuthMethod::None => Method::None,
            AuthMethod::ClientSecretBasic => Method::Basic,
            AuthMethod::ClientSecretPost => Method::Post,
            AuthMethod::PrivateKeyJwt => Method::PrivateKeyJwt,
        },
        _ => Method::AnySecret,
    }
}

fn may_act(authority: &Authority, known: &KnownClient) -> bool {
    known.client.state == ClientState::Active
        && known
            .app
            .as_ref()
            .is_none_or(|app| is_active(authority, app))
}

fn nobody() -> Result<ClientIdentifier, StoreError> {
    "nobody"
        .parse()
        .map_err(|_| StoreError::Other("`nobody` is a client id".to_owned()))
}

/// Compares with as many hashes as a client can have, each in constant time.
fn matches_one(digest: &TokenDigest, secrets: &[StoredSecret], now: Timestamp) -> bool {
    let none = StoredSecret {
        digest: TokenDigest::from_bytes(sha256(b"")),
        expires_at: Some(Timestamp::EPOCH),
    };
    let mut right = false;
    for index in 0..secrets.len().max(2) {
        let secret = secrets.get(index).unwrap_or(&none);
        let live = secret.expires_at.is_none_or(|until| now < until);
        right |= (secret.digest == *digest) & live;
    }
    right
}

fn is_documented(known: &KnownClient) -> bool {
    let source = known.app.as_ref().map(|app| app.source);
    source == Some(ClientSource::Metadata)
}

/// A client with the way to prove itself, and the keys, that count now. Those of a client that is known
/// by its document are what the document says now, or when it was last fetched and for as long as that
/// counts: its row is as old as the last consent, and a key may have been taken out since.
///
/// # Errors
///
/// [`Refused::Document`] where the client has keys and the document cannot be had now.
async fn documented<'k>(
    authority: &Authority,
    known: &'k KnownClient,
    from: ClientAddress,
) -> Result<Cow<'k, KnownClient>, Refused> {
    let Some(app) = known.app.as_ref().filter(|_| is_documented(known)) else {
        return Ok(Cow::Borrowed(known));
    };
    if !may_act(authority, known) {
        return Ok(Cow::Borrowed(known));
    }
    let asker = Asker::new(true, from);
    let app = match documents::resolve(authority, &app.spec.identifier, asker).await {
        Ok(spec) => app.with(spec),
        // It never had anything to prove itself by: its host need not answer whenever it asks.
        Err(_) if app.spec.auth_method == AuthMethod::None => return Ok(Cow::Borrowed(known)),
        Err(error) if error.is_for_now() => return Err(Refused::Document(error)),
        Err(error) => {
            tracing::debug!(%error, client = %app.spec.identifier, "no keys of a client are known");
            let mut app = app.clone();
            app.spec.jwks = None;
            app
        }
    };
    Ok(Cow::Owned(KnownClient {
        app: Some(app),
        ..known.clone()
    }))
}

/// Whether the assertion is the client's, meant for this authority, of now, and new. One that is all
/// of these is used up, whatever becomes of the request.
async fn assertion_counts(
    authority: &Authority,
    known: &KnownClient,
    assertion: &PlainToken,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(jwks) = known.app.as_ref().and_then(|app| app.spec.jwks.as_deref()) else {
        return Ok(false);
    };
    let claims = match read_assertion(assertion.expose(), jwks) {
        Ok(claims) => claims,
        Err(error) => {
            tracing::debug!(%error, client = %known.client.identifier, "an assertion is refused");
            return Ok(false);
        }
    };
    let issuer = authority.config.issuer.as_str();
    if !assertion_fits(&claims, known.client.identifier.as_str(), issuer, now) {
        return Ok(false);
    }
    let used_by = format!("client:{}", known.client.id);
    let digest = TokenDigest::from_bytes(sha256(format!("{used_by} {}", claims.jti).as_bytes()));
    let purge_at = Timestamp::from_unix_seconds(claims.exp).plus(SKEW);
    let new = authority
        .store
        .write::<_, StoreError>(move |tx| used_jtis::insert(tx, &used_by, digest, purge_at))
        .await?;
    Ok(new.value)
}

fn read_assertion(assertion: &str, jwks: &str) -> Result<AssertionClaims, JwsError> {
    let signed = Jws::parse(assertion)?;
    let typed = signed.typ().is_none_or(|typ| {
        typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("client-authentication+jwt")
    });
    if !typed {
        return Err(JwsError::Malformed);
    }
    signed.verify_with(&PublicKey::from_set(jwks)?)
}

fn assertion_fits(claims: &AssertionClaims, client_id: &str, issuer: &str, now: Timestamp) -> bool {
    let at = Timestamp::from_unix_seconds;
    let (soon, before) = (now.plus(SKEW), now.minus(SKEW));
    claims.iss == client_id
        && claims.sub == client_id
        && claims.aud == issuer
        && (1..=JTI_MAX).contains(&claims.jti.len())
        && at(claims.exp) > before
        && at(claims.exp) <= soon.plus(ASSERTION_LIFE)
        && claims.nbf.is_none_or(|nbf| at(nbf) <= soon)
        && claims
            .iat
            .is_none_or(|iat| at(iat) <= soon && at(iat) >= before.minus(ASSERTION_LIFE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_counts_until_its_end_and_no_other_counts() {
        let digest = |byte| TokenDigest::from_bytes([byte; 32]);
        let now = Timestamp::from_unix_seconds(100);
        let secrets = [
            StoredSecret {
                digest: digest(1),
                expires_at: None,
            },
            StoredSecret {
                digest: digest(2),
                expires_at: Some(Timestamp::from_unix_seconds(101)),
            },
            StoredSecret {
                digest: digest(3),
                expires_at: Some(now),
            },
        ];
        assert!(matches_one(&digest(1), &secrets, now));
        assert!(matches_one(&digest(2), &secrets, now));
        assert!(!matches_one(&digest(3), &secrets, now));
        assert!(!matches_one(&digest(4), &secrets, now));
        let empty = TokenDigest::from_bytes(sha256(b""));
        assert!(!matches_one(&empty, &[], now), "no secret opens nothing");
    }

    #[test]
    fn an_assertion_is_for_this_authority_by_this_client_and_of_now() {
        let claims = AssertionClaims {
            iss: "a".into(),
            sub: "a".into(),
            aud: "https://id.example".into(),
            exp: 10_060,
            iat: Some(10_000),
            nbf: None,
            jti: "1".into(),
        };
        let fits = |change: fn(&mut AssertionClaims)| {
            let mut claims = claims.clone();
            change(&mut claims);
            let now = Timestamp::from_unix_seconds(10_000);
            assertion_fits(&claims, "a", "https://id.example", now)
        };
        assert!(fits(|_| ()));
        assert!(fits(|claims| claims.iat = None));
        assert!(!fits(|claims| claims.iss = "b".into()));
        assert!(!fits(|claims| claims.sub = "b".into()));
        assert!(!fits(
            |claims| claims.aud = "https://id.example/oauth2/token".into()
        ));
        assert!(!fits(|claims| claims.exp = 9_970));
        assert!(!fits(|claims| claims.exp = 13_631));
        assert!(!fits(|claims| claims.iat = Some(10_031)));
        assert!(!fits(|claims| claims.iat = Some(6_000)));
        assert!(!fits(|claims| claims.nbf = Some(10_031)));
        assert!(!fits(|claims| claims.jti.clear()));
    }
}
