//! An authority with apps and logged-in people, and a browser to visit it with.

use std::collections::BTreeMap;
use std::time::Duration;

use doorward::crypto::digest::{sha256, token_digest};
use doorward::domain::app::{
    AppSpec, ApplicationType, AuthMethod, ClientSource, GrantType, IdTokenAlg, RefreshBinding,
};
use doorward::domain::{ClientId, PlainToken, Scopes, SessionId, Timestamp, TokenDigest, UserId};
use doorward::runtime::Clock;
use doorward::store::apps::{self, App};
use doorward::store::clients::ClientState;
use doorward::store::sessions::{self, NewSession, Session};
use doorward::store::{StoreConfig, StoreError};

use crate::support::app::{Reply, TestApp};

/// PKCE's verifier of every request here.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Its challenge (RFC 7636, appendix B).
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// The secret of the app `board`.
pub const SECRET: &str = "dwc_board";
/// Where the app `board` is answered.
pub const CALLBACK: &str = "https://board.example/callback";

/// A running authority.
pub struct World {
    pub app: TestApp,
}

/// A browser with the cookie of a session.
#[derive(Debug, Clone)]
pub struct Browser {
    pub user: UserId,
    pub session: SessionId,
    cookie: String,
}

impl World {
    /// With the first-party app `board`.
    pub async fn start() -> Self {
        Self::of(TestApp::start().await).await
    }

    /// The same over a store of the caller's.
    pub async fn start_on(store: StoreConfig) -> Self {
        Self::of(TestApp::start_on(Some(store)).await).await
    }

    pub async fn of(app: TestApp) -> Self {
        let world = Self { app };
        world.register_with(board(), Some(SECRET)).await;
        world
    }

    pub fn issuer(&self) -> &str {
        self.app.authority.config.issuer.as_str()
    }

    /// Stores an app.
    pub async fn register(&self, app: App) {
        self.register_with(app, None).await;
    }

    /// Stores an app that has a secret.
    pub async fn register_with(&self, app: App, secret: Option<&str>) {
        let digest = secret.map(|text| token_digest(&PlainToken::presented(text.to_owned())));
        let now = self.app.clock.now();
        self.app
            .authority
            .store
            .write::<_, StoreError>(move |tx| apps::insert(tx, &app, digest, now))
            .await
            .unwrap();
    }

    /// A browser in which a new user has just logged in.
    pub async fn log_in(&self, name: &str) -> Browser {
        let user = self.app.user(name).await;
        self.log_in_as(user).await
    }

    /// A browser in which the user has just logged in.
    pub async fn log_in_as(&self, user: UserId) -> Browser {
        let now = self.app.clock.now();
        let id = SessionId::mint(now, self.app.entropy.id_bits());
        let token = PlainToken::from_random("dws_", self.app.entropy.token_bits());
        let lifetimes = &self.app.authority.config.lifetimes;
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
                acr: Some("1".to_owned()),
                user_agent: None,
                address: None,
                last_seen_at: now,
                idle_expires_at: now.plus(lifetimes.session_idle),
            },
            digest: token_digest(&token),
        };
        self.app
            .authority
            .store
            .write::<_, StoreError>(move |tx| sessions::insert(tx, &new))
            .await
            .unwrap();
        Browser {
            user,
            session: id,
            cookie: format!("__Host-doorward={}", token.expose()),
        }
    }

    /// Whether the session is still there.
    pub async fn is_logged_in(&self, browser: &Browser) -> bool {
        let id = browser.session;
        let found = self
            .app
            .authority
            .store
            .read::<_, StoreError>(move |tx| sessions::find(tx, id));
        found.await.unwrap().is_some()
    }

    /// `GET` by a browser.
    pub async fn visit(&self, browser: Option<&Browser>, path: &str) -> Reply {
        let call = self.app.get(path);
        match browser {
            Some(browser) => call.header("cookie", &browser.cookie).send().await,
            None => call.send().await,
        }
    }

    /// `POST` of a form by a browser. `of_ours` tells whether it is on a page of the authority.
    pub async fn submit(
        &self,
        browser: Option<&Browser>,
        path: &str,
        form: &[(&str, &str)],
        of_ours: bool,
    ) -> Reply {
        let mut call = self.app.post(path);
        call = if of_ours {
            let origin = self.issuer().to_owned();
            call.header("origin", &origin)
                .header("sec-fetch-site", "same-origin")
        } else {
            call.header("origin", "https://board.example")
                .header("sec-fetch-site", "cross-site")
        };
        if let Some(browser) = browser {
            call = call.header("cookie", &browser.cookie);
        }
        call.bytes("application/x-www-form-urlencoded", encode(form))
            .await
    }

    /// An authorization request of `board`, with other parameters added or, when empty, removed.
    pub async fn authorize(&self, browser: Option<&Browser>, other: &[(&str, &str)]) -> Reply {
        self.visit(browser, &format!("/oauth2/authorize?{}", request(other)))
            .await
    }

    /// The code that a logged-in browser gets.
    pub async fn code(&self, browser: &Browser, other: &[(&str, &str)]) -> String {
        let answer = self.authorize(Some(browser), other).await.answer();
        answer
            .get("code")
            .unwrap_or_else(|| panic!("no code: {answer:?}"))
            .clone()
    }

    /// How many rows a table has.
    pub async fn count(&self, table: &'static str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        self.app
            .authority
            .store
            .read::<_, StoreError>(move |tx| tx.rows(&sql, &[])?[0].int(0))
            .await
            .unwrap()
    }

    pub fn advance(&self, seconds: u64) {
        self.app.clock.advance(Duration::from_secs(seconds));
    }
}

/// A well-formed request of `board`, with other parameters added, replaced or, when empty, removed.
pub fn request(other: &[(&str, &str)]) -> String {
    let mut all: BTreeMap<&str, &str> = BTreeMap::from([
        ("client_id", "board"),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", "openid profile"),
        ("state", "af0ifjsldkj"),
        ("nonce", "n-0S6_WzA2Mj"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    for (name, value) in other {
        all.insert(name, value);
    }
    all.retain(|_, value| !value.is_empty());
    encode(&all.into_iter().collect::<Vec<_>>())
}

pub fn encode(form: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish()
}

/// The confidential first-party app `board`.
pub fn board() -> App {
    app("board")
}

/// A first-party app of that name with everything a web app has.
pub fn app(name: &str) -> App {
    App {
        id: ClientId::from_u128(u128::from_be_bytes(
            sha256(name.as_bytes())[..16].try_into().unwrap(),
        )),
        spec: AppSpec {
            identifier: name.parse().unwrap(),
            name: format!("The {name}"),
            scopes: Scopes::parse(
                "openid profile email offline_access doorward:organizations billing:read",
            )
            .unwrap(),
            redirect_uris: vec![format!("https://{name}.example/callback")],
            application_type: ApplicationType::Web,
            auth_method: AuthMethod::ClientSecretBasic,
            grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken]
                .into_iter()
                .collect(),
            resources: vec![format!("https://api.{name}.example")],
            post_logout_redirect_uris: vec![format!("https://{name}.example/bye")],
            backchannel_logout_uri: None,
            jwks: None,
            first_party: true,
            require_par: false,
            dpop_bound: false,
            refresh_binding: RefreshBinding::Session,
            id_token_alg: IdTokenAlg::RS256,
            logo_uri: None,
            client_uri: None,
            policy_uri: None,
            tos_uri: None,
        },
        state: ClientState::Active,
        token_epoch: 0,
        created_at: Timestamp::from_unix_seconds(1_800_000_000),
        source: ClientSource::Api,
        expires_at: None,
    }
}

/// The digest of a code as its row has it.
pub fn digest(text: &str) -> TokenDigest {
    token_digest(&PlainToken::presented(text.to_owned()))
}

/// What tests ask of an answer to a browser.
pub trait Answered {
    /// The target of a 303.
    fn location(&self) -> &str;
    /// The parameters of an answer to `board`, which `iss` and `state` are among.
    fn answer(&self) -> BTreeMap<String, String>;
    /// That it is a refusal by this code, in a redirect with `state` and `iss`.
    fn refused(&self, error: &str);
    /// That it is a page of this status, and no redirect; its text.
    fn page(&self, status: u16) -> &str;
}

impl Answered for Reply {
    #[track_caller]
    fn location(&self) -> &str {
        assert_eq!(self.status.as_u16(), 303, "{self:#?}");
        assert_eq!(self.header("cache-control"), "no-store");
        self.header("location")
    }

    #[track_caller]
    fn answer(&self) -> BTreeMap<String, String> {
        let (uri, query) = self.location().split_once('?').unwrap();
        assert_eq!(uri, CALLBACK, "{self:#?}");
        parameters(query)
    }

    #[track_caller]
    fn refused(&self, error: &str) {
        let answer = self.answer();
        assert_eq!(
            answer.get("error").map(String::as_str),
            Some(error),
            "{answer:?}"
        );
        assert_eq!(answer.get("state").map(String::as_str), Some("af0ifjsldkj"));
        assert_eq!(
            answer.get("iss").map(String::as_str),
            Some("http://127.0.0.1:7180")
        );
        assert!(!answer.contains_key("code"));
    }

    #[track_caller]
    fn page(&self, status: u16) -> &str {
        assert_eq!(self.status.as_u16(), status, "{self:#?}");
        assert!(self.headers.get("location").is_none(), "{self:#?}");
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(self.header("x-frame-options"), "DENY");
        let policy = self.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        self.body.as_str().unwrap()
    }
}

/// The parameters of a query, each of which comes once.
#[track_caller]
pub fn parameters(query: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let again = all.insert(name.into_owned(), value.into_owned());
        assert_eq!(again, None, "a parameter came twice: {query}");
    }
    all
}

/// The value of a hidden field of a page.
#[track_caller]
pub fn field(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = page
        .split_once(&start)
        .unwrap_or_else(|| panic!("no field `{name}`: {page}"));
    rest.split_once('"').unwrap().0.to_owned()
}
