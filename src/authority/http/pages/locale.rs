//! Which language a visitor reads.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

use super::words::{self, Words};

/// The most entries of a list of languages that are looked at.
const LIST_MAX: usize = 20;

/// A language that the pages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Locale {
    /// English.
    #[default]
    En,
    /// German.
    De,
}

impl Locale {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::En, Self::De];

    /// The first language of `ui_locales` (OpenID Connect Core 1.0 §3.1.2.1, space-separated, in
    /// order of preference) that we have, else the best of `Accept-Language`, else English.
    pub fn choose(ui_locales: Option<&str>, headers: &HeaderMap) -> Self {
        let wished = ui_locales
            .unwrap_or_default()
            .split_ascii_whitespace()
            .take(LIST_MAX)
            .find_map(Self::from_tag);
        wished
            .or_else(|| Self::accepted(headers))
            .unwrap_or_default()
    }

    /// Of the header alone.
    pub fn of(headers: &HeaderMap) -> Self {
        Self::choose(None, headers)
    }

    /// The language tag, for `lang` and `Content-Language`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }

    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::En => &words::en::EN,
            Self::De => &words::de::DE,
        }
    }

    /// The primary subtag decides: `de-AT` is German.
    fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL
            .into_iter()
            .find(|locale| primary.eq_ignore_ascii_case(locale.tag()))
    }

    fn accepted(headers: &HeaderMap) -> Option<Self> {
        let list = headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?;
        let mut best: Option<(Self, u16)> = None;
        for entry in list.split(',').take(LIST_MAX) {
            let (tag, parameters) = entry.split_once(';').unwrap_or((entry, ""));
            let weight = weight(parameters);
            // The first of equals is preferred.
            if let Some(locale) = Self::from_tag(tag.trim())
                && weight > best.map_or(0, |(_, weight)| weight)
            {
                best = Some((locale, weight));
            }
        }
        best.map(|(locale, _)| locale)
    }
}

/// `q=0.8` in thousandths; 1000 when it is missing, 0 when it cannot be read.
fn weight(parameters: &str) -> u16 {
    let Some(text) = parameters.trim().strip_prefix("q=") else {
        return 1000;
    };
    let (whole, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = decimals.bytes().all(|byte| byte.is_ascii_digit()) && decimals.len() <= 3;
    match whole {
        "1" => 1000,
        "0" if digits => format!("{decimals:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn choose(ui_locales: Option<&str>, accept: &'static str) -> Locale {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(accept));
        Locale::choose(ui_locales, &headers)
    }

    #[test]
    fn what_the_app_asks_for_wins_over_the_browser() {
        assert_eq!(choose(Some("fr de-AT en"), "en"), Locale::De);
        assert_eq!(choose(Some("fr"), "de"), Locale::De);
        assert_eq!(choose(Some(""), "de"), Locale::De);
    }

    #[test]
    fn the_heaviest_language_that_we_have_is_taken() {
        assert_eq!(choose(None, "fr, en;q=0.5, de;q=0.8"), Locale::De);
        assert_eq!(choose(None, "de-CH,de;q=0.9,en;q=0.8"), Locale::De);
        assert_eq!(choose(None, "en-GB, de"), Locale::En);
        assert_eq!(choose(None, "de;q=0, en;q=0.001"), Locale::En);
        assert_eq!(choose(None, "de;q=high"), Locale::En);
        assert_eq!(choose(None, "tlh"), Locale::En);
        assert_eq!(Locale::of(&HeaderMap::new()), Locale::En);
    }
}
