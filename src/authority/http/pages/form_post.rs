//! The page that carries an answer to an app in a form (OAuth 2.0 Form Post Response Mode).

use std::fmt;

use askama::Template;

use crate::authority::brand::Brand;

use super::frame::Frame;
use super::html::Html;
use super::locale::Locale;

/// An answer on its way. There is no script on our pages, so the person sends it on.
#[derive(Clone)]
pub struct FormPostPage {
    /// Where the form goes: the app's redirect URI.
    pub action: String,
    /// What the answer says.
    pub fields: Vec<(&'static str, String)>,
}

/// Names only: one of the values may be a code.
impl fmt::Debug for FormPostPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.fields.iter().map(|(name, _)| name);
        f.debug_set().entries(names).finish()
    }
}

#[derive(Template)]
#[template(path = "form_post.html")]
struct View<'a> {
    frame: Frame<'a>,
    page: &'a FormPostPage,
}

impl FormPostPage {
    /// The page. Its form leads to the app.
    pub fn render(&self, locale: Locale, brand: &Brand) -> Html {
        let view = View {
            frame: Frame::new(locale, brand),
            page: self,
        };
        Html::of(&view, locale)
            .with_images(brand.logo_uri())
            .with_forms([self.action.as_str()])
    }
}
