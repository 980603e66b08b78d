//! The parameters of a query or a form, before anything is made of them.

use std::collections::BTreeMap;
use std::fmt;

/// The most bytes of a query or a form that are read.
const BYTES_MAX: usize = 16 * 1024;
/// The most parameters that are read.
const PARAMETERS_MAX: usize = 64;

/// The parameters of a query or a form, as sent. A parameter without a value counts as not sent
/// (RFC 6749 §3.1).
#[derive(Clone, Default)]
pub struct Parameters {
    values: BTreeMap<String, Vec<String>>,
}

/// There are more parameters, or longer ones, than any request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request is too large")]
pub struct TooLarge;

/// A parameter came more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a parameter was sent twice")]
pub struct Repeated;

impl Parameters {
    /// Reads a query or a form.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub fn parse(text: &[u8]) -> Result<Self, TooLarge> {
        if text.len() > BYTES_MAX {
            return Err(TooLarge);
        }
        let mut parameters = Self::default();
        for (count, (name, value)) in form_urlencoded::parse(text).enumerate() {
            if count == PARAMETERS_MAX {
                return Err(TooLarge);
            }
            if !value.is_empty() {
                let values = parameters.values.entry(name.into_owned()).or_default();
                values.push(value.into_owned());
            }
        }
        Ok(parameters)
    }

    /// The parameter, if it came.
    ///
    /// # Errors
    ///
    /// [`Repeated`].
    pub fn one(&self, name: &str) -> Result<Option<&str>, Repeated> {
        match self.values.get(name).map(Vec::as_slice) {
            None => Ok(None),
            Some([one]) => Ok(Some(one)),
            Some(_) => Err(Repeated),
        }
    }

    /// The parameter if it came once: what is told apart from a repeated one elsewhere.
    pub fn sole(&self, name: &str) -> Option<&str> {
        self.one(name).ok().flatten()
    }

    /// Every value of a parameter that may come more than once.
    pub fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether the parameter came, however often.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Whether a parameter came twice that may not: every one but `resource`.
    pub fn any_repeated(&self) -> bool {
        let twice =
            |(name, values): (&String, &Vec<String>)| name != "resource" && values.len() > 1;
        self.values.iter().any(twice)
    }
}

/// Names only: values may be secrets of the client or of a person.
impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}
