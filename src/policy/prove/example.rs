//! A request that tells two sets of policies apart: from the solver's model to Doorward's own terms,
//! to words, and back to the evaluator.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use cedar_policy::{Entity, EntityUid};
use cedar_policy_symcc::Env;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::super::engine::Engine;
use super::super::evaluate::{Evaluation, Question, Resource};
use crate::domain::{OrganizationId, PermissionKey, RoleId, RoleKey, Timestamp, UserId};

/// A request, with all that bears on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// It in a sentence.
    pub words: String,
    /// The organization of the membership.
    pub organization: OrganizationId,
    /// The user.
    pub user: UserId,
    /// The roles held.
    pub roles: Vec<RoleKey>,
    /// The permission asked for.
    pub permission: PermissionKey,
    /// The resource's id.
    pub resource_id: String,
    /// The organization that the resource is in.
    pub resource_organization: OrganizationId,
    /// What is said of the resource.
    pub resource_properties: Map<String, Value>,
    /// What is said of the subject.
    pub subject_properties: Map<String, Value>,
    /// What is said of the action.
    pub action_properties: Map<String, Value>,
    /// The circumstances.
    pub context: Map<String, Value>,
    /// The time.
    pub now: Option<Timestamp>,
    /// Policies behind the answers, filled when it was put to the evaluator.
    pub decided_by: Vec<String>,
    #[serde(skip)]
    names: Names,
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Example {
    /// Reads the solver's model.
    ///
    /// # Errors
    ///
    /// What of it is no request of Doorward's.
    pub(super) fn of(
        env: &Env,
        permission: &PermissionKey,
        known: impl Fn(&RoleKey) -> bool,
    ) -> Result<Self, String> {
        let mut names = Names::default();
        let missing = |what: &str| format!("the solver's example has no {what}");
        let principal = env
            .request
            .principal()
            .and_then(|uid| env.entities.get(uid))
            .ok_or_else(|| missing("member"))?;
        let subject = attributes_of(principal, &mut names)?;
        let id_of = |attribute: &str| {
            principal
                .attr(attribute)
                .and_then(Result::ok)
                .and_then(|value| match value {
                    cedar_policy::EvalResult::EntityUid(uid) => {
                        Some(uid.id().unescaped().to_owned())
                    }
                    _ => None,
                })
                .ok_or_else(|| missing(attribute))
        };
        let own = id_of("organization")?;
        let organization = names.organization(&own);
        let user = names.user(&id_of("user")?);
        let mut roles: Vec<RoleKey> = ancestors(env, &principal.uid(), "Role")
            .filter_map(|uid| uid.id().unescaped().parse().ok())
            .filter(known)
            .collect();
        roles.sort();
        let resource = env.request.resource().ok_or_else(|| missing("resource"))?;
        let properties = match env.entities.get(resource) {
            Some(entity) => attributes_of(entity, &mut names)?,
            None => Map::new(),
        };
        let inside: Vec<String> = ancestors(env, resource, "Organization")
            .map(|uid| uid.id().unescaped().to_owned())
            .collect();
        // In one, as is taken for granted of those that policies name; of any others it does not
        // matter which.
        let home = inside
            .iter()
            .find(|id| **id == own || Uuid::parse_str(id).is_ok())
            .or(inside.first());
        let resource_organization = match home {
            Some(id) => names.organization(id),
            None => names.fresh_organization(),
        };
        let context = env
            .request
            .context()
            .map(cedar_policy::Context::to_json_value);
        let mut context = match context {
            Some(Ok(Value::Object(fields))) => plain_fields(fields, &mut names)?,
            _ => Map::new(),
        };
        let action = match context.remove("action") {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let now = match context.remove("now") {
            Some(Value::String(text)) => {
                Some(text.parse().map_err(|error| format!("`{text}`: {error}"))?)
            }
            _ => None,
        };
        let mut example = Self {
            words: String::new(),
            organization,
            user,
            roles,
            permission: permission.clone(),
            resource_id: resource.id().unescaped().to_owned(),
            resource_organization,
            resource_properties: properties,
            subject_properties: subject,
            action_properties: action,
            context,
            now,
            decided_by: Vec::new(),
            names,
        };
        example.words = example.sentence();
        Ok(example)
    }

    /// The same without what does not matter: solvers fill in whatever they like. `tells` says
    /// whether an example is still one.
    pub(super) fn shrunk(self, tells: impl Fn(&Self) -> bool) -> Self {
        let mut example = self;
        let mut place = 0;
        while place < example.roles.len() {
            let mut less = example.clone();
            less.roles.remove(place);
            example.take(less, &tells, &mut place);
        }
        for fields in [
            (|example| &mut example.resource_properties)
                as fn(&mut Self) -> &mut Map<String, Value>,
            |example| &mut example.subject_properties,
            |example| &mut example.action_properties,
            |example| &mut example.context,
        ] {
            let names: Vec<String> = fields(&mut example).keys().cloned().collect();
            for name in names {
                let mut less = example.clone();
                fields(&mut less).remove(&name);
                example.take(less, &tells, &mut 0);
                let mut element = 0;
                while let Some(Value::Array(values)) = fields(&mut example).get(&name)
                    && element < values.len()
                {
                    let mut less = example.clone();
                    if let Some(Value::Array(values)) = fields(&mut less).get_mut(&name) {
                        values.remove(element);
                    }
                    example.take(less, &tells, &mut element);
                }
            }
        }
        example.words = example.sentence();
        example
    }

    /// Becomes `less`, if that tells as much; else goes on to the next place.
    fn take(&mut self, less: Self, tells: &impl Fn(&Self) -> bool, place: &mut usize) {
        if tells(&less) {
            *self = less;
        } else {
            *place += 1;
        }
    }

    /// What the evaluator says to it, under an engine's policies.
    pub fn evaluate(&self, engine: &Engine) -> Option<Evaluation> {
        let action = engine.permission(&self.permission)?;
        let roles: Vec<RoleId> = engine
            .compiled
            .roles
            .iter()
            .filter(|role| self.roles.contains(&role.key))
            .map(|role| role.id)
            .collect();
        let resource_type = format!("{}:{}", self.permission.service, self.permission.resource);
        Some(engine.evaluate(&Question {
            organization: self.organization,
            user: self.user,
            roles: &roles,
            action,
            resource: Resource {
                resource_type: &resource_type,
                id: &self.resource_id,
                organization: Some(self.resource_organization),
                properties: Some(&self.resource_properties),
            },
            subject_properties: Some(&self.subject_properties),
            action_properties: Some(&self.action_properties),
            context: Some(&self.context),
            now: self.now,
        }))
    }

    fn sentence(&self) -> String {
        let names = &self.names;
        let mut text = format!(
            "{}, a member of {}",
            names.of_user(self.user),
            names.of_organization(self.organization)
        );
        match self.roles.as_slice() {
            [] => text.push_str(" without any role"),
            roles => {
                let listed: Vec<String> = roles.iter().map(|role| format!("`{role}`")).collect();
                _ = write!(text, " who holds {}", listed.join(", "));
            }
        }
        said(
            &mut text,
            "of whom is said",
            &self.subject_properties,
            names,
        );
        _ = write!(
            text,
            ", asks for `{}` on the {} `{}`",
            self.permission,
            self.permission.resource,
            self.resource_id.escape_debug()
        );
        let place = if self.resource_organization == self.organization {
            "of that organization".to_owned()
        } else {
            format!("of {}", names.of_organization(self.resource_organization))
        };
        _ = write!(text, " {place}");
        said(
            &mut text,
            "of which is said",
            &self.resource_properties,
            names,
        );
        said(
            &mut text,
            "with the action's",
            &self.action_properties,
            names,
        );
        said(&mut text, "in the context of", &self.context, names);
        if let Some(now) = self.now {
            _ = write!(text, ", at {now}");
        }
        text
    }
}

/// `, of which is said tier: "production"`; nothing, if nothing is.
fn said(text: &mut String, how: &str, fields: &Map<String, Value>, names: &Names) {
    for (place, (name, value)) in fields.iter().enumerate() {
        let lead = if place == 0 {
            format!(", {how} ")
        } else {
            ", ".to_owned()
        };
        _ = write!(text, "{lead}{name}: {}", names.in_words(value));
    }
}

fn ancestors<'a>(
    env: &'a Env,
    uid: &EntityUid,
    type_name: &'static str,
) -> impl Iterator<Item = &'a EntityUid> {
    env.entities
        .ancestors(uid)
        .into_iter()
        .flatten()
        .filter(move |uid| uid.type_name().to_string() == type_name)
}

/// The declared attributes of an entity, as a caller would send them.
fn attributes_of(entity: &Entity, names: &mut Names) -> Result<Map<String, Value>, String> {
    let json = entity.to_json_value().map_err(|error| error.to_string())?;
    let Some(Value::Object(mut fields)) = json.get("attrs").cloned() else {
        return Ok(Map::new());
    };
    if entity.uid().type_name().to_string() == "Membership" {
        fields.remove("organization");
        fields.remove("user");
    }
    plain_fields(fields, names)
}

fn plain_fields(
    fields: Map<String, Value>,
    names: &mut Names,
) -> Result<Map<String, Value>, String> {
    fields
        .into_iter()
        .map(|(name, value)| Ok((name, plain(value, names)?)))
        .collect()
}

/// Cedar's JSON of a value as plain JSON.
fn plain(value: Value, names: &mut Names) -> Result<Value, String> {
    Ok(match value {
        Value::Array(values) => Value::Array(
            values
                .into_iter()
                .map(|value| plain(value, names))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(mut fields) => {
            if let Some(entity) = fields.get("__entity") {
                let id = entity.get("id").and_then(Value::as_str).unwrap_or_default();
                return Ok(names.user_text(id).into());
            }
            match fields.remove("__extn") {
                Some(extension) => extended(&extension)?.into(),
                None => Value::Object(plain_fields(fields, names)?),
            }
        }
        other => other,
    })
}

/// The text of a value of one of Cedar's extensions. Times come as a distance from another one.
fn extended(extension: &Value) -> Result<String, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(found) = extension.get("arg").and_then(text) {
        return Ok(found);
    }
    let unreadable = || format!("the value {extension} of the solver's example is not understood");
    let arguments = extension
        .get("args")
        .and_then(Value::as_array)
        .ok_or_else(unreadable)?;
    let inner = |place: usize| arguments.get(place)?.get("__extn")?.get("arg")?.as_str();
    match (extension.get("fn").and_then(Value::as_str), arguments.len()) {
        (_, 1) => arguments.first().and_then(text).ok_or_else(unreadable),
        (Some("offset"), 2) => {
            let (from, by) = inner(0).zip(inner(1)).ok_or_else(unreadable)?;
            let from = if from.contains('T') {
                from.to_owned()
            } else {
                format!("{from}T00:00:00Z")
            };
            let from: Timestamp = from.parse().map_err(|_| unreadable())?;
            let by: i64 = by
                .strip_suffix("ms")
                .and_then(|number| number.parse().ok())
                .ok_or_else(unreadable)?;
            let micros = by
                .checked_mul(1000)
                .and_then(|by| from.unix_micros().checked_add(by))
                .ok_or_else(unreadable)?;
            Ok(format!("{:.3}", Timestamp::from_unix_micros(micros)))
        }
        _ => Err(unreadable()),
    }
}

/// The solver's ids as ids of Doorward, each the same wherever it stands. One that is a UUID already
/// stood in a policy and is kept.
#[derive(Debug, Clone, Default, PartialEq)]
struct Names {
    organizations: BTreeMap<String, OrganizationId>,
    users: BTreeMap<String, UserId>,
}

impl Names {
    fn organization(&mut self, id: &str) -> OrganizationId {
        let next = numbered(self.organizations.len());
        *self
            .organizations
            .entry(id.to_owned())
            .or_insert_with(|| OrganizationId::from_uuid(Uuid::parse_str(id).unwrap_or(next)))
    }

    fn fresh_organization(&mut self) -> OrganizationId {
        // No organization's id has a slash.
        self.organization("/")
    }

    fn user(&mut self, id: &str) -> UserId {
        let next = numbered(self.users.len());
        *self
            .users
            .entry(id.to_owned())
            .or_insert_with(|| UserId::from_uuid(Uuid::parse_str(id).unwrap_or(next)))
    }

    fn user_text(&mut self, id: &str) -> String {
        self.user(id).to_string()
    }

    fn of_organization(&self, id: OrganizationId) -> String {
        let place = (0..self.organizations.len()).find(|place| numbered(*place) == id.as_uuid());
        match place.and_then(|place| u8::try_from(place).ok()) {
            Some(place @ 0..26) => format!("organization {}", char::from(b'A' + place)),
            _ => format!("the organization {id}"),
        }
    }

    fn of_user(&self, id: UserId) -> String {
        match (0..self.users.len()).find(|place| numbered(*place) == id.as_uuid()) {
            Some(place) => format!("user {}", place + 1),
            None => format!("the user {id}"),
        }
    }

    fn in_words(&self, value: &Value) -> String {
        match value {
            Value::String(text) => match text.parse::<UserId>() {
                Ok(user) if self.users.values().any(|known| *known == user) => self.of_user(user),
                _ => value.to_string(),
            },
            Value::Array(values) => {
                let listed: Vec<String> = values.iter().map(|value| self.in_words(value)).collect();
                format!("[{}]", listed.join(", "))
            }
            _ => value.to_string(),
        }
    }
}

fn numbered(place: usize) -> Uuid {
    Uuid::from_u128(place as u128 + 1)
}
