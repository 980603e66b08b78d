//! An authority with providers, and people who come and go.

use std::time::Duration;

use doorward::authority::config::Config;
use doorward::authority::login::{self, ConfiguredProvider, LoginRequest};
use doorward::authority::proxies::Proxies;
use doorward::domain::provider::{ProviderKind, ProviderSettings, ProviderSpec};
use doorward::domain::user::User;
use doorward::domain::{Secret, UserId};
use doorward::runtime::Clock;
use doorward::store::sessions::Session;
use doorward::store::{StoreConfig, StoreError, accounts, sessions, users};
use http::HeaderMap;

use super::browser::Browser;
use super::upstream::{CLIENT_ID, CLIENT_SECRET, Upstream};
use crate::support::app::{Reply, TestApp};

/// Two OpenID Connect providers, `corp` and `other`, and one like GitHub, `hub`.
pub struct World {
    pub app: TestApp,
    pub corp: Upstream,
    pub other: Upstream,
    pub hub: Upstream,
}

/// When every test begins.
pub const NOW: i64 = 1_800_000_000;

/// Where logins in tests lead.
pub const HOME: &str = "/account";

impl World {
    pub async fn start(store: Option<StoreConfig>) -> Self {
        Self::start_with(store, |_| {}).await
    }

    /// With other settings of `corp`.
    pub async fn start_with(
        store: Option<StoreConfig>,
        change: impl FnOnce(&mut ProviderSettings),
    ) -> Self {
        Self::start_configured(store, change, |_| {}).await
    }

    /// With other settings of `corp` and of the authority.
    pub async fn start_configured(
        store: Option<StoreConfig>,
        change: impl FnOnce(&mut ProviderSettings),
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let corp = Upstream::start(NOW).await;
        let other = Upstream::start(NOW).await;
        let hub = Upstream::start(NOW).await;
        let mut settings = ProviderSettings::default();
        change(&mut settings);
        let providers = vec![
            configured("corp", &corp, ProviderKind::Oidc, settings),
            configured(
                "other",
                &other,
                ProviderKind::Oidc,
                ProviderSettings::default(),
            ),
            configured(
                "hub",
                &hub,
                ProviderKind::Github,
                ProviderSettings::default(),
            ),
        ];
        let hosts = [&corp, &other, &hub].map(|upstream| upstream.address.to_string());
        let app = TestApp::start_with(store, move |config, _| {
            config.providers = providers;
            config.outbound.allow_hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
            config.outbound.timeout = Duration::from_secs(2);
            configure(config);
        })
        .await;
        Self {
            app,
            corp,
            other,
            hub,
        }
    }

    pub fn browser(&self) -> Browser<'_> {
        Browser::new(&self.app)
    }

    /// A login's path.
    pub fn begin(&self, request: &LoginRequest) -> String {
        login::begin(&self.app.authority, request).unwrap()
    }

    /// From nothing to the callback's answer.
    pub async fn arrive(&self, browser: &mut Browser<'_>, provider: &str) -> Reply {
        self.arrive_by(browser, provider, &LoginRequest::to(HOME))
            .await
    }

    pub async fn arrive_by(
        &self,
        browser: &mut Browser<'_>,
        provider: &str,
        request: &LoginRequest,
    ) -> Reply {
        let url = browser.press_through(&self.begin(request), provider).await;
        let back = self.upstream(provider).agree(&url);
        browser.get(&back).await
    }

    /// Logs in and stays.
    pub async fn log_in(&self, browser: &mut Browser<'_>, provider: &str) -> Session {
        let reply = self.arrive(browser, provider).await.expect(303);
        assert_eq!(reply.header("location"), HOME);
        self.session(browser).await.expect("a session")
    }

    pub fn upstream(&self, provider: &str) -> &Upstream {
        match provider {
            "corp" => &self.corp,
            "other" => &self.other,
            "hub" => &self.hub,
            _ => panic!("no provider `{provider}`"),
        }
    }

    /// The session of a browser.
    pub async fn session(&self, browser: &Browser<'_>) -> Option<Session> {
        let mut headers = HeaderMap::new();
        let cookie = format!("__Host-doorward={}", browser.session()?);
        headers.insert("cookie", cookie.parse().unwrap());
        let address = Proxies::default().client(None, &headers);
        let found = login::current(&self.app.authority, &headers, address);
        found.await.unwrap()
    }

    pub async fn user(&self, id: UserId) -> User {
        self.app
            .authority
            .store
            .read::<_, StoreError>(move |tx| users::find(tx, id))
            .await
            .unwrap()
            .unwrap()
    }

    pub async fn accounts(&self, user: UserId) -> Vec<accounts::Account> {
        self.app
            .authority
            .store
            .read::<_, StoreError>(move |tx| accounts::of_user(tx, user))
            .await
            .unwrap()
    }

    pub async fn sessions(&self, user: UserId) -> Vec<Session> {
        let now = self.app.clock.now();
        self.app
            .authority
            .store
            .read::<_, StoreError>(move |tx| sessions::of_user(tx, user, now))
            .await
            .unwrap()
    }

    /// How many rows a table has.
    pub async fn count(&self, table: &'static str) -> i64 {
        self.app
            .authority
            .store
            .read::<_, StoreError>(move |tx| {
                tx.rows(&format!("SELECT count(*) FROM {table}"), &[])?[0].int(0)
            })
            .await
            .unwrap()
    }

    /// Lets time pass, here and at the providers.
    pub fn advance(&self, by: Duration) {
        self.app.clock.advance(by);
        let now = self.app.clock.now().unix_seconds();
        for upstream in [&self.corp, &self.other, &self.hub] {
            upstream.set_time(now);
        }
    }
}

pub fn configured(
    name: &str,
    upstream: &Upstream,
    kind: ProviderKind,
    settings: ProviderSettings,
) -> ConfiguredProvider {
    ConfiguredProvider {
        spec: ProviderSpec {
            provider: name.parse().unwrap(),
            kind,
            issuer: upstream.issuer.clone(),
            name: name.to_owned(),
            client_id: CLIENT_ID.to_owned(),
            settings,
        },
        secret: Some(Secret::new(CLIENT_SECRET.to_owned())),
    }
}
