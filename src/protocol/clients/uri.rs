//! Which URIs an app may register. Nothing is normalized: what is registered is compared as text.

use http::Uri;

use crate::domain::app::ApplicationType;
use crate::protocol::host::host_and_port;

/// The longest URI.
pub const MAX_URI_LEN: usize = 2000;

/// Why a URI is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Longer than [`MAX_URI_LEN`].
    #[error("it has more than {MAX_URI_LEN} characters")]
    TooLong,
    /// A character that no URI holds.
    #[error("it holds white space or a character that must be percent-encoded")]
    Character,
    /// It has a fragment.
    #[error("it may not have a fragment (`#`)")]
    Fragment,
    /// It holds a wildcard.
    #[error("it may not hold a wildcard (`*`)")]
    Wildcard,
    /// It has a user or a password.
    #[error("it may not have a user or a password (`@`)")]
    User,
    /// Its path climbs.
    #[error("its path may not hold `.` or `..` segments")]
    Dots,
    /// Not absolute, or without a host.
    #[error("an absolute URI with a host is wanted")]
    Form,
    /// `http` beyond the machine itself.
    #[error("`https` is wanted, except on the loopback address")]
    Plain,
    /// A scheme that is not `https`.
    #[error("`https` is wanted")]
    Https,
    /// A private-use scheme of a web app.
    #[error("only native apps may have a scheme of their own")]
    PrivateUse,
    /// A private-use scheme that anybody might claim.
    #[error("a scheme of the app's own begins with its domain, reversed: `com.example.app`")]
    Scheme,
}

fn characters(text: &str) -> Result<(), UriError> {
    if text.len() > MAX_URI_LEN {
        return Err(UriError::TooLong);
    }
    let fits = |byte: u8| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte);
    if !text.bytes().all(fits) {
        return Err(UriError::Character);
    }
    if text.contains('#') {
        return Err(UriError::Fragment);
    }
    if text.contains('*') {
        return Err(UriError::Wildcard);
    }
    Ok(())
}

/// The host of an absolute URI without user, climbing path or missing host.
fn host(text: &str) -> Result<(String, Uri), UriError> {
    let uri: Uri = text.parse().map_err(|_| UriError::Form)?;
    // Without `//` a scheme passes for a host: `https:1`.
    if uri.scheme().is_none() {
        return Err(UriError::Form);
    }
    let authority = uri.authority().ok_or(UriError::Form)?;
    if authority.as_str().contains('@') {
        return Err(UriError::User);
    }
    let (host, _) = host_and_port(authority).ok_or(UriError::Form)?;
    let host = host.to_ascii_lowercase();
    let climbs = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    if uri.path().split('/').any(climbs) {
        return Err(UriError::Dots);
    }
    Ok((host, uri))
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "[::1]" | "localhost")
}

/// A URI that a browser is sent to: `https`; `http` on the loopback address, for development and for
/// native apps; a private-use scheme of a native app (RFC 8252 §7.1).
///
/// # Errors
///
/// [`UriError`].
pub fn redirect(text: &str, application_type: ApplicationType) -> Result<(), UriError> {
    characters(text)?;
    let (scheme, rest) = text.split_once(':').ok_or(UriError::Form)?;
    match scheme.to_ascii_lowercase().as_str() {
        "https" => host(text).map(|_| ()),
        "http" => match host(text)? {
            (host, _) if is_loopback(&host) => Ok(()),
            _ => Err(UriError::Plain),
        },
        _ if application_type == ApplicationType::Web => Err(UriError::PrivateUse),
        private => private_use(private, rest),
    }
}

/// A scheme of a native app's own. It has a dot: a domain of the app's makers, which nobody else has
/// reason to claim. That rules out `javascript:`, `data:` and their kind as well.
///
/// # Errors
///
/// [`UriError::Scheme`].
pub fn private_scheme(scheme: &str) -> Result<(), UriError> {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let begins = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    if !(begins && scheme.contains('.') && scheme.split('.').all(label)) {
        return Err(UriError::Scheme);
    }
    Ok(())
}

fn private_use(scheme: &str, rest: &str) -> Result<(), UriError> {
    private_scheme(scheme)?;
    // RFC 8252 §7.1: a path right after the scheme; there is no authority to name.
    if rest.starts_with('/') && !rest.starts_with("//") {
        Ok(())
    } else {
        Err(UriError::Form)
    }
}

/// A URI that the authority itself calls, or shows as a link: `https`, and `http` on the loopback
/// address where `local` says so.
///
/// # Errors
///
/// [`UriError`].
pub fn https(text: &str, local: bool) -> Result<(), UriError> {
    characters(text)?;
    match text
        .split_once(':')
        .map(|(scheme, _)| scheme.to_ascii_lowercase())
    {
        Some(scheme) if scheme == "https" => host(text).map(|_| ()),
        Some(scheme) if scheme == "http" && local => match host(text)? {
            (host, _) if is_loopback(&host) => Ok(()),
            _ => Err(UriError::Plain),
        },
        _ => Err(UriError::Https),
    }
}

/// The URL of a document that describes a client (draft-ietf-oauth-client-id-metadata-document §3): a
/// path, and no user, fragment, query or `.` segment. Gives its origin, as it is spelled.
///
/// # Errors
///
/// [`UriError`].
pub fn document(text: &str) -> Result<&str, UriError> {
    characters(text)?;
    let (scheme, rest) = text.split_once("://").ok_or(UriError::Form)?;
    if !matches!(scheme, "https" | "http") {
        return Err(UriError::Https);
    }
    host(text)?;
    let path = rest.find('/').ok_or(UriError::Form)?;
    if rest.contains('?') {
        return Err(UriError::Form);
    }
    Ok(text.split_at(text.len() - rest.len() + path).0)
}

/// A resource that tokens are for (RFC 8707 §2): any absolute URI without a fragment.
///
/// # Errors
///
/// [`UriError`].
pub fn resource(text: &str) -> Result<(), UriError> {
    characters(text)?;
    let absolute = text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !rest.is_empty()
    });
    if absolute {
        Ok(())
    } else {
        Err(UriError::Form)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::oauth::redirect::redirect_allowed;

    const WEB: ApplicationType = ApplicationType::Web;
    const NATIVE: ApplicationType = ApplicationType::Native;

    #[test]
    fn a_redirect_uri_is_https_or_the_apps_own() {
        for text in [
            "https://app.example/callback",
            "https://app.example:8443/callback?x=1",
            "https://app.example",
            "http://127.0.0.1/callback",
            "http://[::1]:8000/callback",
            "http://localhost:3000/callback",
        ] {
            assert_eq!(redirect(text, WEB), Ok(()), "{text}");
            assert_eq!(redirect(text, NATIVE), Ok(()), "{text}");
        }
        assert_eq!(redirect("com.example.app:/callback", NATIVE), Ok(()));
        assert_eq!(
            redirect("com.example.app:/callback", WEB),
            Err(UriError::PrivateUse)
        );
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused_with_its_reason() {
        for (text, error) in [
            ("", UriError::Form),
            ("/callback", UriError::Form),
            ("app.example/callback", UriError::Form),
            ("https://app.example:+443/callback", UriError::Form),
            ("http://app.example/callback", UriError::Plain),
            ("http://127.0.0.1.evil.test/", UriError::Plain),
            ("http://127.0.0.2/", UriError::Plain),
            ("https://app.example/callback#x", UriError::Fragment),
            ("https://*.example/callback", UriError::Wildcard),
            ("https://app.example/*", UriError::Wildcard),
            ("https://app.example@evil.test/", UriError::User),
            ("https://user:pass@app.example/", UriError::User),
            ("https://app.example/a/../b", UriError::Dots),
            ("https://app.example/a/%2E%2e/b", UriError::Dots),
            ("https://app.example/a b", UriError::Character),
            ("https://app.example\\@evil.test/", UriError::Character),
            ("https://äpp.example/", UriError::Character),
            ("https:///callback", UriError::Form),
            ("https:1", UriError::Form),
            ("https://app.example:/callback", UriError::Form),
            ("https://app.example:0/callback", UriError::Form),
            ("https://app.example:99999/callback", UriError::Form),
            ("javascript:alert(1)", UriError::Scheme),
            ("data:text/html,x", UriError::Scheme),
            ("myapp:/callback", UriError::Scheme),
            ("com.example.app:callback", UriError::Form),
            ("com.example.app://callback", UriError::Form),
            ("com..app:/callback", UriError::Scheme),
        ] {
            assert_eq!(redirect(text, NATIVE), Err(error), "{text}");
        }
        let long = format!("https://app.example/{}", "a".repeat(MAX_URI_LEN));
        assert_eq!(redirect(&long, WEB), Err(UriError::TooLong));
    }

    #[test]
    fn what_the_authority_calls_or_links_to_is_https() {
        assert_eq!(https("https://app.example/logout", false), Ok(()));
        assert_eq!(https("http://127.0.0.1:9/logout", true), Ok(()));
        assert_eq!(
            https("http://127.0.0.1:9/logout", false),
            Err(UriError::Https)
        );
        assert_eq!(https("javascript:alert(1)", true), Err(UriError::Https));
        assert_eq!(https("http://app.example/", true), Err(UriError::Plain));
    }

    #[test]
    fn a_resource_is_an_absolute_uri() {
        assert_eq!(resource("https://api.example/v1"), Ok(()));
        assert_eq!(resource("urn:example:api"), Ok(()));
        assert_eq!(resource("https://api.example#x"), Err(UriError::Fragment));
        assert_eq!(resource("api"), Err(UriError::Form));
        assert_eq!(resource("api:"), Err(UriError::Form));
    }

    #[test]
    fn the_url_of_a_document_has_a_path_and_one_spelling() {
        assert_eq!(
            document("https://app.example:8443/a/b.json"),
            Ok("https://app.example:8443")
        );
        for (text, error) in [
            ("https://app.example", UriError::Form),
            ("https://app.example/a?b", UriError::Form),
            ("https://app.example/a#b", UriError::Fragment),
            ("https://a@app.example/b", UriError::User),
            ("https://app.example/a/../b", UriError::Dots),
            ("https://app.example/%2e%2E/b", UriError::Dots),
            ("HTTPS://app.example/b", UriError::Https),
            ("ftp://app.example/b", UriError::Https),
        ] {
            assert_eq!(document(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_registered_is_answered_where_a_url_parser_sees_it(text in "(https?|com\\.a):/{0,3}[a-z.\\[\\]:@0-9]{0,12}(/[a-zA-Z%2e.*#?\\\\]{0,6}){0,2}") {
            if redirect(&text, NATIVE).is_ok() && text.starts_with("http") {
                let uri: Uri = text.parse().unwrap();
                let authority = uri.authority().unwrap();
                prop_assert!(!authority.as_str().contains('@'));
                prop_assert!(!text.contains(['#', '*', '\\', ' ']));
                prop_assert!(uri.scheme_str() == Some("https") || is_loopback(&authority.host().to_ascii_lowercase()));
                prop_assert!(redirect_allowed(std::slice::from_ref(&text), &text, true));
            }
        }
    }
}
