//! Parameters as `application/x-www-form-urlencoded`.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use crate::domain::{PlainToken, Scopes};

use super::{OAuthError, OAuthErrorCode};

/// The media type of a form.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// The most parameters a form may have: far more than any specification names.
const PARAMETERS_MAX: usize = 64;

/// The parameters of a form. A parameter without a value counts as not sent (RFC 6749 §3.2);
/// unknown ones are ignored, as the RFC wants.
pub struct Form {
    parameters: BTreeMap<String, Zeroizing<String>>,
    /// The one parameter that may come more than once (RFC 8707).
    resources: Vec<String>,
}

impl Form {
    /// Reads a form.
    ///
    /// # Errors
    ///
    /// `invalid_request` for a parameter sent twice, or for too many of them.
    pub fn parse(body: &[u8]) -> Result<Self, OAuthError> {
        let mut form = Self {
            parameters: BTreeMap::new(),
            resources: Vec::new(),
        };
        for (index, (name, value)) in form_urlencoded::parse(body).enumerate() {
            if index >= PARAMETERS_MAX {
                return Err(OAuthError::invalid_request("there are too many parameters"));
            }
            if value.is_empty() {
                continue;
            }
            if name == "resource" {
                form.resources.push(value.into_owned());
                continue;
            }
            let value = Zeroizing::new(value.into_owned());
            if form.parameters.insert(name.into_owned(), value).is_some() {
                return Err(OAuthError::invalid_request("a parameter was sent twice"));
            }
        }
        Ok(form)
    }

    /// Takes a parameter out.
    pub fn take(&mut self, name: &str) -> Option<Zeroizing<String>> {
        self.parameters.remove(name)
    }

    /// Takes a parameter out that is a secret.
    pub fn take_secret(&mut self, name: &str) -> Option<PlainToken> {
        self.take(name)
            .map(|text| PlainToken::presented(text.to_string()))
    }

    /// Takes a parameter out that must be there.
    ///
    /// # Errors
    ///
    /// `invalid_request` that names it.
    pub fn require(&mut self, name: &str) -> Result<Zeroizing<String>, OAuthError> {
        self.take(name)
            .ok_or_else(|| OAuthError::invalid_request(format!("`{name}` is missing")))
    }

    /// Takes a secret out that must be there.
    ///
    /// # Errors
    ///
    /// `invalid_request` that names it.
    pub fn require_secret(&mut self, name: &str) -> Result<PlainToken, OAuthError> {
        self.require(name)
            .map(|text| PlainToken::presented(text.to_string()))
    }

    /// Takes `scope` out.
    ///
    /// # Errors
    ///
    /// `invalid_scope` when it is no list of scopes.
    pub fn take_scope(&mut self) -> Result<Option<Scopes>, OAuthError> {
        self.take("scope")
            .map(|text| {
                Scopes::parse(&text).map_err(|_| {
                    OAuthError::new(
                        OAuthErrorCode::InvalidScope,
                        "`scope` is not a list of scopes",
                    )
                })
            })
            .transpose()
    }

    /// Takes every `resource` out, in the order they were sent.
    pub fn take_resources(&mut self) -> Vec<String> {
        std::mem::take(&mut self.resources)
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Form")
            .field(&self.parameters.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_gives_each_parameter_once_and_shows_no_value() {
        let mut form = Form::parse(b"code=s3cret&scope=b+a&resource=x&resource=y&empty=").unwrap();
        assert!(!format!("{form:?}").contains("s3cret"));
        assert_eq!(form.require_secret("code").unwrap().expose(), "s3cret");
        let missing = form.require("code").unwrap_err();
        assert!(missing.error_description.contains("`code`"));
        assert!(form.take("empty").is_none());
        assert_eq!(form.take_scope().unwrap().unwrap().to_string(), "a b");
        assert_eq!(form.take_resources(), ["x", "y"]);
    }

    #[test]
    fn a_parameter_twice_and_a_flood_of_them_are_refused() {
        assert!(Form::parse(b"a=1&a=1").is_err());
        let flood = (0..65).fold(String::new(), |text, n| format!("{text}p{n}=1&"));
        assert!(Form::parse(flood.as_bytes()).is_err());
    }
}
