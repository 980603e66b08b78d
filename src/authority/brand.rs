//! How the pages introduce themselves: name, logo, colour and where to get help.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;

use crate::crypto::digest::sha256;
use crate::runtime::config::Reader;

/// The stylesheet of all pages. Colours that the configuration chooses are added behind it.
const STYLESHEET: &str = include_str!("../../templates/doorward.css");

/// The most characters of [`Brand::name`].
const NAME_MAX: usize = 60;

/// What `[brand]` configures, and the stylesheet made of it.
#[derive(Debug, Clone)]
pub struct Brand {
    name: String,
    logo_uri: Option<String>,
    support_uri: Option<String>,
    stylesheet: Arc<Stylesheet>,
}

#[derive(Debug)]
struct Stylesheet {
    path: String,
    text: String,
}

impl Default for Brand {
    fn default() -> Self {
        Self::new("Doorward".to_owned(), None, Accent::default(), None)
    }
}

impl Brand {
    /// Of values that were checked.
    pub fn new(
        name: String,
        logo_uri: Option<WebLink>,
        accent: Accent,
        support_uri: Option<SupportLink>,
    ) -> Self {
        let text = format!("{STYLESHEET}{}", accent.rules());
        let hash = sha256(text.as_bytes());
        let hash = data_encoding::HEXLOWER.encode(hash.get(..16).unwrap_or_default());
        Self {
            name,
            logo_uri: logo_uri.map(|link| link.0),
            support_uri: support_uri.map(|link| link.0),
            stylesheet: Arc::new(Stylesheet {
                path: format!("/assets/{hash}.css"),
                text,
            }),
        }
    }

    /// Reads the section `[brand]`.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let name = reader.or("name", "Doorward".to_owned());
        let name = name.trim();
        if name.is_empty() || name.chars().count() > NAME_MAX {
            reader.mistake("name", format!("1 to {NAME_MAX} characters are wanted"));
        }
        if name.chars().any(crate::domain::text::misleads) {
            reader.mistake("name", "it has characters that nobody sees".to_owned());
        }
        let logo_uri = reader.optional("logo_uri");
        let accent = reader.or("accent", Accent::default());
        let support_uri = reader.optional("support_uri");
        Self::new(name.to_owned(), logo_uri, accent, support_uri)
    }

    /// Who the pages say they are.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An image to show instead of the drawn door.
    pub fn logo_uri(&self) -> Option<&str> {
        self.logo_uri.as_deref()
    }

    /// Where people get help.
    pub fn support_uri(&self) -> Option<&str> {
        self.support_uri.as_deref()
    }

    /// The path of the stylesheet: it changes when the content does.
    pub fn stylesheet_path(&self) -> &str {
        &self.stylesheet.path
    }

    /// The stylesheet.
    pub fn stylesheet(&self) -> &str {
        &self.stylesheet.text
    }
}

/// A colour such as `#1f6f54`, for buttons. The text on it is black or white, whichever is easier
/// to read: one of them always reaches 4.5 to 1 (WCAG 2.2, 1.4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accent {
    red: u8,
    green: u8,
    blue: u8,
}

impl Default for Accent {
    fn default() -> Self {
        Self {
            red: 0x2B,
            green: 0x59,
            blue: 0xC3,
        }
    }
}

impl Accent {
    /// The relative luminance of WCAG 2.2, from 0 to 1.
    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(self.red) + 0.7152 * linear(self.green) + 0.0722 * linear(self.blue)
    }

    /// Whether white is easier to read on it than black.
    fn wants_white(self) -> bool {
        let luminance = self.luminance();
        1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05
    }

    fn rules(self) -> String {
        let text = if self.wants_white() { "#fff" } else { "#000" };
        format!(":root{{--accent:{self};--on-accent:{text}}}\n")
    }
}

impl fmt::Display for Accent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

impl FromStr for Accent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.strip_prefix('#').and_then(|digits| {
            data_encoding::HEXLOWER_PERMISSIVE
                .decode(digits.as_bytes())
                .ok()
        });
        match parts.as_deref() {
            Some(&[red, green, blue]) => Ok(Self { red, green, blue }),
            _ => Err(format!("`{text}` is not a colour such as `#2b59c3`")),
        }
    }
}

/// An `https` URL, or a plain one of the machine itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebLink(String);

impl FromStr for WebLink {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri = text.parse::<Uri>().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        let local = matches!(host, "127.0.0.1" | "localhost") || host.ends_with(".localhost");
        match uri.as_ref().and_then(Uri::scheme_str) {
            Some("https") if !host.is_empty() => Ok(Self(text.to_owned())),
            Some("http") if local => Ok(Self(text.to_owned())),
            _ => Err(format!("`{text}` is not an `https` URL")),
        }
    }
}

/// Where people get help: an `https` URL or a `mailto:` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupportLink(String);

impl FromStr for SupportLink {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_mail = text.strip_prefix("mailto:").is_some_and(|address| {
            address.contains('@') && !address.contains(|c: char| c.is_whitespace() || c == '"')
        });
        if is_mail {
            return Ok(Self(text.to_owned()));
        }
        text.parse::<WebLink>()
            .map(|WebLink(link)| Self(link))
            .map_err(|error| format!("{error} and no `mailto:` address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contrast(accent: Accent) -> f64 {
        let luminance = accent.luminance();
        if accent.wants_white() {
            1.05 / (luminance + 0.05)
        } else {
            (luminance + 0.05) / 0.05
        }
    }

    #[test]
    fn text_can_be_read_on_any_accent() {
        for red in (0..=255).step_by(15) {
            for green in (0..=255).step_by(15) {
                for blue in (0..=255).step_by(15) {
                    let accent = Accent { red, green, blue };
                    assert!(contrast(accent) >= 4.5, "{accent}");
                }
            }
        }
    }

    #[test]
    fn an_accent_is_six_digits_and_nothing_else() {
        assert_eq!("#2B59c3".parse::<Accent>(), Ok(Accent::default()));
        for wrong in [
            "",
            "2b59c3",
            "#2b59c",
            "red",
            "#2b59c3;}",
            "#2b59c300",
            "#gggggg",
        ] {
            assert!(wrong.parse::<Accent>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn links_are_of_the_web_or_to_a_mailbox() {
        for good in [
            "https://example.com/logo.svg",
            "http://127.0.0.1:7180/logo.png",
        ] {
            assert!(good.parse::<WebLink>().is_ok(), "{good}");
        }
        for wrong in [
            "javascript:alert(1)",
            "http://example.com",
            "//example.com",
            "data:,a",
        ] {
            assert!(wrong.parse::<WebLink>().is_err(), "{wrong}");
            assert!(wrong.parse::<SupportLink>().is_err(), "{wrong}");
        }
        assert!("mailto:help@example.com".parse::<SupportLink>().is_ok());
        assert!("mailto:\"><script>".parse::<SupportLink>().is_err());
    }

    #[test]
    fn another_accent_is_another_stylesheet() {
        let plain = Brand::default();
        let red = Brand::new("A".to_owned(), None, "#aa0000".parse().unwrap(), None);
        assert_ne!(plain.stylesheet_path(), red.stylesheet_path());
        assert!(
            red.stylesheet()
                .contains("--accent:#aa0000;--on-accent:#fff")
        );
    }
}
