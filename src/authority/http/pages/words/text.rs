//! One thing that is said, perhaps about something with a name.

use std::fmt;

use askama::filters::{Escaper, Html as HtmlEscaper, HtmlSafe};

/// A text of ours. `{}` is the place of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::authority::http::pages) struct Text(pub(super) &'static str);

impl Text {
    /// With a name in its place, for HTML. The name is escaped, and its writing direction does not
    /// reach what stands around it.
    pub(in crate::authority::http::pages) fn with(self, name: &str) -> Filled<'_> {
        let (before, after) = self.0.split_once("{}").unwrap_or((self.0, ""));
        Filled {
            before,
            name,
            after,
        }
    }

    /// With a name in its place, as plain text, for titles and attributes: the name stands between
    /// the characters that isolate its writing direction.
    pub(in crate::authority::http::pages) fn plain(self, name: &str) -> String {
        self.0.replacen("{}", &format!("\u{2068}{name}\u{2069}"), 1)
    }

    /// As it is.
    pub(in crate::authority::http::pages) const fn as_str(self) -> &'static str {
        self.0
    }

    /// With two names in the places `{}` and `{2}`, as plain text.
    pub(in crate::authority::http::pages) fn fill(self, first: &str, second: &str) -> String {
        self.0.replacen("{2}", second, 1).replacen("{}", first, 1)
    }

    /// With a number in its place.
    pub(in crate::authority::http::pages) fn count(self, number: u64) -> String {
        self.0.replacen("{}", &number.to_string(), 1)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A text with a name in it: HTML, escaped already.
#[derive(Debug, Clone, Copy)]
pub(in crate::authority::http::pages) struct Filled<'a> {
    before: &'static str,
    name: &'a str,
    after: &'static str,
}

impl fmt::Display for Filled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HtmlEscaper.write_escaped_str(&mut *f, self.before)?;
        f.write_str("<bdi>")?;
        HtmlEscaper.write_escaped_str(&mut *f, self.name)?;
        f.write_str("</bdi>")?;
        HtmlEscaper.write_escaped_str(&mut *f, self.after)
    }
}

impl HtmlSafe for Filled<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_escaped_and_isolated() {
        let text = Text("Hello {} & all");
        assert_eq!(
            text.with("<b>\u{5D0}").to_string(),
            "Hello <bdi>&#60;b&#62;\u{5D0}</bdi> &#38; all"
        );
        assert_eq!(text.plain("A"), "Hello \u{2068}A\u{2069} & all");
    }

    #[test]
    fn a_name_with_a_place_in_it_is_not_filled_again() {
        assert_eq!(Text("{}!").with("{}").to_string(), "<bdi>{}</bdi>!");
    }
}
