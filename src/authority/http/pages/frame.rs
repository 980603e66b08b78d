//! What stands around the content of every page.

use crate::authority::brand::Brand;

use super::locale::Locale;
use super::sources::safe_link;
use super::words::Words;

/// The head, the brand and the foot of a page, for its template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) lang: &'static str,
    pub(super) words: &'static Words,
    pub(super) brand: &'a Brand,
}

impl<'a> Frame<'a> {
    pub(super) const fn new(locale: Locale, brand: &'a Brand) -> Self {
        Self {
            lang: locale.tag(),
            words: locale.words(),
            brand,
        }
    }

    /// The link to get help, if it is configured.
    pub(super) fn support(&self) -> Option<&'a str> {
        self.brand.support_uri()
    }

    /// A URL that somebody else chose, if a link may lead there.
    #[expect(
        clippy::unused_self,
        reason = "templates call methods of their fields only"
    )]
    pub(super) fn link<'u>(&self, url: Option<&'u str>) -> Option<&'u str> {
        url.and_then(safe_link)
    }

    /// The first letter of a name, for a picture of somebody or something without one.
    #[expect(
        clippy::unused_self,
        reason = "templates call methods of their fields only"
    )]
    pub(super) fn initial(&self, name: &str) -> String {
        name.chars()
            .find(|c| c.is_alphanumeric())
            .map_or_else(|| "·".to_owned(), |c| c.to_uppercase().collect())
    }
}
