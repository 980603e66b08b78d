//! Shows every page with made-up content, as the authority answers it: with its headers, in the
//! language of `?lang=`. `cargo run --example page_gallery` prints the address; `/` lists the pages.
//! The browser tests look at them here.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example talks to people"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{Html as Plain, IntoResponse, Response};
use axum::routing::get;
use doorward::authority::brand::Brand;
use doorward::authority::http::pages::account::{
    AccountDone, AppLine, LinkedProvider, OrganizationLine, SessionLine,
};
use doorward::authority::http::pages::consent::{AccountCard, AppCard, ScopeLine};
use doorward::authority::http::pages::device::DeviceError;
use doorward::authority::http::pages::invitation::InvitationRefusal;
use doorward::authority::http::pages::sign_in::{ProviderChoice, SignInNotice, SignInPurpose};
use doorward::authority::http::pages::{
    AccountPage, ConsentPage, DevicePage, ErrorKind, ErrorPage, Html, InvitationPage, Locale,
    LogoutConfirmPage, SignInPage, SignedOutPage, respond,
};
use doorward::domain::{AccountId, ClientId, SessionId, Timestamp};
use http::StatusCode;
use http::header::CONTENT_TYPE;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
/// A name that tries everything: markup, a long word, a script from the right, an emoji.
const HOSTILE: &str = "<script>alert(1)</script>\"'&amp; Überlangesfirmennamenswort\
    zusammensetzungsbeispiel שלום עולם 👩‍👩‍👧‍👦 {{ 7*7 }} Ltd";

type Draw = fn(Locale, &Brand) -> Html;

const PAGES: [(&str, Draw); 20] = [
    ("sign-in", |l, b| {
        sign_in(Some("Acme Invoices")).render(l, b)
    }),
    ("sign-in-plain", |l, b| sign_in(None).render(l, b)),
    ("sign-in-notice", |l, b| {
        let mut page = sign_in(Some("Acme Invoices"));
        page.notice = Some(SignInNotice::ProviderFailed);
        page.purpose = SignInPurpose::Again;
        page.render(l, b)
    }),
    ("sign-in-empty", |l, b| {
        let mut page = sign_in(None);
        page.providers.clear();
        page.render(l, b)
    }),
    ("consent", |l, b| {
        consent("Acme Invoices", "Ada Lovelace").render(l, b)
    }),
    ("consent-hostile", |l, b| {
        let mut page = consent(HOSTILE, HOSTILE);
        page.app.unverified = true;
        page.organization = Some(HOSTILE.to_owned());
        page.app.client_uri = Some("javascript:alert(1)".to_owned());
        "com.example.app:/callback".clone_into(&mut page.redirect_uri);
        page.render(l, b)
    }),
    ("error", |l, b| {
        ErrorPage::new(ErrorKind::UnknownApp, "6f1c0a9be2d44f1d8a37")
            .because(
                "invalid_request",
                "`redirect_uri` is not one that the client registered",
            )
            .render(l, b)
    }),
    ("error-retry", |l, b| {
        ErrorPage::new(ErrorKind::ProviderFailed, "6f1c0a9be2d44f1d8a37")
            .retry_at("/")
            .render(l, b)
    }),
    ("not-found", |l, b| {
        ErrorPage::new(ErrorKind::NotFound, "6f1c0a9be2d4").render(l, b)
    }),
    ("signed-out", |l, b| {
        SignedOutPage {
            client_name: Some("Acme Invoices".to_owned()),
            sign_in: Some("/account".to_owned()),
        }
        .render(l, b)
    }),
    ("logout", |l, b| {
        LogoutConfirmPage {
            action: "/oauth2/logout".to_owned(),
            request: "sealed".to_owned(),
            csrf: "token".to_owned(),
            client_name: Some("Acme Invoices".to_owned()),
            account: person("Ada Lovelace"),
            ends_at: None,
        }
        .render(l, b)
    }),
    ("account", |l, b| {
        account("Ada Lovelace", "Acme Invoices").render(l, b)
    }),
    ("account-hostile", |l, b| {
        account(HOSTILE, HOSTILE).render(l, b)
    }),
    ("account-new", |l, b| {
        let mut page = account("Ada Lovelace", "");
        page.done = None;
        page.providers.truncate(1);
        page.sessions.truncate(1);
        page.apps.clear();
        page.organizations.clear();
        page.further_providers.clear();
        page.render(l, b)
    }),
    ("device-enter", |l, b| device(None).render(l, b)),
    ("device-error", |l, b| {
        device(Some(DeviceError::Unknown)).render(l, b)
    }),
    ("device-confirm", |l, b| {
        DevicePage::Confirm {
            csrf: "token".to_owned(),
            request: "sealed".to_owned(),
            code: "BCDF-GHJK".to_owned(),
            app: Box::new(app("Acme command line")),
            account: person("Ada Lovelace"),
            scopes: scopes(),
        }
        .render(l, b)
    }),
    ("device-done", |l, b| {
        DevicePage::Done { allowed: true }.render(l, b)
    }),
    ("invitation", |l, b| {
        InvitationPage::Offer {
            csrf: "token".to_owned(),
            organization: "Analytical Engines".to_owned(),
            role: "billing/editor".to_owned(),
            expires_at: NOW.plus(std::time::Duration::from_hours(100)),
            account: Some(person("Ada Lovelace")),
        }
        .render(l, b)
    }),
    ("invitation-refused", |l, b| {
        InvitationPage::Refused {
            reason: InvitationRefusal::OtherAddress,
            account: Some(person("Ada Lovelace")),
        }
        .render(l, b)
    }),
];

fn sign_in(client: Option<&str>) -> SignInPage {
    let choice = |id: &str, name: &str| ProviderChoice {
        id: id.to_owned(),
        name: name.to_owned(),
        demo: id == "demo",
    };
    SignInPage {
        client_name: client.map(str::to_owned),
        client_logo: None,
        purpose: SignInPurpose::SignIn,
        notice: None,
        providers: vec![
            choice("google", "Google"),
            choice("github", "GitHub"),
            choice("demo", "Demo provider"),
        ],
        request: "sealed".to_owned(),
        csrf: "token".to_owned(),
        ends_at: Some("https://app.example.com/callback".to_owned()),
        cancel: client.map(|_| "/cancel".to_owned()),
    }
}

fn app(name: &str) -> AppCard {
    AppCard {
        name: name.to_owned(),
        logo_uri: None,
        client_uri: Some("https://acme.example.com".to_owned()),
        policy_uri: Some("https://acme.example.com/privacy".to_owned()),
        tos_uri: Some("https://acme.example.com/terms".to_owned()),
        host: None,
        unverified: false,
    }
}

fn person(name: &str) -> AccountCard {
    AccountCard {
        name: name.to_owned(),
        email: Some("ada.lovelace@example.com".to_owned()),
        avatar_url: None,
    }
}

fn scopes() -> Vec<ScopeLine> {
    let line = |scope: &str, description: Option<&str>, granted| ScopeLine {
        scope: scope.to_owned(),
        description: description.map(str::to_owned),
        more: 0,
        granted,
    };
    vec![
        line("openid", None, true),
        line("profile", None, true),
        line("email", None, false),
        line("billing:read", Some("See invoices and payments"), false),
        line("offline_access", None, false),
    ]
}

fn consent(name: &str, user: &str) -> ConsentPage {
    ConsentPage {
        action: "/consent".to_owned(),
        request: "sealed".to_owned(),
        csrf: "token".to_owned(),
        app: app(name),
        account: person(user),
        scopes: scopes(),
        organization: Some("Analytical Engines".to_owned()),
        redirect_uri: "https://app.example.com/callback".to_owned(),
        switch_account: Some("/switch".to_owned()),
    }
}

fn device(error: Option<DeviceError>) -> DevicePage {
    DevicePage::Enter {
        csrf: "token".to_owned(),
        code: if error.is_some() { "BCDF-XXXX" } else { "" }.to_owned(),
        error,
    }
}

fn account(user: &str, app: &str) -> AccountPage {
    let ago = |hours| NOW.minus(std::time::Duration::from_hours(hours));
    let session = |number, agent: &str, address: &str, hours| SessionLine {
        id: SessionId::from_u128(number),
        user_agent: Some(agent.to_owned()),
        address: Some(address.to_owned()),
        provider: "Google".to_owned(),
        created_at: ago(hours + 30),
        last_seen_at: ago(hours),
        current: number == 1,
    };
    AccountPage {
        csrf: "token".to_owned(),
        account: person(user),
        done: Some(AccountDone::SessionEnded),
        providers: ["Google", "GitHub"]
            .into_iter()
            .zip(1..)
            .map(|(provider, number)| LinkedProvider {
                id: AccountId::from_u128(number),
                provider: provider.to_owned(),
                email: Some("ada.lovelace@example.com".to_owned()),
                gives_roles: number == 1,
                last_login_at: ago(50),
            })
            .collect(),
        further_providers: vec![ProviderChoice {
            id: "corp".to_owned(),
            name: "Corporate login".to_owned(),
            demo: false,
        }],
        sessions: vec![
            session(
                1,
                "Mozilla/5.0 (X11; Linux x86_64) Chrome/140 Safari/537",
                "192.0.2.0/24",
                0,
            ),
            session(
                2,
                "Mozilla/5.0 (iPhone) Version/18 Safari/604",
                "2001:db8:1::/48",
                3,
            ),
            session(3, "", "198.51.100.0/24", 90),
        ],
        apps: vec![
            AppLine {
                client_id: ClientId::from_u128(1),
                name: app.to_owned(),
                logo_uri: None,
                scopes: scopes(),
                since: ago(2000),
                last_used_at: Some(ago(1)),
            },
            AppLine {
                client_id: ClientId::from_u128(2),
                name: "Build bot".to_owned(),
                logo_uri: None,
                scopes: scopes().split_off(3),
                since: ago(20),
                last_used_at: None,
            },
        ],
        first_apps: None,
        more_apps: Some("/account?apps=1#apps".to_owned()),
        organizations: vec![OrganizationLine {
            name: "Analytical Engines".to_owned(),
            slug: "analytical-engines".to_owned(),
            roles: vec!["auth/owner".to_owned(), "billing/editor".to_owned()],
        }],
        now: NOW,
    }
}

async fn index() -> Plain<String> {
    let links = PAGES.map(|(name, _)| format!("<li><a href=\"/{name}\">{name}</a>"));
    Plain(format!(
        "<!doctype html><title>Pages</title><ul>{}</ul>",
        links.join("")
    ))
}

async fn show(
    State(brand): State<Arc<Brand>>,
    Path(name): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let lang = query.get("lang").map(String::as_str);
    let locale = Locale::choose(lang, &http::HeaderMap::new());
    match PAGES.iter().find(|(known, _)| *known == name) {
        Some((_, draw)) => respond(draw(locale, &brand)),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn stylesheet(State(brand): State<Arc<Brand>>) -> Response {
    (
        [(CONTENT_TYPE, "text/css; charset=utf-8")],
        brand.stylesheet().to_owned(),
    )
        .into_response()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let brand = Brand::new(
        "Doorward".to_owned(),
        None,
        std::env::args()
            .nth(1)
            .unwrap_or_else(|| "#2b59c3".to_owned())
            .parse()?,
        "mailto:help@example.com".parse().ok(),
    );
    let app = Router::new()
        .route("/", get(index))
        .route("/{name}", get(show))
        .route("/assets/{name}", get(stylesheet))
        .with_state(Arc::new(brand));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
