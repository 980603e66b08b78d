//! What changing a registration would do.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::AppDocument;
use crate::domain::app::{AppSpec, ClientSource};
use crate::domain::{ClientIdentifier, FreshnessToken, Timestamp};

/// What becomes of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum AppAction {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is as it shall be.
    None,
}

/// One field of a registration, before and after; `null` where it is not set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct FieldChange {
    /// The field.
    pub field: String,
    /// As it is.
    pub before: Value,
    /// As it shall be.
    pub after: Value,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (Value::Null, after) => write!(f, "{}: {after}", self.field),
            (before, Value::Null) => write!(f, "{}: {before} -> none", self.field),
            (before, after) => write!(f, "{}: {before} -> {after}", self.field),
        }
    }
}

/// `PUT /v1/clients/{client_id}?dry_run=true`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AppPlan {
    /// Which client.
    pub client_id: ClientIdentifier,
    /// What becomes of it.
    pub action: AppAction,
    /// What changes.
    pub changes: Vec<FieldChange>,
    /// Whether a secret will be made, and shown once.
    pub new_secret: bool,
    /// Names this very plan: `?plan=` carries out no other.
    pub plan_hash: String,
}

/// `PUT /v1/clients/{client_id}`
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AppApplied {
    /// What was done.
    #[serde(flatten)]
    pub plan: AppPlan,
    /// Its secret, shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// To ask a sidecar for answers that know of this.
    pub freshness: FreshnessToken,
}

impl fmt::Debug for AppApplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppApplied")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// `GET /v1/clients/{client_id}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AppView {
    /// Its public name.
    pub client_id: ClientIdentifier,
    /// `active` or `retired`.
    pub state: String,
    /// Who may change it.
    pub source: ClientSource,
    /// How it differs from what its source says now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Its registration.
    pub registration: AppDocument,
}

fn fields(spec: &AppSpec) -> Map<String, Value> {
    match serde_json::to_value(AppDocument::from(spec)) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => Map::new(),
    }
}

/// What differs between two registrations, by field.
pub fn changes(before: Option<&AppSpec>, after: &AppSpec) -> Vec<FieldChange> {
    differences(&before.map(fields).unwrap_or_default(), &fields(after))
}

/// What differs between two declarations, by field.
pub fn differences(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<FieldChange> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let value =
        |fields: &Map<String, Value>, name: &str| fields.get(name).cloned().unwrap_or(Value::Null);
    names
        .into_iter()
        .map(|name| FieldChange {
            field: name.clone(),
            before: value(before, name),
            after: value(after, name),
        })
        .filter(|change| change.before != change.after)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_a_change() {
        let read = |text: &str| {
            let document: AppDocument = serde_json::from_str(text).unwrap();
            document.check(&"board".parse().unwrap()).unwrap()
        };
        let before = read(r#"{"redirect_uris": ["https://a.example/"], "first_party": true}"#);
        let after = read(
            r#"{"redirect_uris": ["https://a.example/", "https://b.example/"], "name": "Board",
                "first_party": true, "logo_uri": "https://a.example/logo.png"}"#,
        );
        let changed: Vec<String> = changes(Some(&before), &after)
            .into_iter()
            .map(|change| change.field)
            .collect();
        assert_eq!(changed, ["logo_uri", "name", "redirect_uris"]);
        assert!(changes(Some(&after), &after).is_empty());
        assert!(changes(None, &after).len() > 10);
    }
}
