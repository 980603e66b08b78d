//! The gate's pages: what happened, and the way on. Plain HTML in the style of the authority's,
//! without a script.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::Full;

use super::endpoint::Reply;
use super::gates::Site;
use super::origin::Origin;

/// The stylesheet of all pages of this house, and the colour of buttons that the authority adds to it.
const STYLE: &str = concat!(
    include_str!("../../../templates/doorward.css"),
    ":root{--accent:#2b59c3;--on-accent:#fff}\n"
);

/// What a page tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// Where to return to is not said rightly.
    BadReturn,
    /// An answer that belongs to no attempt of this browser.
    Lost,
    /// An attempt that took too long, or that has to be made again.
    Late,
    /// The person, or the authority, said no.
    Denied,
    /// It may work in a moment.
    NotYet,
    /// It will not work by itself.
    Failed,
    /// Whether to sign out.
    AskSignOut,
    /// Signed out.
    SignedOut,
    /// Another site sent the form.
    ForeignForm,
    /// There is no such page.
    Nothing,
}

impl Page {
    /// Title, text, and what the link that leads to a new sign-in says.
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::BadReturn => (
                "This link does not work",
                "It does not say rightly where to go after signing in.",
                "Sign in",
            ),
            Self::Lost => (
                "This sign-in cannot be finished here",
                "It was begun in another browser, or has been finished already.",
                "Try again",
            ),
            Self::Late => (
                "Please sign in again",
                "The sign-in took too long, or has to be repeated.",
                "Try again",
            ),
            Self::Denied => (
                "You are not signed in",
                "The sign-in was cancelled, or you may not use this app.",
                "Try again",
            ),
            Self::NotYet => (
                "Signing in does not work just now",
                "Please try again in a moment.",
                "Try again",
            ),
            Self::Failed => (
                "Signing in failed",
                "If this happens again, tell the people who run this app.",
                "Try again",
            ),
            Self::AskSignOut => (
                "Sign out?",
                "You will be signed out here and wherever else you use this login.",
                "Stay signed in",
            ),
            Self::SignedOut => (
                "You are signed out",
                "You can close this page.",
                "Sign in again",
            ),
            Self::ForeignForm => (
                "You are still signed in",
                "Another site asked to sign you out. Use the button to do so yourself.",
                "Stay signed in",
            ),
            Self::Nothing => (
                "There is nothing here",
                "No page is at this address.",
                "Sign in",
            ),
        }
    }

    const fn has_sign_out_button(self) -> bool {
        matches!(self, Self::AskSignOut | Self::ForeignForm)
    }
}

/// A page with a link to a new sign-in, which leads to `return_to`.
pub(super) fn page(site: &Site, status: StatusCode, page: Page, return_to: Option<&str>) -> Reply {
    let (title, text, link) = page.words();
    let target = return_to.unwrap_or("/");
    let href = if page.has_sign_out_button() {
        format!("{}/", site.origin())
    } else {
        site.login_url(target)
    };
    let style = escaped(&site.url("style.css"));
    let href = escaped(&href);
    let actions = if page.has_sign_out_button() {
        let action = escaped(&site.url("sign-out"));
        format!(
            "<form method=\"post\" action=\"{action}\">\n<div class=\"buttons\">\n<button \
             class=\"primary\">Sign out</button>\n<a class=\"button\" \
             href=\"{href}\">{link}</a>\n</div>\n</form>"
        )
    } else {
        format!("<p><a class=\"button primary\" href=\"{href}\">{link}</a></p>")
    };
    let host = escaped(site.origin().host());
    let body = format!(
        "<!doctype html>\n<html lang=\"en\" dir=\"ltr\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{title} · {host}</title>\n\
         <link rel=\"stylesheet\" href=\"{style}\">\n<link rel=\"icon\" href=\"data:,\">\n\
         </head>\n<body class=\"card\">\n<header class=\"brand\">\n\
         <span class=\"brand-name\">{host}</span>\n</header>\n\
         <main id=\"content\" tabindex=\"-1\">\n<h1>{title}</h1>\n<p class=\"lead\">{text}</p>\n\
         {actions}\n</main>\n</body>\n</html>\n"
    );
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    protect(&mut reply, &site.gate().issuer);
    reply
}

/// The headers that keep a page to itself. Chromium applies `form-action` to every redirect that
/// follows a form: signing out leads to the authority.
fn protect(reply: &mut Reply, issuer: &str) {
    let authority = issuer
        .parse::<Origin>()
        .map_or_else(|_| origin_of(issuer), |origin| origin.as_str().to_owned());
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self' {authority}; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static(
        "default-src 'none'; style-src 'self'",
    ));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        // Not `no-referrer`: with it browsers say `Origin: null` of a form.
        (REFERRER_POLICY, "same-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Scheme, host and port of an issuer that has a path.
fn origin_of(issuer: &str) -> String {
    issuer.split('/').take(3).collect::<Vec<_>>().join("/")
}

/// The stylesheet.
pub(super) fn stylesheet() -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from_static(STYLE.as_bytes())));
    for (name, value) in [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (CACHE_CONTROL, "public, max-age=3600"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        reply
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    reply
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}
