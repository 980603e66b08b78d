//! Wire form: initial access tokens, by which clients register themselves.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::registration::RegistrationPolicy;
use crate::domain::{RegistrationTokenId, Timestamp};

/// `POST /v1/registration-tokens`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateRegistrationToken {
    /// A name for people.
    pub name: String,
    /// How many clients may register with it: 1 to 1000; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// For how long: a minute to 365 days; 7 days if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u32>,
    /// What they may be.
    pub policy: RegistrationPolicy,
}

/// An initial access token as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RegistrationTokenView {
    /// Its id.
    pub id: RegistrationTokenId,
    /// A name for people.
    pub name: String,
    /// How many clients may still register with it.
    pub uses_left: i64,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// It registers nobody from then on.
    pub expires_at: Timestamp,
    /// What clients may be; absent if a newer program wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<RegistrationPolicy>,
}

/// A new token, shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CreatedRegistrationToken {
    /// What it is.
    #[serde(flatten)]
    pub view: RegistrationTokenView,
    /// The token: an `Authorization: Bearer` of registrations.
    pub token: String,
}

impl fmt::Debug for CreatedRegistrationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedRegistrationToken")
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}
