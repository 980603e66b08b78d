//! The targets: what is given bytes, and what must be true of the answer. Their own readings of the
//! specifications are beside them, written apart from the product's.

pub mod checks;
pub mod clients;
pub mod cookies;
pub mod documents;
pub mod forms;
pub mod gates;
pub mod proxies;
pub mod redirects;
pub mod sealed;
pub mod strangers;
pub mod tokens;
pub mod urls;

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What an input was answered, so that one that is answered as none before can be told.
pub type Verdict = u64;

/// A target.
pub type Target = fn(&[u8]) -> Verdict;

/// Every target by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("redirect_uris", redirects::redirect_uris),
    ("registered_uris", redirects::registered_uris),
    ("proof_urls", urls::proof_urls),
    ("outbound_urls", urls::outbound_urls),
    ("forms", forms::forms),
    ("authorization_requests", forms::authorization_requests),
    ("callbacks", forms::callbacks),
    ("token_requests", clients::token_requests),
    ("client_authentication", clients::client_authentication),
    ("signed_tokens", tokens::signed_tokens),
    ("raw_tokens", tokens::raw_tokens),
    ("key_sets", documents::key_sets),
    ("provider_metadata", documents::provider_metadata),
    ("upstream_tokens", documents::upstream_tokens),
    ("app_documents", documents::app_documents),
    ("client_documents", strangers::client_documents),
    ("registrations", strangers::registrations),
    ("cookies", cookies::cookies),
    ("sealed_values", sealed::sealed_values),
    ("forward_auth", proxies::forward_auth),
    ("ext_authz", proxies::ext_authz),
    ("evaluations", checks::evaluations),
    ("gates", gates::gates),
];

/// A verdict of what can be printed; it must not hold what was sent.
fn verdict(answer: impl Debug) -> Verdict {
    let mut hasher = DefaultHasher::new();
    format!("{answer:?}").hash(&mut hasher);
    hasher.finish()
}

/// The first line, and what follows it.
fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}

/// Fails if `printed` shows a secret that is no part of the texts that may be shown.
fn assert_hidden(printed: &str, secret: &str, shown: &[&str]) {
    // Shorter ones stand in any text.
    if secret.len() >= 12 && !shown.iter().any(|text| text.contains(secret)) {
        let quoted = format!("{secret:?}");
        let quoted = quoted.trim_matches('"');
        assert!(!printed.contains(secret), "{printed} shows {secret}");
        assert!(!printed.contains(quoted), "{printed} shows {secret}");
    }
}
