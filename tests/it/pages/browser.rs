//! Somebody with a browser: a session's cookie, pages, and forms as pages hold them.

use std::time::Duration;

use doorward::authority::login::COOKIE;
use doorward::crypto::digest::token_digest;
use doorward::domain::{AccountId, PlainToken, SessionId, UserId};
use doorward::runtime::Clock;
use doorward::store::StoreError;
use doorward::store::accounts::{self, Account};
use doorward::store::sessions::{self, NewSession, Session};

use crate::support::app::{Call, Reply, TestApp};

/// The issuer of the tests, as browsers write it into `Origin`.
pub const ORIGIN: &str = "http://127.0.0.1:7180";

/// Somebody who is signed in.
pub struct Browser<'a> {
    pub app: &'a TestApp,
    pub session: SessionId,
    cookie: String,
}

/// What a session is made of, in tests: a provider and a device.
pub async fn sign_in<'a>(app: &'a TestApp, user: UserId, device: &str) -> Browser<'a> {
    let now = app.clock.now();
    let token = PlainToken::from_random("", app.entropy.token_bits());
    let session = Session {
        id: SessionId::mint(now, app.entropy.id_bits()),
        user_id: user,
        created_at: now,
        expires_at: now.plus(Duration::from_hours(24 * 7)),
        provider: "corp".to_owned(),
        upstream_subject: format!("subject of {user}"),
        upstream_sid: None,
        authenticated_at: now,
        amr: vec!["pwd".to_owned()],
        acr: None,
        user_agent: Some(device.to_owned()),
        address: Some("192.0.2.0/24".to_owned()),
        last_seen_at: now,
        idle_expires_at: now.plus(Duration::from_hours(24)),
    };
    let id = session.id;
    let new = NewSession {
        session,
        digest: token_digest(&token),
    };
    app.authority
        .store
        .write::<_, StoreError>(move |tx| sessions::insert(tx, &new))
        .await
        .unwrap();
    Browser {
        app,
        session: id,
        cookie: format!("{COOKIE}={}", token.expose()),
    }
}

/// Links an account at a provider to the user.
pub async fn link(app: &TestApp, user: UserId, provider: &str) -> AccountId {
    let now = app.clock.now();
    let account = Account {
        id: AccountId::mint(now, app.entropy.id_bits()),
        user_id: user,
        provider: provider.to_owned(),
        subject: format!("subject of {user}"),
        email: None,
        email_verified: false,
        created_at: now,
        last_login_at: now,
    };
    let id = account.id;
    app.authority
        .store
        .write::<_, StoreError>(move |tx| accounts::insert(tx, &account))
        .await
        .unwrap();
    id
}

impl Browser<'_> {
    /// With another cookie.
    pub fn with_cookie(mut self, cookie: &str) -> Self {
        self.cookie = format!("{}; {cookie}", self.cookie);
        self
    }

    pub fn get(&self, path: &str) -> Call<'_> {
        self.app
            .get(path)
            .header("cookie", &self.cookie)
            .header("accept", "text/html,application/xhtml+xml;q=0.9")
    }

    /// A form as a page of ours sends it, without anything in it.
    pub fn form(&self, path: &str) -> Call<'_> {
        self.app
            .post(path)
            .header("cookie", &self.cookie)
            .header("origin", ORIGIN)
            .header("sec-fetch-site", "same-origin")
    }

    /// A form from a browser that says nothing of where it comes from.
    pub fn bare(&self, path: &str) -> Call<'_> {
        self.app.post(path).header("cookie", &self.cookie)
    }

    /// The page's text.
    pub async fn page(&self, path: &str) -> String {
        text(&self.get(path).send().await.expect(200))
    }

    /// The token that the forms of the account page carry.
    pub async fn csrf(&self) -> String {
        hidden(&self.page("/account").await, "csrf")
    }

    /// Sends a form of the account page.
    pub async fn send(&self, path: &str) -> Reply {
        let csrf = self.csrf().await;
        self.send_with(path, &[("csrf", &csrf)]).await
    }

    pub async fn send_with(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        post(self.form(path), fields).await
    }
}

/// Sends a form.
pub async fn post(call: Call<'_>, fields: &[(&str, &str)]) -> Reply {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    call.bytes("application/x-www-form-urlencoded", body).await
}

pub fn text(reply: &Reply) -> String {
    reply.body.as_str().unwrap_or_default().to_owned()
}

/// The value of a page's hidden field.
pub fn hidden(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = page
        .split_once(&start)
        .unwrap_or_else(|| panic!("no field `{name}`: {page}"));
    rest.split('"').next().unwrap().to_owned()
}
