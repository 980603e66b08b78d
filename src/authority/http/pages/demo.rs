//! The page of the demo provider, on which one picks who one is.

use askama::Template;

use crate::authority::brand::Brand;

use super::frame::Frame;
use super::html::Html;
use super::locale::Locale;

/// A choice among the demo's people.
#[derive(Debug, Clone)]
pub struct DemoPage {
    /// Short names, and the names to show.
    pub people: &'static [(&'static str, &'static str)],
    /// Where the choice is sent.
    pub action: &'static str,
    /// The sealed request, for the hidden field `request`.
    pub request: String,
    /// The token for the hidden field `csrf`.
    pub csrf: String,
}

#[derive(Template)]
#[template(path = "demo.html")]
struct View<'a> {
    frame: Frame<'a>,
    page: &'a DemoPage,
}

impl DemoPage {
    /// The page. Its form leads back to the login, and from there to the app, all in one
    /// chain of redirects.
    pub fn render(&self, locale: Locale, brand: &Brand) -> Html {
        let view = View {
            frame: Frame::new(locale, brand),
            page: self,
        };
        Html::of(&view, locale)
            .with_images(brand.logo_uri())
            .with_forms_to_anywhere()
    }
}
