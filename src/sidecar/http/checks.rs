//! Checks: bytes in, bytes out. No I/O but a member's read on a miss.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::{DecisionId, Freshness, ServiceName, UserId};
use crate::protocol::authzen::{
    Answer, Batch, ItemError, Reason, Request, RequestError, parse_evaluation, resolve,
};
use crate::sidecar::decide::{
    Check, Named, Outcome, Properties, Worker, decide, explain, place, plain, understand,
};
use crate::sidecar::decision_log::{Asker, Record};
use crate::sidecar::view::{State, View};
use crate::sidecar::why::Why;

/// On which terms a request wants its answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'a> {
    /// Deny when staler than this, or when staleness is unknown.
    pub max_staleness: Option<Duration>,
    /// The revision asked for was not reached.
    pub unreached: Option<Why>,
    /// Say why.
    pub explain: bool,
    /// The services whose resources the caller may ask about; `None` is all.
    pub services: Option<&'a [ServiceName]>,
    /// Who asks, for the decision log.
    pub asker: Asker<'a>,
}

/// What was asked, in the asker's words, for the decision log.
#[derive(Clone, Copy)]
struct Words<'a> {
    subject: (&'a str, &'a str),
    action: &'a str,
    resource: (&'a str, &'a str),
    context: Option<&'a RawValue>,
}

impl<'a> Words<'a> {
    const fn of(request: &Request<'a>) -> Self {
        Self {
            subject: (request.subject.kind, request.subject.id),
            action: request.action.name,
            resource: (request.resource.kind, request.resource.id),
            context: request.context,
        }
    }
}

impl Terms<'_> {
    /// Why nothing may be allowed by facts of this freshness, if so.
    pub(super) fn bars(&self, freshness: Freshness) -> Option<Why> {
        let too_old = self
            .max_staleness
            .is_some_and(|most| freshness.staleness.is_none_or(|staleness| staleness > most));
        self.unreached.or(too_old.then_some(Why::Stale))
    }

    /// Whether the caller may ask about resources of this type.
    ///
    /// # Errors
    ///
    /// [`RequestError::NotEntitled`].
    pub(super) fn admit(&self, resource_type: &str) -> Result<(), RequestError> {
        let Some(services) = self.services else {
            return Ok(());
        };
        let service = resource_type.split(':').next().unwrap_or_default();
        if services.iter().any(|own| own.as_str() == service) {
            return Ok(());
        }
        Err(RequestError::NotEntitled {
            service: service.chars().take(60).collect(),
        })
    }
}

/// One load of everything that answers of a request share.
struct Asking<'s> {
    state: &'s State,
    view: &'s View,
    freshness: Freshness,
    /// Set when nothing may be allowed.
    barred: Option<Why>,
    terms: &'s Terms<'s>,
}

impl<'s> Asking<'s> {
    fn new(
        state: &'s State,
        view: &'s View,
        staleness: Option<Duration>,
        terms: &'s Terms<'s>,
    ) -> Self {
        let freshness = Freshness {
            revision: view.revision(),
            staleness,
        };
        Self {
            state,
            view,
            freshness,
            barred: terms.bars(freshness),
            terms,
        }
    }

    /// Answers one question into `out`.
    fn answer(
        &self,
        worker: &mut Worker,
        check: Result<Check<'_>, Why>,
        words: Words<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, RequestError> {
        let check = match self.barred {
            Some(why) => Err(why),
            None => check,
        };
        let outcome = match &check {
            Ok(check) => decide(self.state, self.view, worker, check)?,
            Err(why) => Outcome::deny(*why),
        };
        if outcome.why != Why::Overtaken {
            worker.counts.count(outcome);
            if let (Some(recent), Ok(check)) = (&mut worker.recent, &check) {
                recent.note(check, outcome);
            }
        }
        let explanation = if self.terms.explain {
            let value = match &check {
                Ok(check) => explain(self.state, self.view, worker, check)?,
                Err(why) => plain(*why),
            };
            // Facts changed between the two: neither is wrong, and they do not belong together.
            if value.get("allowed").and_then(Value::as_bool) != Some(outcome.decision.is_allow()) {
                worker.overtaken = true;
            }
            raw(&value)
        } else {
            None
        };
        let id = self.note(worker, outcome, Some((check.as_ref().ok(), words)));
        self.write(outcome, id, None, explanation.as_deref(), out);
        Ok(outcome)
    }

    /// Notes a decision for the log; `asked` is what could be read of the question.
    fn note(
        &self,
        worker: &mut Worker,
        outcome: Outcome,
        asked: Option<(Option<&Check<'_>>, Words<'_>)>,
    ) -> Option<DecisionId> {
        let held = worker.held;
        let log = worker.log.as_mut()?;
        let (check, words) = asked.map_or((None, None), |(check, words)| (check, Some(words)));
        // Who a user is says more than how a request named them.
        let unread = if check.is_none() { words } else { None };
        let mapping = &self.state.mapping;
        let kind = words.map(|words| mapping.resource_type(words.resource.0));
        log.note(outcome.decision.is_allow(), || Record {
            at: self.state.clock().now().unix_micros(),
            asker: self.terms.asker,
            reason: outcome.why.code(),
            revision: Some(self.freshness.revision.get()),
            staleness_ms: self.freshness.staleness_ms(),
            user: check.map(|check| check.user.as_u128().to_be_bytes()),
            subject_type: unread.map(|words| words.subject.0),
            subject_id: unread.map(|words| words.subject.1),
            action: words.map(|words| mapping.action(words.action)),
            resource_type: kind.as_deref(),
            resource_id: words.map(|words| words.resource.1),
            organization: check.map(|check| check.organization.as_u128().to_be_bytes()),
            roles: check
                .and(held)
                .and_then(|set| u32::try_from(set.index()).ok()),
            context: words.and_then(|words| words.context).map(RawValue::get),
            ..Record::default()
        })
    }

    /// Answers an item that cannot be asked.
    fn spoiled(&self, worker: &mut Worker, error: &RequestError, out: &mut Vec<u8>) -> Outcome {
        let outcome = Outcome::deny(Why::BadItem);
        worker.counts.count(outcome);
        let message = error.to_string();
        let error = ItemError {
            status: error.status(),
            message: &message,
        };
        let id = self.note(worker, outcome, None);
        self.write(outcome, id, Some(error), None, out);
        outcome
    }

    fn write(
        &self,
        outcome: Outcome,
        id: Option<DecisionId>,
        error: Option<ItemError<'_>>,
        explanation: Option<&RawValue>,
        out: &mut Vec<u8>,
    ) {
        let told = outcome.why.is_told() || (self.terms.explain && error.is_none());
        Answer {
            decision: outcome.decision,
            freshness: self.freshness,
            id,
            reason: told.then_some(Reason {
                code: outcome.why.code(),
                message: outcome.why.message(),
            }),
            error,
            explanation,
        }
        .write(out);
    }

    fn request(
        &self,
        worker: &mut Worker,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, RequestError> {
        self.terms
            .admit(&self.state.mapping.resource_type(request.resource.kind))?;
        let check = understand(self.state, self.view, worker, request)?;
        self.answer(worker, check, Words::of(request), out)
    }
}

/// How often a question is asked when policies change under it.
pub(super) const ATTEMPTS: usize = 4;

/// Asks with the newest view, and again while policies change under the question: facts of one
/// revision are never put to policies of another.
fn asked(
    state: &State,
    worker: &mut Worker,
    terms: &Terms<'_>,
    ask: impl FnMut(&Asking<'_>, &mut Worker) -> Result<Vec<u8>, RequestError>,
) -> Result<Vec<u8>, RequestError> {
    let answered = unfinished(state, worker, terms, ask);
    // Of what is refused nothing was decided.
    if answered.is_ok() {
        worker.finish();
    }
    answered
}

/// As [`asked`], but what was noted for the decision log is not handed over yet.
fn unfinished<T>(
    state: &State,
    worker: &mut Worker,
    terms: &Terms<'_>,
    mut ask: impl FnMut(&Asking<'_>, &mut Worker) -> Result<T, RequestError>,
) -> Result<T, RequestError> {
    let mut left = ATTEMPTS;
    loop {
        let staleness = state.staleness();
        let view = state.view();
        worker.begin();
        let answered = ask(&Asking::new(state, &view, staleness, terms), worker);
        left -= 1;
        if worker.overtaken && left > 0 && state.overtakes(&view) {
            continue;
        }
        if worker.overtaken {
            worker.counts.count(Outcome::deny(Why::Overtaken));
        }
        return answered;
    }
}

fn raw(value: &Value) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(value).ok()
}

/// Answers `POST /access/v1/evaluation`.
///
/// # Errors
///
/// [`RequestError`], HTTP 400.
pub fn evaluation(
    state: &State,
    worker: &mut Worker,
    terms: &Terms<'_>,
    body: &[u8],
) -> Result<Vec<u8>, RequestError> {
    let evaluation = parse_evaluation(body)?;
    let request = evaluation.complete()?;
    asked(state, worker, terms, |asking, worker| {
        let mut out = Vec::with_capacity(Answer::SIZE);
        asking.request(worker, &request, &mut out)?;
        Ok(out)
    })
}

/// Answers an evaluation that is watched, as [`evaluation`] does, and says what came out. The caller
/// finishes with the worker: an answer that is no news is no record either.
pub(in crate::sidecar) fn watched(
    state: &State,
    worker: &mut Worker,
    terms: &Terms<'_>,
    body: &[u8],
) -> Result<(Outcome, Vec<u8>), RequestError> {
    let evaluation = parse_evaluation(body)?;
    let request = evaluation.complete()?;
    unfinished(state, worker, terms, |asking, worker| {
        let mut out = Vec::with_capacity(Answer::SIZE);
        let outcome = asking.request(worker, &request, &mut out)?;
        Ok((outcome, out))
    })
}

/// Answers `POST /access/v1/evaluations`: all items from one view.
///
/// # Errors
///
/// [`RequestError`], HTTP 400, for what spoils the whole batch.
pub fn evaluations(
    state: &State,
    worker: &mut Worker,
    terms: &Terms<'_>,
    body: &[u8],
) -> Result<Vec<u8>, RequestError> {
    let batch = Batch::parse(body)?;
    asked(state, worker, terms, |asking, worker| {
        if batch.is_empty() {
            let mut out = Vec::with_capacity(Answer::SIZE);
            asking.request(worker, &batch.defaults.complete()?, &mut out)?;
            return Ok(out);
        }
        Ok(items(asking, worker, &batch))
    })
}

fn items(asking: &Asking<'_>, worker: &mut Worker, batch: &Batch<'_>) -> Vec<u8> {
    let fill = asking.state.mapping.fill_missing_from_defaults;
    let mut out = Vec::with_capacity(32 + batch.len() * Answer::SIZE);
    out.extend_from_slice(br#"{"evaluations":["#);
    for (place, item) in batch.items().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        // An answer that fails half-way must leave nothing behind.
        let start = out.len();
        let answered = item.and_then(|item| {
            let request = resolve(&batch.defaults, &item, fill)?;
            asking.request(worker, &request, &mut out)
        });
        let outcome = answered.unwrap_or_else(|error| {
            out.truncate(start);
            asking.spoiled(worker, &error, &mut out)
        });
        if batch.semantic.ends_with(outcome.decision) {
            break;
        }
    }
    out.extend_from_slice(b"]}");
    out
}

/// The query of `GET /v1/check`.
#[derive(Debug, Default)]
pub(super) struct Query<'q> {
    user: Option<Cow<'q, str>>,
    organization: Option<Cow<'q, str>>,
    permission: Option<Cow<'q, str>>,
    resource: Option<Cow<'q, str>>,
    pub(super) at_least: Option<Cow<'q, str>>,
    pub(super) max_staleness: Option<Cow<'q, str>>,
    pub(super) explain: bool,
}

impl<'q> Query<'q> {
    /// Reads the query; every parameter is known and stands once.
    pub(super) fn parse(text: &'q str) -> Result<Self, RequestError> {
        let mut query = Self::default();
        let mut explain = None;
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let slot = match name.as_ref() {
                "user" => &mut query.user,
                "organization" => &mut query.organization,
                "permission" => &mut query.permission,
                "resource" => &mut query.resource,
                "at_least" => &mut query.at_least,
                "max_staleness" => &mut query.max_staleness,
                "explain" => &mut explain,
                other => {
                    return Err(RequestError::Malformed(format!(
                        "`{}` is no parameter: `user`, `organization`, `permission`, `resource`, \
                         `at_least`, `max_staleness` and `explain` are",
                        other.chars().take(60).collect::<String>()
                    )));
                }
            };
            if slot.replace(value).is_some() {
                return Err(RequestError::Malformed(format!("`{name}` stands twice")));
            }
        }
        query.explain = explain.is_some_and(|value| value == "true");
        Ok(query)
    }
}

/// Answers `GET /v1/check`.
pub(super) fn check(
    state: &State,
    worker: &mut Worker,
    terms: &Terms<'_>,
    query: &Query<'_>,
) -> Result<Vec<u8>, RequestError> {
    let user = query
        .user
        .as_deref()
        .ok_or(RequestError::Missing { field: "user" })?;
    let permission = query.permission.as_deref().ok_or(RequestError::Missing {
        field: "permission",
    })?;
    let (resource_type, action) = permission
        .rsplit_once(':')
        .filter(|(resource_type, _)| resource_type.contains(':'))
        .ok_or_else(|| {
            RequestError::Malformed(
                "`permission` is not of the form `service:resource:action`".to_owned(),
            )
        })?;
    terms.admit(resource_type)?;
    let named = Named {
        context: query.organization.as_deref().map(Cow::Borrowed),
        resource: None,
    };
    asked(state, worker, terms, |asking, worker| {
        let resource_id = query.resource.as_deref().unwrap_or_default();
        let resource = (resource_type, resource_id);
        let organization = place(state, asking.view, worker, &named, resource)?;
        let check = match (organization, UserId::from_str(user)) {
            (Err(why), _) => Err(why),
            (_, Err(_)) => Err(Why::SubjectId),
            (Ok(organization), Ok(user)) => Ok(Check {
                user,
                organization,
                resource_type: Cow::Borrowed(resource_type),
                action,
                resource_id,
                properties: Properties::default(),
            }),
        };
        let mut out = Vec::with_capacity(Answer::SIZE);
        let words = Words {
            subject: ("user", user),
            action,
            resource,
            context: None,
        };
        asking.answer(worker, check, words, &mut out)?;
        Ok(out)
    })
}
