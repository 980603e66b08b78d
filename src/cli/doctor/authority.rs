//! What a running authority says.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, Uri};
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;

use super::finding::Findings;
use crate::cli::error::CliError;
use crate::cli::http::{Answer, Call, Endpoint, send};
use crate::cli::profile::Profile;
use crate::cli::session::Session;
use crate::domain::Timestamp;

/// Whoever does not answer in this time does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Clocks that differ by more are worth a word, and by much more break logins: proofs and ID tokens
/// are valid for minutes.
const CLOCKS_WARNING: u64 = 5;
const CLOCKS_WRONG: u64 = 60;

/// What is to be compared with a sidecar.
#[derive(Debug)]
pub(super) struct AuthorityState {
    pub(super) revision: u64,
}

/// Asks, without waiting for ever.
pub(super) async fn get(endpoint: &Endpoint, path: &str) -> Result<Answer, CliError> {
    let sent = send(endpoint, Call::new(Method::GET, path));
    match tokio::time::timeout(PATIENCE, sent).await {
        Ok(answer) => answer,
        Err(_) => Err(CliError::unreachable(format!(
            "{endpoint} did not answer within {} s",
            PATIENCE.as_secs()
        ))),
    }
}

fn json(answer: &Answer) -> Option<Value> {
    serde_json::from_slice(&answer.body).ok()
}

/// Asks an authority how it is. `None` if it does not answer.
pub(super) async fn ask(
    at: &Endpoint,
    profile: &Profile,
    now: Timestamp,
    findings: &mut Findings,
) -> Option<AuthorityState> {
    findings.about(format!("authority at {at}"));
    let ready = match get(at, "/readyz").await {
        Ok(answer) => answer,
        Err(error) => {
            findings.wrong(
                error.to_string(),
                "start it, or name it: --authority URL, a profile, or --authority-config FILE",
            );
            return None;
        }
    };
    clocks(&ready.headers, now, findings);
    let revision = json(&ready)
        .filter(|_| ready.status == StatusCode::OK)
        .and_then(|body| body.get("revision").and_then(Value::as_u64));
    let Some(revision) = revision else {
        findings.wrong(
            format!(
                "it answers {} to `/readyz`: its database does not work",
                ready.status.as_u16()
            ),
            "read its log: it names what the database said",
        );
        return None;
    };
    findings.ok(format!(
        "it answers, and so does its database, at revision {revision}"
    ));
    issuer(at, findings).await;
    keys(at, findings).await;
    if profile.client().is_ok() {
        match Session::open(profile).await {
            Ok(_) => findings.ok("the profile's client gets a token"),
            Err(error) => findings.wrong(
                format!("the profile's client gets no token: {error}"),
                "give the profile the client's present secret, or make another client",
            ),
        }
    }
    Some(AuthorityState { revision })
}

/// The date of the answer against the clock here.
fn clocks(headers: &HeaderMap, asked: Timestamp, findings: &mut Findings) {
    let date = headers
        .get(http::header::DATE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| DateTimeParser::new().parse_timestamp(text).ok());
    let Some(date) = date else { return };
    let apart = date.as_second().abs_diff(asked.unix_seconds());
    let text = format!("its clock and the one here are {apart} s apart");
    let fix = "let both machines take the time from NTP";
    if apart > CLOCKS_WRONG {
        findings.wrong(format!("{text}: tokens will be refused"), fix);
    } else if apart > CLOCKS_WARNING {
        findings.warning(text, fix);
    }
}

async fn issuer(at: &Endpoint, findings: &mut Findings) {
    let document = match get(at, "/.well-known/openid-configuration").await {
        Ok(answer) => json(&answer),
        Err(error) => return findings.wrong(error.to_string(), "ask again"),
    };
    let issuer = document
        .as_ref()
        .and_then(|document| document.get("issuer"))
        .and_then(Value::as_str);
    let Some(issuer) = issuer else {
        return findings.wrong(
            "it publishes no issuer at `/.well-known/openid-configuration`",
            "is this address really the authority's? Something else may answer here",
        );
    };
    let uri: Option<Uri> = issuer.parse().ok();
    let secure = uri
        .as_ref()
        .is_some_and(|uri| uri.scheme_str() == Some("https"));
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let local = host == "localhost" || host.ends_with(".localhost") || is_loopback(host);
    if !secure && !local {
        return findings.wrong(
            format!("its issuer `{issuer}` is not https: codes and tokens travel in the clear"),
            "put TLS in front of it and set `issuer` to the https URL",
        );
    }
    if matches!(at, Endpoint::Url(_)) && at.to_string() != issuer.trim_end_matches('/') {
        findings.warning(
            format!("it calls itself `{issuer}`, which is not how it is reached here"),
            "right for an address inside; apps and sidecars must use the issuer's",
        );
    } else {
        findings.ok(format!("its issuer is `{issuer}`"));
    }
}

fn is_loopback(host: &str) -> bool {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.is_loopback())
}

async fn keys(at: &Endpoint, findings: &mut Findings) {
    let keys = match get(at, "/.well-known/jwks.json").await {
        Ok(answer) => json(&answer),
        Err(error) => return findings.wrong(error.to_string(), "ask again"),
    };
    let count = keys
        .as_ref()
        .and_then(|set| set.get("keys"))
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    if count == 0 {
        findings.wrong(
            "it publishes no signing keys: no token can be verified",
            "read its log: keys that its key file cannot open are left out",
        );
    } else {
        findings.ok(format!("it publishes {count} signing keys"));
    }
}
