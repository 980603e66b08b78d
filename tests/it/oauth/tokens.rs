//! Apps, grants and codes put straight in the store, and requests of the token endpoint.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use doorward::crypto::digest::{sha256, token_digest};
use doorward::domain::app::{
    AppSpec, ApplicationType, AuthMethod, ClientSource, GrantType, IdTokenAlg, RefreshBinding,
};
use doorward::domain::{
    ClientId, GrantId, PlainToken, Scopes, SessionId, Timestamp, TokenDigest, UserId,
};
use doorward::protocol::oauth::FORM;
use doorward::store::apps::{self, App};
use doorward::store::authorization_codes::{self, NewCode};
use doorward::store::clients::ClientState;
use doorward::store::grants::{self, Grant};
use doorward::store::sessions::{self, NewSession, Session};
use doorward::store::{StoreError, Tx};
use serde_json::Value;

use crate::support::app::{Reply, TestApp};

pub const SECRET: &str = "dwc_app-secret-app-secret-app-secret-app-secret";
pub const VERIFIER: &str = "verifier-verifier-verifier-verifier-verifier-1";
pub const REDIRECT: &str = "https://app.example/callback";

/// A confidential app that may do everything.
pub fn an_app(app: &TestApp, identifier: &str) -> App {
    let now = app.authority.clock.now();
    App {
        id: ClientId::mint(now, app.entropy.id_bits()),
        spec: AppSpec {
            identifier: identifier.parse().unwrap(),
            name: identifier.to_owned(),
            scopes: Scopes::parse("openid profile email offline_access board:read").unwrap(),
            redirect_uris: vec![REDIRECT.to_owned()],
            application_type: ApplicationType::Web,
            auth_method: AuthMethod::ClientSecretBasic,
            grant_types: [
                GrantType::AuthorizationCode,
                GrantType::RefreshToken,
                GrantType::DeviceCode,
            ]
            .into_iter()
            .collect(),
            resources: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
            jwks: None,
            first_party: true,
            require_par: false,
            dpop_bound: false,
            refresh_binding: RefreshBinding::Session,
            id_token_alg: IdTokenAlg::ES256,
            logo_uri: None,
            client_uri: None,
            policy_uri: None,
            tos_uri: None,
        },
        state: ClientState::Active,
        token_epoch: 0,
        created_at: now,
        source: ClientSource::Api,
        expires_at: None,
    }
}

/// Stores the app; one that has a secret has [`SECRET`].
pub async fn register(app: &TestApp, registered: &App) {
    let (registered, now) = (registered.clone(), app.authority.clock.now());
    let secret = matches!(
        registered.spec.auth_method,
        AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost
    )
    .then(|| token_digest(&PlainToken::presented(SECRET.to_owned())));
    write(app, move |tx| apps::insert(tx, &registered, secret, now)).await;
}

/// Stores a confidential app.
pub async fn confidential(app: &TestApp, identifier: &str) -> App {
    let made = an_app(app, identifier);
    register(app, &made).await;
    made
}

/// Stores a public app.
pub async fn public(app: &TestApp, identifier: &str) -> App {
    let mut made = an_app(app, identifier);
    made.spec.auth_method = AuthMethod::None;
    register(app, &made).await;
    made
}

pub async fn write(
    app: &TestApp,
    f: impl FnMut(&mut dyn Tx) -> Result<(), StoreError> + Send + 'static,
) {
    app.authority.store.write::<_, StoreError>(f).await.unwrap();
}

/// A login of the user's.
pub async fn log_in(app: &TestApp, user: UserId) -> SessionId {
    let now = app.authority.clock.now();
    let lifetimes = &app.authority.config.lifetimes;
    let id = SessionId::mint(now, app.entropy.id_bits());
    let new = NewSession {
        session: Session {
            id,
            user_id: user,
            created_at: now,
            expires_at: now.plus(lifetimes.session),
            provider: "demo".to_owned(),
            upstream_subject: user.to_string(),
            upstream_sid: None,
            authenticated_at: now,
            amr: vec!["pwd".to_owned()],
            acr: None,
            user_agent: None,
            address: None,
            last_seen_at: now,
            idle_expires_at: now.plus(lifetimes.session_idle),
        },
        digest: TokenDigest::from_bytes(sha256(id.to_string().as_bytes())),
    };
    write(app, move |tx| sessions::insert(tx, &new)).await;
    id
}

/// A grant of the user's to the app, not stored yet.
pub fn a_grant(app: &TestApp, to: &App, user: UserId, session: SessionId, scope: &str) -> Grant {
    let now = app.authority.clock.now();
    Grant {
        id: GrantId::mint(now, app.entropy.id_bits()),
        client_id: to.id,
        user_id: user,
        session_id: Some(session),
        binding: to.spec.refresh_binding,
        organization_id: None,
        scope: Scopes::parse(scope).unwrap(),
        resources: Vec::new(),
        authenticated_at: now,
        amr: vec!["pwd".to_owned()],
        acr: None,
        nonce: Some("n-1".to_owned()),
        dpop_jkt: None,
        created_at: now,
        last_used_at: now,
        expires_at: now.plus(app.authority.config.lifetimes.refresh),
        revoked_at: None,
    }
}

/// Stores the grant and a code for it.
pub async fn code_for(app: &TestApp, grant: Grant) -> String {
    let now = app.authority.clock.now();
    let code = PlainToken::from_random_of("dwa_", grant.id.as_uuid(), app.entropy.token_bits());
    let new = NewCode {
        digest: token_digest(&code),
        client_id: grant.client_id,
        user_id: grant.user_id,
        redirect_uri: REDIRECT.to_owned(),
        code_challenge: BASE64URL_NOPAD.encode(&sha256(VERIFIER.as_bytes())),
        grant_id: grant.id,
        expires_at: now.plus(app.authority.config.lifetimes.code),
        created_at: now,
    };
    write(app, move |tx| {
        grants::insert(tx, &grant)?;
        authorization_codes::insert(tx, &new)
    })
    .await;
    code.expose().to_owned()
}

/// A user who just agreed: user, session and code.
pub struct Agreed {
    pub user: UserId,
    pub session: SessionId,
    pub grant: GrantId,
    pub code: String,
}

/// A new user logs in and agrees to `scope`.
pub async fn agree(app: &TestApp, to: &App, scope: &str) -> Agreed {
    let user = app.user("ada").await;
    let session = log_in(app, user).await;
    let grant = a_grant(app, to, user, session, scope);
    Agreed {
        user,
        session,
        grant: grant.id,
        code: code_for(app, grant).await,
    }
}

/// A request of an endpoint, with the proof that the app's registration asks for.
pub async fn ask(app: &TestApp, path: &str, by: &App, form: &str) -> Reply {
    let identifier = &by.spec.identifier;
    let call = app.post(path);
    match by.spec.auth_method {
        AuthMethod::ClientSecretBasic => {
            let basic = BASE64.encode(format!("{identifier}:{SECRET}").as_bytes());
            call.header("authorization", &format!("Basic {basic}"))
                .bytes(FORM, form.to_owned())
                .await
        }
        AuthMethod::ClientSecretPost => {
            let form = format!("{form}&client_id={identifier}&client_secret={SECRET}");
            call.bytes(FORM, form).await
        }
        _ => {
            call.bytes(FORM, format!("{form}&client_id={identifier}"))
                .await
        }
    }
}

/// The form that redeems a code.
pub fn code_form(code: &str) -> String {
    format!(
        "grant_type=authorization_code&code={code}&redirect_uri={REDIRECT}&code_verifier={VERIFIER}"
    )
}

pub async fn redeem(app: &TestApp, by: &App, code: &str) -> Reply {
    ask(app, "/oauth2/token", by, &code_form(code)).await
}

pub async fn refresh(app: &TestApp, by: &App, token: &str) -> Reply {
    let form = format!("grant_type=refresh_token&refresh_token={token}");
    ask(app, "/oauth2/token", by, &form).await
}

/// The status that the access token gets from the authority's own API.
pub async fn status_of(app: &TestApp, access_token: &str) -> u16 {
    let reply = app.get("/oauth2/userinfo").by(access_token).send().await;
    reply.status.as_u16()
}

/// A text of an answer.
#[track_caller]
pub fn text<'r>(reply: &'r Reply, name: &str) -> &'r str {
    reply.body[name]
        .as_str()
        .unwrap_or_else(|| panic!("no `{name}`: {reply:#?}"))
}

/// Refused in the words of OAuth.
#[track_caller]
pub fn expect_error(reply: Reply, status: u16, error: &str) -> Reply {
    let reply = reply.expect(status);
    assert_eq!(reply.body["error"], error, "{reply:#?}");
    reply
}

/// The claims of a token, unverified.
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap()
}

/// How many rows a table has.
pub async fn count(app: &TestApp, table: &'static str) -> usize {
    app.authority
        .store
        .read::<_, StoreError>(move |tx| Ok(tx.rows(&format!("SELECT 1 FROM {table}"), &[])?.len()))
        .await
        .unwrap()
}

/// A time as the clock shows it.
pub fn now(app: &TestApp) -> Timestamp {
    app.authority.clock.now()
}
