//! What changing a provider would do.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::ProviderDocument;
use crate::domain::Timestamp;
use crate::domain::provider::{ProviderSource, ProviderSpec};
use crate::domain::user::Provider;
use crate::protocol::clients::{FieldChange, differences};

/// What becomes of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ProviderAction {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is as it shall be.
    None,
}

/// What becomes of our secret at a provider. Neither the old nor the new one is ever told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SecretChange {
    /// It stays as it is.
    Kept,
    /// There is one from now on, or another one.
    Set,
    /// There is none any more.
    Removed,
}

/// `PUT /v1/providers/{provider}?dry_run=true`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ProviderPlan {
    /// Which provider.
    pub provider: Provider,
    /// What becomes of it.
    pub action: ProviderAction,
    /// What changes.
    pub changes: Vec<FieldChange>,
    /// What becomes of our secret there.
    pub client_secret: SecretChange,
    /// Who else it belongs to: the plan tells how it differs, and is not carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<ProviderSource>,
    /// Names this very plan: `?plan=` carries out no other.
    pub plan_hash: String,
}

/// `PUT /v1/providers/{provider}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ProviderApplied {
    /// What was done.
    #[serde(flatten)]
    pub plan: ProviderPlan,
    /// What to register at the provider as the place to come back to.
    pub redirect_uri: String,
}

/// `GET /v1/providers/{provider}`, and each item of the list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ProviderView {
    /// Its name.
    pub provider: Provider,
    /// `active` or `retired`.
    pub state: String,
    /// Who may change it.
    pub source: ProviderSource,
    /// How it differs from what its source says now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<String>,
    /// Whether we have a secret there.
    pub has_secret: bool,
    /// What to register at the provider as the place to come back to.
    pub redirect_uri: String,
    /// How many accounts are known by it; in the view of one provider only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<i64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// What is declared.
    pub declaration: ProviderDocument,
}

/// A provider beside what is declared: who declared it, and whether it counts.
type Standing<'a> = (&'a ProviderSpec, ProviderSource, &'static str);

fn fields((spec, source, state): Standing<'_>) -> Map<String, Value> {
    match serde_json::to_value(ProviderDocument::from(spec)) {
        Ok(Value::Object(mut fields)) => {
            fields.insert("source".to_owned(), json!(source));
            fields.insert("state".to_owned(), json!(state));
            fields
        }
        Ok(_) | Err(_) => Map::new(),
    }
}

/// What differs between two states of a provider, by field.
pub fn changes(before: Option<Standing<'_>>, after: Standing<'_>) -> Vec<FieldChange> {
    differences(&before.map(fields).unwrap_or_default(), &fields(after))
}
