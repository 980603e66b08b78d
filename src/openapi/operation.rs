//! One operation: what is asked, by whom, and every answer.

use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};

/// Makes a schema, and what it refers to.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of a type.
pub(super) fn of<T: JsonSchema>() -> SchemaOf {
    |generator| generator.subschema_for::<T>()
}

/// The media type of JSON.
pub(super) const JSON: &str = "application/json";
/// The media type of forms.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// An answer that is no problem.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) about: &'static str,
    /// Its bodies by media type; none is no body.
    pub(super) bodies: Vec<(&'static str, SchemaOf)>,
    /// Names of headers of the document's table.
    pub(super) headers: Vec<&'static str>,
}

/// A header that a request may bring: name, what it is, schema.
pub(super) type Brought = (&'static str, &'static str, SchemaOf);

/// An operation.
#[derive(Clone)]
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: Option<&'static str>,
    /// Ways to authenticate, each enough; an empty name is without.
    pub(super) security: &'static [&'static str],
    /// Query parameters, as the fields of an object.
    pub(super) query: Option<SchemaOf>,
    pub(super) brought: Vec<Brought>,
    /// Bodies by media type, and whether there must be one.
    pub(super) body: Option<(&'static str, SchemaOf, bool)>,
    pub(super) answers: Vec<Answer>,
    /// Statuses that are answered with a problem.
    pub(super) problems: Vec<u16>,
}

impl Operation {
    pub(super) fn new(
        method: Method,
        path: impl Into<String>,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path: path.into(),
            id,
            summary,
            description: None,
            security: &[],
            query: None,
            brought: Vec::new(),
            body: None,
            answers: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Says more.
    pub(super) fn about(mut self, description: &'static str) -> Self {
        self.description = Some(description);
        self
    }

    /// Who may ask: names of security schemes, each enough.
    pub(super) fn secured(mut self, schemes: &'static [&'static str]) -> Self {
        self.security = schemes;
        self
    }

    /// Query parameters: the fields of `T`.
    pub(super) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(T::json_schema);
        self
    }

    /// Query parameters: the fields of an object.
    pub(super) fn queried(mut self, schema: SchemaOf) -> Self {
        self.query = Some(schema);
        self
    }

    /// Headers that a request may bring.
    pub(super) fn bringing(mut self, headers: &[Brought]) -> Self {
        self.brought.extend_from_slice(headers);
        self
    }

    /// The body that is wanted.
    pub(super) fn wants(mut self, media: &'static str, schema: SchemaOf) -> Self {
        self.body = Some((media, schema, true));
        self
    }

    /// An answer with a JSON body.
    pub(super) fn shows(self, status: u16, about: &'static str, schema: SchemaOf) -> Self {
        self.answers(status, about, vec![(JSON, schema)])
    }

    /// An answer without a body.
    pub(super) fn says(self, status: u16, about: &'static str) -> Self {
        self.answers(status, about, Vec::new())
    }

    /// An answer with a body of one of several media types.
    pub(super) fn answers(
        mut self,
        status: u16,
        about: &'static str,
        bodies: Vec<(&'static str, SchemaOf)>,
    ) -> Self {
        self.answers.push(Answer {
            status,
            about,
            bodies,
            headers: Vec::new(),
        });
        self
    }

    /// Headers of the answer that was described last.
    pub(super) fn with(mut self, headers: &[&'static str]) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.extend_from_slice(headers);
        }
        self
    }

    /// Statuses that are answered with a problem.
    pub(super) fn may(mut self, statuses: &[u16]) -> Self {
        self.problems.extend_from_slice(statuses);
        self
    }
}
