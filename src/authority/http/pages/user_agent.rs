//! Names for browsers and systems, from what a browser says of itself. A guess for people who look
//! for a session that is not theirs; nothing is decided by it.

/// Browser and system; `None` when neither is told.
pub(super) fn name(user_agent: &str) -> Option<(&'static str, Option<&'static str>)> {
    // The first that matches: each says that it is those below it.
    const BROWSERS: [(&str, &str); 13] = [
        ("Edg/", "Microsoft Edge"),
        ("EdgA/", "Microsoft Edge"),
        ("EdgiOS/", "Microsoft Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Vivaldi/", "Vivaldi"),
        ("FxiOS/", "Firefox"),
        ("Firefox/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("HeadlessChrome/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    const SYSTEMS: [(&str, &str); 8] = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("CrOS", "ChromeOS"),
        ("Windows", "Windows"),
        ("Macintosh", "macOS"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let first = |names: &[(&str, &'static str)]| {
        names
            .iter()
            .find_map(|(sign, name)| user_agent.contains(sign).then_some(*name))
    };
    let system = first(&SYSTEMS);
    match first(&BROWSERS) {
        Some(browser) => Some((browser, system)),
        None => system.map(|system| (system, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_that_claim_to_be_others_are_told_apart() {
        const WEBKIT: &str = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (user_agent, named) in [
            (
                format!("Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/140.0 Safari/537.36 Edg/140.0"),
                Some(("Microsoft Edge", Some("Windows"))),
            ),
            (
                format!("Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/140.0 Safari/537.36"),
                Some(("Chrome", Some("Linux"))),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 \
                 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
                    .to_owned(),
                Some(("Safari", Some("iPhone"))),
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 15.0; rv:140.0) Gecko/20100101 Firefox/140.0"
                    .to_owned(),
                Some(("Firefox", Some("macOS"))),
            ),
            ("curl/8.5.0".to_owned(), Some(("curl", None))),
            (String::new(), None),
            ("<script>".to_owned(), None),
        ] {
            assert_eq!(name(&user_agent), named, "{user_agent}");
        }
    }
}
