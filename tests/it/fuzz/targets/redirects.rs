//! Redirect URIs: what may be registered, and what may be presented.

use doorward::domain::app::ApplicationType;
use doorward::protocol::clients::uri;
use doorward::protocol::oauth::redirect::{redirect_allowed, with_parameters};
use http::Uri;

use super::{Verdict, verdict};

/// The first line is what a request presents, behind `N` if the app is native; each further one is
/// registered, if it may be.
pub fn redirect_uris(data: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(data) else {
        return 0;
    };
    let (presented, rest) = text.split_once('\n').unwrap_or((text, ""));
    let native = presented.starts_with('N');
    let presented = presented.strip_prefix(['N', 'W']).unwrap_or(presented);
    let application_type = if native {
        ApplicationType::Native
    } else {
        ApplicationType::Web
    };
    let registered: Vec<String> = rest
        .split('\n')
        .filter(|one| uri::redirect(one, application_type).is_ok())
        .map(str::to_owned)
        .collect();
    let allowed = redirect_allowed(&registered, presented, native);
    let same = registered.iter().any(|one| one == presented);
    let wanted = loopback_without_port(presented);
    let but_for_the_port = native
        && wanted.is_some()
        && registered
            .iter()
            .any(|one| loopback_without_port(one) == wanted);
    assert_eq!(
        allowed,
        same || but_for_the_port,
        "{presented} of {registered:?}"
    );
    if allowed {
        // What could not be registered is not answered either.
        assert_eq!(uri::redirect(presented, application_type), Ok(()));
        answer_goes_where_it_should(presented);
    }
    verdict((
        native,
        registered.len().min(2),
        allowed,
        same,
        but_for_the_port,
    ))
}

fn answer_goes_where_it_should(presented: &str) {
    let added = [("code", "a b&c=d#e"), ("state", "\u{e4}\n?")];
    let answer = with_parameters(presented, &added);
    assert!(
        answer.starts_with(presented) && answer.is_ascii(),
        "{answer}"
    );
    assert!(!answer.contains('#'), "{answer}");
    let (_, query) = answer.split_once('?').unwrap();
    let read: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let wanted = added.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert!(read.ends_with(&wanted), "{answer}");
    if presented.starts_with("http") {
        let (before, after): (Uri, Uri) = (presented.parse().unwrap(), answer.parse().unwrap());
        assert_eq!(before.authority(), after.authority());
        assert_eq!(before.path(), after.path());
    }
}

/// RFC 8252 §7.3, by the `http` crate's reading: host and what follows the port.
fn loopback_without_port(text: &str) -> Option<(String, String)> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    let host = authority.host();
    let after = text
        .strip_prefix("http://")?
        .strip_prefix(authority.as_str())?;
    let port = authority.as_str().strip_prefix(host)?;
    let port_fits = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && digits.parse::<u16>().is_ok_and(|number| number > 0)
        }
    };
    let fits = matches!(host, "127.0.0.1" | "[::1]") && port_fits && !text.contains('#');
    fits.then(|| (host.to_owned(), after.to_owned()))
}

/// A URI to be registered: as a redirect of either kind of app, as a link, as a resource.
pub fn registered_uris(data: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(data) else {
        return 0;
    };
    let (web, native) = (
        uri::redirect(text, ApplicationType::Web),
        uri::redirect(text, ApplicationType::Native),
    );
    let (link, local, resource) = (
        uri::https(text, false),
        uri::https(text, true),
        uri::resource(text),
    );
    for taken in [web, native, link, local, resource] {
        if taken.is_ok() {
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
            assert!(!text.contains(['#', '*', '"', '<', '>', '\\']), "{text}");
            assert!(text.len() <= 2_000, "{text}");
        }
    }
    // Each is stricter than the one after it.
    assert!(link.is_err() || local.is_ok(), "{text}");
    assert!(local.is_err() || web.is_ok(), "{text}");
    assert!(web.is_err() || native.is_ok(), "{text}");
    if web.is_ok() {
        let (scheme, host) = scheme_and_host(text);
        let loopback = matches!(host.as_str(), "127.0.0.1" | "[::1]" | "localhost");
        assert!(
            scheme == "https" || (scheme == "http" && loopback),
            "{text}"
        );
    } else if native.is_ok() {
        let (scheme, path) = text.split_once(':').unwrap();
        assert!(scheme.contains('.'), "{text}");
        assert!(path.starts_with('/') && !path.starts_with("//"), "{text}");
    }
    verdict((web, native, link, local, resource))
}

/// Scheme and host in lower case, as a browser would find them (RFC 3986 §3, by hand).
fn scheme_and_host(text: &str) -> (String, String) {
    let (scheme, rest) = text.split_once("://").unwrap();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = &rest[..end];
    assert!(!authority.contains('@'), "{text}");
    let host = match authority.strip_prefix('[') {
        Some(literal) => {
            let end = literal.find(']').unwrap();
            &authority[..end + 2]
        }
        None => authority.split(':').next().unwrap(),
    };
    assert!(!host.is_empty(), "{text}");
    (scheme.to_ascii_lowercase(), host.to_ascii_lowercase())
}
