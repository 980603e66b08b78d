//! Wire form of the device grant: RFC 8628.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::domain::Scopes;

use super::{Form, OAuthError, PresentedClient};

/// The letters of user codes: no vowels, so no words, and none that looks like another (RFC 8628
/// §6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 8;

/// A device asks to be let in.
#[derive(Debug, Clone)]
pub struct DeviceRequest {
    /// The app on it.
    pub client: PresentedClient,
    /// For what.
    pub scope: Option<Scopes>,
    /// For whom (RFC 8707).
    pub resources: Vec<String>,
}

/// Reads a request of a device.
///
/// # Errors
///
/// As the token endpoint's.
pub fn parse_device_request(
    authorization: Option<&[u8]>,
    body: &[u8],
) -> Result<DeviceRequest, OAuthError> {
    let mut form = Form::parse(body)?;
    Ok(DeviceRequest {
        client: PresentedClient::read(authorization, &mut form)?,
        scope: form.take_scope()?,
        resources: form.take_resources(),
    })
}

/// What the device is told (RFC 8628 §3.2).
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DeviceResponse {
    /// For the device alone.
    pub device_code: String,
    /// For the person, to be typed.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it, for a picture to scan.
    pub verification_uri_complete: String,
    /// Seconds until the codes are over.
    pub expires_in: u64,
    /// Seconds between two polls.
    pub interval: u64,
}

impl fmt::Debug for DeviceResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceResponse(…)")
    }
}

/// What a person types: eight letters, shown as two groups of four. Short, so it is never kept but
/// as a keyed hash, and few tries are allowed.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode(Zeroizing<String>);

/// The text is no user code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code of eight letters is wanted")]
pub struct NotAUserCode;

impl UserCode {
    /// From random bytes; `None` when they do not suffice: 16 do but once in 10^8.
    pub fn from_random(random: &[u8]) -> Option<Self> {
        // 240 is the greatest multiple of 20 in a byte: the rest would favour some letters.
        let letters: String = random
            .iter()
            .filter(|byte| **byte < 240)
            .filter_map(|byte| LETTERS.get(usize::from(byte % 20)))
            .take(LENGTH)
            .map(|letter| char::from(*letter))
            .collect();
        (letters.len() == LENGTH).then(|| Self(Zeroizing::new(letters)))
    }

    /// The letters alone.
    pub fn letters(&self) -> &str {
        &self.0
    }

    /// As it is shown: `WDJB-MJHT`.
    pub fn shown(&self) -> String {
        let (left, right) = self.0.split_at_checked(LENGTH / 2).unwrap_or_default();
        format!("{left}-{right}")
    }
}

impl FromStr for UserCode {
    type Err = NotAUserCode;

    /// People type in lower case, with a dash, a space or nothing in the middle.
    fn from_str(text: &str) -> Result<Self, NotAUserCode> {
        if text.len() > 64 {
            return Err(NotAUserCode);
        }
        let letters: String = text
            .chars()
            .filter(|letter| !matches!(letter, '-' | ' ' | '.' | '_'))
            .map(|letter| letter.to_ascii_uppercase())
            .collect();
        let fits = letters.len() == LENGTH && letters.bytes().all(|byte| LETTERS.contains(&byte));
        fits.then(|| Self(Zeroizing::new(letters)))
            .ok_or(NotAUserCode)
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_code_is_typed_in_any_way() {
        let code = UserCode::from_random(&[255, 0, 1, 2, 3, 19, 20, 239, 240, 7, 8]).unwrap();
        assert_eq!(code.shown(), "BCDF-ZBZK");
        for typed in ["bcdf-zbzk", "BCDFZBZK", " bcdf zbzk "] {
            assert_eq!(typed.parse(), Ok(code.clone()), "{typed}");
        }
        for typed in ["", "BCDF-ZBZ", "BCDF-ZBZA", "BCDF-ZBZKK", "ÄCDFZBZ"] {
            assert!(typed.parse::<UserCode>().is_err(), "{typed}");
        }
        assert!(UserCode::from_random(&[250; 16]).is_none());
        assert!(!format!("{code:?}").contains("BCDF"));
    }
}
