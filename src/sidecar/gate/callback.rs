//! `callback`: what a browser brings back from the authority.

use http::StatusCode;
use http::request::Parts;

use super::cookie::{self, COOKIE_MAX, SESSION};
use super::endpoint::{Context, Reply, redirect, with_cookies};
use super::exchange::{Exchanged, exchange, printable};
use super::gates::Purpose;
use super::outcome::GateOutcome;
use super::pages::{self, Page};
use super::transaction::{self, Transaction};
use crate::protocol::oidc::upstream::{Callback, Outcome};

/// Follows a callback to its end: a cookie and the page that the person wanted, or a page that says
/// what happened and leads to another attempt.
pub(super) async fn callback(cx: &Context<'_>, parts: &Parts) -> Reply {
    let query = parts.uri.query().unwrap_or_default();
    let Ok(callback) = Callback::parse(query) else {
        return stop(
            cx,
            GateOutcome::Malformed,
            StatusCode::BAD_REQUEST,
            Page::Lost,
            None,
        );
    };
    let found = transaction::find(cx.site, &parts.headers, &callback.state);
    let Some(attempt) = found else {
        // Somebody else's answer must not end this browser's attempt.
        return stop(
            cx,
            GateOutcome::Lost,
            StatusCode::BAD_REQUEST,
            Page::Lost,
            None,
        );
    };
    let mut reply = follow(cx, &attempt, callback.clone()).await;
    // It counts once, however it ended.
    if let Some(end) = transaction::end(&callback.state) {
        with_cookies(&mut reply, [end.as_str()]);
    }
    reply
}

async fn follow(cx: &Context<'_>, attempt: &Transaction, callback: Callback) -> Reply {
    let back = Some(attempt.return_to.as_str());
    if callback.check_issuer(&cx.rules.issuer, true).is_err() {
        // A mix-up (RFC 9207 §2.4): the code is another server's, and must be shown to none.
        return stop(
            cx,
            GateOutcome::Malformed,
            StatusCode::BAD_REQUEST,
            Page::Lost,
            back,
        );
    }
    if attempt.is_late(cx.now()) {
        return stop(
            cx,
            GateOutcome::Late,
            StatusCode::BAD_REQUEST,
            Page::Late,
            back,
        );
    }
    let code = match callback.outcome {
        Outcome::Code(code) => code,
        Outcome::Error(error) => return refused(cx, &printable(&error), back),
    };
    match exchange(cx, attempt, &code).await {
        Ok(exchanged) => sign_in(cx, attempt, &exchanged),
        Err(error) => {
            let gate = &cx.site.gate().name;
            // Whoever makes codes up must not fill the log.
            if error.is_made_up() {
                tracing::debug!(gate, %error, "a sign-in failed");
            } else {
                tracing::warn!(gate, %error, "a sign-in failed");
            }
            let (status, page) = if error.passes() {
                (StatusCode::SERVICE_UNAVAILABLE, Page::NotYet)
            } else {
                (StatusCode::BAD_GATEWAY, Page::Failed)
            };
            stop(cx, GateOutcome::Failed, status, page, back)
        }
    }
}

fn refused(cx: &Context<'_>, error: &str, back: Option<&str>) -> Reply {
    let page = match error {
        "access_denied" => Page::Denied,
        "login_required"
        | "interaction_required"
        | "consent_required"
        | "account_selection_required" => Page::Late,
        "temporarily_unavailable" | "server_error" => Page::NotYet,
        // The gate's own request is wrong: whoever configures it must find out.
        _ => {
            let gate = &cx.site.gate().name;
            tracing::warn!(gate, error, "the authority refuses the gate's requests");
            Page::Failed
        }
    };
    stop(cx, GateOutcome::Refused, StatusCode::FORBIDDEN, page, back)
}

fn sign_in(cx: &Context<'_>, attempt: &Transaction, exchanged: &Exchanged) -> Reply {
    let gate = cx.site.gate();
    let until = cx.now().plus(gate.lifetime);
    let claims = exchanged.verified.claims_until(until);
    let sealed = cx.site.seal(Purpose::Session, &claims);
    let Some(session) = sealed.ok().filter(|text| text.len() <= COOKIE_MAX) else {
        tracing::error!(
            gate = gate.name,
            "a session is too long for a cookie: too many scopes?"
        );
        let back = Some(attempt.return_to.as_str());
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        return stop(cx, GateOutcome::Failed, status, Page::Failed, back);
    };
    GateOutcome::SignedIn.count();
    let location = format!("{}{}", cx.site.origin(), attempt.return_to);
    let mut reply = redirect(
        &location,
        [cookie::set(SESSION, &session, gate.lifetime).as_str()],
    );
    // Without it, signing out asks once more.
    let hint = cx.site.seal(Purpose::Hint, exchanged.id_token.expose());
    if let Some(hint) = hint.ok().filter(|text| text.len() <= COOKIE_MAX) {
        with_cookies(
            &mut reply,
            [cookie::set_hint(cx.site, &hint, gate.lifetime).as_str()],
        );
    }
    reply
}

fn stop(
    cx: &Context<'_>,
    outcome: GateOutcome,
    status: StatusCode,
    page: Page,
    return_to: Option<&str>,
) -> Reply {
    outcome.count();
    pages::page(cx.site, status, page, Some(return_to.unwrap_or("/")))
}
