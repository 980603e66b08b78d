//! Descriptions of apps that nobody vouches for: documents at URLs, registrations by themselves.

use doorward::domain::Scopes;
use doorward::domain::app::{AppSpec, GrantType};
use doorward::domain::registration::RegistrationPolicy;
use doorward::protocol::clients::fetched;
use doorward::protocol::clients::registration::RegistrationRequest;

use super::{Verdict, verdict};

const DOCUMENT: &str = "https://app.example/client.json";
const HOST: &str = "app.example";

/// Scheme, and host where an authority follows: read apart from the product.
fn place(uri: &str) -> (String, Option<String>) {
    let (scheme, rest) = uri.split_once(':').unwrap();
    let authority = rest.strip_prefix("//").map(|rest| {
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        rest[..end].to_ascii_lowercase()
    });
    (scheme.to_ascii_lowercase(), authority)
}

/// An authority without its port.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => authority,
    }
}

/// People are sent back to the app's own host, to their own machine, or to an app on it.
fn assert_leads_home(spec: &AppSpec, own: impl Fn(&str) -> bool) {
    for uri in &spec.redirect_uris {
        match place(uri) {
            (scheme, Some(authority)) if scheme == "https" => assert!(own(&authority), "{uri}"),
            (scheme, Some(authority)) => {
                assert_eq!(scheme, "http", "{uri}");
                let loopback = ["127.0.0.1", "[::1]", "localhost"];
                assert!(loopback.contains(&host(&authority)), "{uri}");
            }
            // Of somebody's own: a domain, backwards.
            (scheme, None) => assert!(scheme.contains('.'), "{uri}"),
        }
    }
    assert!(!spec.first_party, "nobody vouches for it");
}

/// The document at a `client_id`.
pub fn client_documents(data: &[u8]) -> Verdict {
    let most = Scopes::parse("openid profile email").unwrap();
    match fetched::read(&DOCUMENT.parse().unwrap(), data, &most) {
        Ok(spec) => {
            assert_eq!(spec.identifier.as_str(), DOCUMENT);
            assert!(!spec.redirect_uris.is_empty());
            assert_leads_home(&spec, |authority| authority == HOST);
            assert!(spec.scopes.is_subset(&most));
            assert!(!spec.grant_types.contains(GrantType::ClientCredentials));
            let links = [
                &spec.logo_uri,
                &spec.client_uri,
                &spec.policy_uri,
                &spec.tos_uri,
                &spec.backchannel_logout_uri,
            ];
            for link in links.into_iter().flatten() {
                let (scheme, authority) = place(link);
                assert_eq!(
                    (scheme.as_str(), authority.as_deref()),
                    ("https", Some(HOST))
                );
            }
            verdict((
                spec.auth_method,
                spec.application_type,
                spec.redirect_uris.len(),
            ))
        }
        Err(error) => verdict(error.to_string().len()),
    }
}

/// What a client asks to be registered as.
pub fn registrations(data: &[u8]) -> Verdict {
    let policy = RegistrationPolicy {
        redirect_hosts: vec!["*.app.example".parse().unwrap()],
        redirect_schemes: vec!["com.example.app".to_owned()],
        loopback: true,
        ..RegistrationPolicy::default()
    };
    let request = match RegistrationRequest::read(data) {
        Ok(request) => request,
        Err(error) => return verdict(error.error),
    };
    match request.check(&"app-1".parse().unwrap(), &policy) {
        Ok(spec) => {
            assert_leads_home(&spec, |authority| host(authority).ends_with(".app.example"));
            assert!(spec.scopes.is_subset(&policy.scope));
            assert!(
                spec.grant_types
                    .iter()
                    .all(|grant| policy.grant_types.contains(grant))
            );
            verdict((
                spec.auth_method,
                spec.application_type,
                spec.grant_types.to_string(),
            ))
        }
        Err(error) => verdict((error.error, error.error_description.len())),
    }
}
