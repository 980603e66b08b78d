//! What types made of a text have in common, and characters that texts shown to people cannot hold.

/// The ways into and out of a type that is one checked text, beside its [`FromStr`](std::str::FromStr).
macro_rules! checked_text {
    ($error:ty: $($name:ident),*) => {$(
        impl TryFrom<std::borrow::Cow<'_, str>> for $name {
            type Error = $error;

            fn try_from(text: std::borrow::Cow<'_, str>) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
pub(super) use checked_text;

/// Whether a character would make a name look like something else on a screen, in a log or in a
/// terminal: control characters, line separators, overrides of the writing direction, and tags that
/// nobody sees. The marks that right-to-left scripts need between words are fine.
pub fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}'
                | '\u{2029}'
                | '\u{202A}'..='\u{202E}'
                | '\u{2066}'..='\u{2069}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misleads_is_told_from_what_scripts_need() {
        for character in [
            '\0',
            '\n',
            '\u{1B}',
            '\u{9B}',
            '\u{202E}',
            '\u{2067}',
            '\u{E0041}',
        ] {
            assert!(misleads(character), "{character:?}");
        }
        // The joiner of Persian and of emoji, and the marks of direction.
        for character in [
            'a', 'é', '株', 'ش', '\u{200C}', '\u{200D}', '\u{200E}', '\u{200F}',
        ] {
            assert!(!misleads(character), "{character:?}");
        }
    }
}
