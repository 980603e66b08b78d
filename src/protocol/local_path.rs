//! Paths that a browser is sent on to, which somebody else may have written.

/// The longest path to return to: it travels sealed, in a URL or a cookie.
const MAX: usize = 4 * 1024;

/// Whether a browser that is sent there stays on this server. Browsers read `\` as `/` and drop
/// tabs and line ends, so that `/\evil.example` and `/<tab>/evil.example` would lead away.
pub fn is_local_path(text: &str) -> bool {
    text.len() <= MAX
        && text.starts_with('/')
        && !text.starts_with("//")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_only_sent_to_paths_of_ours() {
        for good in [
            "/",
            "/account",
            "/oauth2/authorize/resume?request=a_b-c&x=//y",
        ] {
            assert!(is_local_path(good), "{good}");
        }
        for bad in [
            "",
            "account",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "https://evil.example",
            "/a b",
            "/a#b",
            "/ä",
        ] {
            assert!(!is_local_path(bad), "{bad}");
        }
    }
}
