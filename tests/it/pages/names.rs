//! Names that others chose, on every page: escaped, isolated, whole.

use doorward::authority::brand::Brand;
use doorward::authority::http::pages::consent::{AccountCard, AppCard, ScopeLine};
use doorward::authority::http::pages::device::DeviceError;
use doorward::authority::http::pages::sign_in::{ProviderChoice, SignInPurpose};
use doorward::authority::http::pages::{
    ConsentPage, DevicePage, ErrorKind, ErrorPage, Html, InvitationPage, Locale, LogoutConfirmPage,
    SignInPage, SignedOutPage, respond,
};
use doorward::domain::Timestamp;

use super::browser::sign_in;
use crate::support::app::TestApp;

const NAMES: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' autofocus onfocus='alert(1)",
    "{{ 7 * 7 }} {% include \"x\" %} &lt;b&gt;",
    "\u{5E9}\u{5DC}\u{5D5}\u{5DD} \u{645}\u{631}\u{62D}\u{628}\u{627}",
    "👩\u{200D}👩\u{200D}👧 Ωmega Ltd",
];

/// Every page, with `name` wherever somebody else chooses a text.
fn pages(name: &str, locale: Locale) -> Vec<Html> {
    let brand = Brand::default();
    let text = || name.to_owned();
    let account = || AccountCard {
        name: text(),
        email: Some(text()),
        avatar_url: Some(text()),
    };
    let app = || AppCard {
        name: text(),
        logo_uri: Some(text()),
        client_uri: Some(text()),
        policy_uri: Some(format!("javascript:{name}")),
        tos_uri: Some(format!("https://example.com/{name}")),
        host: None,
        unverified: true,
    };
    let scopes = || {
        vec![ScopeLine {
            scope: text(),
            description: None,
            more: 0,
            granted: true,
        }]
    };
    let sign_in = |purpose| SignInPage {
        client_name: Some(text()),
        client_logo: Some(text()),
        purpose,
        notice: None,
        providers: vec![ProviderChoice {
            id: "demo".to_owned(),
            name: text(),
            demo: true,
        }],
        request: text(),
        csrf: text(),
        ends_at: Some(text()),
        cancel: Some(text()),
    };
    vec![
        sign_in(SignInPurpose::SignIn).render(locale, &brand),
        sign_in(SignInPurpose::Again).render(locale, &brand),
        ConsentPage {
            action: "/consent".to_owned(),
            request: text(),
            csrf: text(),
            app: app(),
            account: account(),
            scopes: scopes(),
            organization: Some(text()),
            redirect_uri: format!("https://app.example.com/{name}"),
            switch_account: Some(text()),
        }
        .render(locale, &brand),
        ErrorPage::new(ErrorKind::BadRequest, text())
            .because(text(), text())
            .retry_at(text())
            .render(locale, &brand),
        SignedOutPage {
            client_name: Some(text()),
            sign_in: Some(text()),
        }
        .render(locale, &brand),
        LogoutConfirmPage {
            action: "/oauth2/logout".to_owned(),
            request: text(),
            csrf: text(),
            client_name: Some(text()),
            account: account(),
            ends_at: Some(text()),
        }
        .render(locale, &brand),
        DevicePage::Enter {
            csrf: text(),
            code: text(),
            error: Some(DeviceError::Unknown),
        }
        .render(locale, &brand),
        DevicePage::Confirm {
            csrf: text(),
            request: text(),
            code: text(),
            app: Box::new(app()),
            account: account(),
            scopes: scopes(),
        }
        .render(locale, &brand),
        InvitationPage::Offer {
            csrf: text(),
            organization: text(),
            role: text(),
            expires_at: Timestamp::EPOCH,
            account: Some(account()),
        }
        .render(locale, &brand),
    ]
}

/// The markup without what stands in it: the names and values of tags and attributes.
fn tags(page: &str) -> Vec<&str> {
    page.split('<').skip(1).collect()
}

#[test]
fn no_name_becomes_markup() {
    for locale in Locale::ALL {
        let plain: Vec<usize> = pages("plain", locale)
            .iter()
            .map(|page| tags(page.body()).len())
            .collect();
        for name in NAMES {
            for (html, tags_of_plain) in pages(name, locale).iter().zip(&plain) {
                let page = html.body();
                assert!(
                    !page.contains("<script") && !page.contains("<img src=x"),
                    "{page}"
                );
                // A link or an image may be left out, nothing may be added.
                assert!(tags(page).len() <= *tags_of_plain, "{name}: {page}");
                assert!(
                    !page.contains("onerror=alert") || page.contains("&#62;"),
                    "{page}"
                );
                assert!(!page.contains("onfocus='"), "{page}");
                assert!(!page.contains("href=\"javascript"), "{page}");
                assert!(!page.contains("49"), "{page}");
            }
        }
    }
}

#[test]
fn no_name_reaches_the_policy() {
    for name in NAMES.into_iter().chain([
        "https://a.example; script-src *",
        "https://a.example,b",
        "x:y\r\nset-cookie: a=b",
    ]) {
        for html in pages(name, Locale::En) {
            let response = respond(html);
            let policy = response.headers()["content-security-policy"]
                .to_str()
                .unwrap();
            assert!(policy.starts_with("default-src 'none'; style-src 'self'"));
            assert_eq!(policy.matches(';').count(), 5, "{policy}");
            assert!(
                !policy.contains("script-src") && !policy.contains('*'),
                "{policy}"
            );
            assert!(!response.headers().contains_key("set-cookie"));
        }
    }
}

#[tokio::test]
async fn the_account_page_shows_a_hostile_name_as_text() {
    let app = TestApp::start().await;
    for name in NAMES {
        let name: String = name
            .chars()
            .chain(std::iter::repeat_n('w', 100))
            .take(100)
            .collect();
        let here = sign_in(&app, app.user(&name).await, &name).await;
        let page = here.page("/account").await;
        assert!(!page.contains("<script") && !page.contains("<img src=x"));
        let shown = name
            .replace('&', "&#38;")
            .replace('<', "&#60;")
            .replace('>', "&#62;")
            .replace('"', "&#34;")
            .replace('\'', "&#39;");
        assert!(
            page.contains(&format!("<bdi class=\"who-name\">{shown}</bdi>")),
            "{page}"
        );
    }
}
