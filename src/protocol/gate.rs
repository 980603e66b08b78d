//! The reserved path of a sidecar's gate, and where a sign-in that begins there leads.

use std::fmt;
use std::str::FromStr;

use super::forward_auth::CanonicalPath;
use super::local_path::is_local_path;

/// The longest reserved path.
const PATH_MAX: usize = 64;
/// The longest path and query that are carried; of a longer one the path, if that is shorter.
const RETURN_MAX: usize = 1536;

/// A path that belongs to the gate: `/`, segments, `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatePath(Box<str>);

impl GatePath {
    /// With both its slashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a path is this one or below it.
    pub fn covers(&self, path: &CanonicalPath<'_>) -> bool {
        let (path, own) = (path.as_str(), self.0.trim_end_matches('/'));
        path.strip_prefix(own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Default for GatePath {
    fn default() -> Self {
        Self("/.doorward/".into())
    }
}

impl FromStr for GatePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
        let own = ["/access/", "/forward-auth/", "/v1/", "/.well-known/"];
        if text.len() <= PATH_MAX
            && text.len() > 2
            && text.ends_with('/')
            && plain
            && CanonicalPath::parse(text).is_ok()
            && !own.iter().any(|own| text.starts_with(own))
        {
            Ok(Self(text.into()))
        } else {
            Err(format!(
                "`{text}` cannot be reserved: segments of letters, digits and `-._~` between two \
                 slashes are wanted, and none of the sidecar's own paths"
            ))
        }
    }
}

impl fmt::Display for GatePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a sign-in leads: `return_to` of a query, which may stand once and is a path of this host; `/`
/// if nothing is said, or if it would lead back into the gate or to what no door lets pass. `None` for anything else.
pub fn return_to(query: &str, reserved: &GatePath) -> Option<String> {
    let mut values = form_urlencoded::parse(query.as_bytes())
        .filter_map(|(name, value)| (name == "return_to").then_some(value));
    let Some(value) = values.next() else {
        return Some("/".to_owned());
    };
    if values.next().is_some() || !is_local_path(&value) {
        return None;
    }
    let path = value.split('?').next().unwrap_or_default();
    // The doors refuse what two programs read differently, and browsers would walk its dots.
    let is_the_apps = CanonicalPath::parse(path).is_ok_and(|path| !reserved.covers(&path));
    Some(if !is_the_apps {
        "/".to_owned()
    } else if value.len() <= RETURN_MAX {
        value.into_owned()
    } else if path.len() <= RETURN_MAX {
        path.to_owned()
    } else {
        "/".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_path_covers_what_is_below_it_and_nothing_beside_it() {
        let path = GatePath::default();
        for (of, covered) in [
            ("/.doorward", true),
            ("/.doorward/", true),
            ("/.doorward/login?x=1", true),
            ("/.doorward/a/b", true),
            ("/.doorwards", false),
            ("/x/.doorward/login", false),
            ("/", false),
        ] {
            let canonical = CanonicalPath::parse(of).unwrap();
            assert_eq!(path.covers(&canonical), covered, "{of}");
        }
    }

    #[test]
    fn a_sign_in_leads_to_a_path_of_the_app_or_nowhere() {
        let long = |length: usize| format!("/p?{}", "x".repeat(length));
        for (query, target) in [
            (String::new(), Some("/".to_owned())),
            ("x=1".to_owned(), Some("/".to_owned())),
            (
                "return_to=%2Fa%3Fb%3D%252F".to_owned(),
                Some("/a?b=%2F".to_owned()),
            ),
            (format!("return_to={}", long(1500)), Some(long(1500))),
            (format!("return_to={}", long(1600)), Some("/p".to_owned())),
            (
                format!("return_to=/{}", "y".repeat(1600)),
                Some("/".to_owned()),
            ),
            (
                "return_to=/.doorward/login".to_owned(),
                Some("/".to_owned()),
            ),
            ("return_to=/.doorward?x".to_owned(), Some("/".to_owned())),
            (
                "return_to=/x/../.doorward/login".to_owned(),
                Some("/".to_owned()),
            ),
            ("return_to=/a&return_to=/a".to_owned(), None),
            ("return_to=".to_owned(), None),
            ("return_to=//evil.example".to_owned(), None),
            ("return_to=https://evil.example".to_owned(), None),
            (format!("return_to={}", long(5000)), None),
        ] {
            assert_eq!(return_to(&query, &GatePath::default()), target, "{query}");
        }
    }

    #[test]
    fn a_path_of_the_sidecars_own_or_one_that_two_programs_read_differently_is_not_reserved() {
        for text in ["/.doorward/", "/auth/gate/", "/~gate/"] {
            assert!(text.parse::<GatePath>().is_ok(), "{text}");
        }
        for text in [
            "",
            "/",
            "//",
            "gate/",
            "/gate",
            "/a//b/",
            "/a/../",
            "/v1/",
            "/access/x/",
            "/forward-auth/nginx/",
            "/ga te/",
            "/g%61te/",
        ] {
            assert!(text.parse::<GatePath>().is_err(), "{text}");
        }
    }
}
