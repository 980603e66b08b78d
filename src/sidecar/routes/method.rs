//! Sets of methods.

use std::fmt;
use std::str::FromStr;

/// What a route may list. Requests with any other method are denied.
const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A set of methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Methods(u8);

impl Methods {
    /// None.
    pub const NONE: Self = Self(0);
    /// All that are known.
    pub const ALL: Self = Self((1 << KNOWN.len()) - 1);

    /// Whether a method, its case kept, is among them. `HEAD` is wherever `GET` is.
    pub fn has(self, method: &str) -> bool {
        bit(method).is_some_and(|bit| self.0 & bit != 0)
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

fn bit(method: &str) -> Option<u8> {
    let place = KNOWN.iter().position(|known| *known == method)?;
    Some(1 << place)
}

/// One method; `GET` brings `HEAD`.
impl FromStr for Methods {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let head = if text == "GET" { bit("HEAD") } else { None };
        bit(text)
            .map(|bit| Self(bit | head.unwrap_or_default()))
            .ok_or_else(|| {
                format!(
                    "`{}` is no method that a route may list: {} are",
                    text.chars().take(20).collect::<String>(),
                    KNOWN.join(", ")
                )
            })
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = KNOWN.into_iter().filter(|name| self.has(name)).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_known_by_its_exact_name_and_get_brings_head() {
        let get: Methods = "GET".parse().unwrap();
        assert!(get.has("GET") && get.has("HEAD"));
        assert!(!get.has("get") && !get.has("POST") && !get.has("TRACE"));
        let head: Methods = "HEAD".parse().unwrap();
        assert!(head.has("HEAD") && !head.has("GET"));
        assert!(!get.common(head).is_empty());
        assert_eq!(get.to_string(), "GET, HEAD");
        assert!("TRACE".parse::<Methods>().is_err() && "get".parse::<Methods>().is_err());
        assert!(KNOWN.into_iter().all(|name| Methods::ALL.has(name)));
        assert!(Methods::NONE.is_empty() && !Methods::ALL.has("CONNECT"));
    }
}
