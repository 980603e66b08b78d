//! Who a provider says has logged in, whatever it speaks.

use crate::domain::user::{DisplayName, EmailAddress};
use crate::domain::{Secret, Timestamp};

/// The longest URL of a picture.
const PICTURE_MAX: usize = 2048;
/// The longest display name.
const NAME_MAX: usize = 100;

/// A person, in a provider's words made fit for us.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// The account's name at the provider.
    pub subject: String,
    /// The name to show, if the provider has one.
    pub name: Option<DisplayName>,
    /// The address, if the provider tells one.
    pub email: Option<EmailAddress>,
    /// Whether the provider says that it is verified.
    pub email_verified: bool,
    /// A picture.
    pub picture: Option<String>,
    /// The language.
    pub locale: Option<String>,
    /// Google's hosted domain.
    pub hosted_domain: Option<String>,
    /// The provider's groups.
    pub groups: Vec<String>,
    /// When the person proved who they are, if the provider says.
    pub authenticated_at: Option<Timestamp>,
    /// How.
    pub amr: Vec<String>,
    /// How strongly.
    pub acr: Option<String>,
    /// The provider's session.
    pub sid: Option<String>,
    /// The provider's tokens.
    pub tokens: UpstreamTokens,
}

/// A provider's tokens.
#[derive(Debug, Clone)]
pub struct UpstreamTokens {
    /// To call its API.
    pub access: Secret<String>,
    /// To get another one.
    pub refresh: Option<Secret<String>>,
    /// What they are good for.
    pub scope: String,
    /// When the access token ends, if it said.
    pub expires_at: Option<Timestamp>,
}

impl Identity {
    /// The address, if the provider vouches for it.
    pub(super) fn verified_email(&self) -> Option<&EmailAddress> {
        self.email.as_ref().filter(|_| self.email_verified)
    }

    /// The name to show when the provider has none: the part of the address before the `@`.
    pub(super) fn name_or_default(&self) -> Option<DisplayName> {
        self.name.clone().or_else(|| {
            let email = self.email.as_ref()?;
            display_name(email.as_str().split('@').next()?)
        })
    }
}

/// A name to show, made of what a provider sends: what misleads is left out, the rest cut to size.
pub(super) fn display_name(text: &str) -> Option<DisplayName> {
    let clean: String = text
        .chars()
        .filter(|character| !crate::domain::text::misleads(*character))
        .take(NAME_MAX)
        .collect();
    clean.trim().parse().ok()
}

/// An address in its one spelling.
pub(super) fn email(text: &str) -> Option<EmailAddress> {
    text.trim().parse().ok()
}

/// A picture's URL, if a browser may be asked to fetch it.
pub(super) fn picture(text: &str) -> Option<String> {
    let fits = text.len() <= PICTURE_MAX
        && text.starts_with("https://")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\".contains(&byte));
    fits.then(|| text.to_owned())
}

/// A language tag (BCP 47), as far as its alphabet goes.
pub(super) fn locale(text: &str) -> Option<String> {
    let fits = (2..=35).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    fits.then(|| text.to_owned())
}

/// A value that is kept and shown on to clients: printable, of bounded length.
pub(super) fn word(text: String) -> Option<String> {
    let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_providers_send_is_made_fit_or_left_out() {
        let name = display_name(&format!("  Eve\u{202E}\n {}", "x".repeat(200))).unwrap();
        assert!(name.as_str().starts_with("Eve") && name.as_str().chars().count() <= 100);
        assert_eq!(display_name(" \u{202E} "), None);
        assert_eq!(email(" A@Example.COM ").unwrap().as_str(), "a@example.com");
        assert_eq!(email("nobody"), None);
        assert!(picture("https://x.example/a.png").is_some());
        for bad in [
            "http://x.example/a.png",
            "javascript:alert(1)",
            "https://x/\"onload=",
        ] {
            assert_eq!(picture(bad), None, "{bad}");
        }
        assert!(locale("de-CH").is_some() && locale("de_CH;").is_none());
    }
}
