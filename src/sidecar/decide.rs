//! The decision, the same for every door: names and organization first, then the member, then the
//! memo or, where hand-written policies have a say, Cedar.
//!
//! Unsure means deny, with a [`Why`].

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::domain::organization::Slug;
use crate::domain::user::UserState;
use crate::domain::{Decision, OrganizationId, Revision, RoleId, UserId};
use crate::policy::{ActionIndex, Question, Resource, RoleSetId, Verdict};
use crate::protocol::authzen::{Request, RequestError, object, organization_in};
use crate::sidecar::cache::{Front, Hit, Instance, Member, Registered, Stamps, Standing};
use crate::sidecar::counts::Counts;
use crate::sidecar::decision_log::Notes;
use crate::sidecar::recent::Recent;
use crate::sidecar::view::{AsOf, State, View};
use crate::sidecar::why::Why;
use crate::store::replica::{InstanceFacts, ReplicaError, ReplicaReader};

/// A question in our own words.
#[derive(Debug, Clone)]
pub struct Check<'a> {
    /// Who.
    pub user: UserId,
    /// Where: the membership asked about.
    pub organization: OrganizationId,
    /// `service:resource`.
    pub resource_type: Cow<'a, str>,
    /// The action's name.
    pub action: &'a str,
    /// The resource's id, in the service's terms.
    pub resource_id: &'a str,
    /// Unread properties, for hand-written policies only.
    pub properties: Properties<'a>,
}

/// What hand-written policies may read of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Properties<'a> {
    /// Of the subject.
    pub subject: Option<&'a RawValue>,
    /// Of the action.
    pub action: Option<&'a RawValue>,
    /// Of the resource.
    pub resource: Option<&'a RawValue>,
    /// The circumstances.
    pub context: Option<&'a RawValue>,
}

/// A decision and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Allow or deny.
    pub decision: Decision,
    /// The reason.
    pub why: Why,
}

impl Outcome {
    /// A denial.
    pub const fn deny(why: Why) -> Self {
        Self {
            decision: Decision::Deny,
            why,
        }
    }
}

/// What one runtime thread keeps for itself: its front, its reader, its counters.
#[derive(Debug)]
pub struct Worker {
    front: Front,
    reader: Option<(u64, ReplicaReader)>,
    question: Vec<u8>,
    /// The key of the instance that was last looked for.
    instance: String,
    /// Set when a question met facts newer than its view's policies: ask again with a newer view.
    pub(super) overtaken: bool,
    /// What it did so far.
    pub counts: Counts,
    /// Its last decisions, once somebody watches them: a service's sidecar keeps none.
    pub(super) recent: Option<Box<Recent>>,
    /// Its side of the decision log, if there is one.
    pub(super) log: Option<Box<Notes>>,
    /// The roles held by the member that was last decided about.
    pub(super) held: Option<RoleSetId>,
}

/// The roles of a member: interned, or as such when the interner is full.
enum Held {
    Interned(RoleSetId),
    Loose(Vec<RoleId>),
}

impl Worker {
    /// A worker for decisions of `state`.
    pub fn new(state: &State) -> Self {
        Self {
            front: Front::new(state.front_entries()),
            reader: None,
            question: Vec::new(),
            instance: String::new(),
            overtaken: false,
            counts: Counts::default(),
            recent: None,
            log: None,
            held: None,
        }
    }

    /// Begins to answer a request, or begins anew: what was noted of it is forgotten.
    pub(super) fn begin(&mut self) {
        self.overtaken = false;
        if let Some(log) = &mut self.log {
            log.begin();
        }
    }

    /// Ends a request: what was noted goes to the decision log.
    pub(super) fn finish(&mut self) {
        if let Some(log) = &mut self.log {
            log.finish();
        }
    }

    /// Forgets one member, here and in the shared cache.
    pub fn evict(&mut self, state: &State, organization: OrganizationId, user: UserId) {
        state.members.evict(&mut self.front, organization, user);
    }

    /// What a member is, if this view's policies go with it. `beside`: of a resource that may be
    /// registered, and then exactly as of the view.
    fn member(
        &mut self,
        state: &State,
        view: &View,
        (organization, user): (OrganizationId, UserId),
        beside: bool,
    ) -> Result<(Standing, Held), Why> {
        let found = state
            .members
            .find(&state.generations, &mut self.front, organization, user);
        let (standing, held, as_of) = match found {
            Some((member, hit)) => {
                match hit {
                    Hit::Front => self.counts.front_hits += 1,
                    Hit::Shared => self.counts.shared_hits += 1,
                }
                (member.standing, Held::Interned(member.roles), member.as_of)
            }
            None => self
                .read_member(state, view, organization, user)
                .map_err(|error| unreadable(state, &error))?,
        };
        // Who may do nothing may do nothing under any policies.
        let fits = if beside {
            as_of <= view.as_of()
        } else {
            state.goes_with(view, as_of)
        };
        if barred(standing).is_none() && !fits {
            self.overtaken = true;
            return Err(Why::Overtaken);
        }
        Ok((standing, held))
    }

    fn read_member(
        &mut self,
        state: &State,
        view: &View,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<(Standing, Held, AsOf), ReplicaError> {
        self.counts.misses += 1;
        let Self {
            front,
            reader,
            counts,
            ..
        } = self;
        state
            .members
            .fill(&state.generations, front, (organization, user), || {
                let (copy, facts) = read(state, reader, counts, |reader| {
                    reader.member(organization, user)
                })?;
                let (standing, roles, revision) = match facts {
                    None => (Standing::Stranger, Vec::new(), Revision::ZERO),
                    Some(facts) => (standing(facts.state), facts.roles, facts.revision),
                };
                let as_of = AsOf { copy, revision };
                Ok(match view.engine.sets().intern(&roles) {
                    Some(roles) => (
                        Some(Member {
                            roles,
                            standing,
                            as_of,
                        }),
                        (standing, Held::Interned(roles), as_of),
                    ),
                    None => (None, (standing, Held::Loose(roles), as_of)),
                })
            })
    }

    /// What is registered of a resource, exactly as of the view. Where no instances of the type are
    /// registered nothing is looked for.
    ///
    /// Of the view's revision and not of a newer one, and so are the facts of its member
    /// ([`Self::member`]): a member who was there before an instance moved in must not meet it.
    pub(super) fn registered(
        &mut self,
        state: &State,
        view: &View,
        (resource_type, id): (&str, &str),
    ) -> Result<Option<Arc<Registered>>, Why> {
        let Some((service, resource)) = resource_type.split_once(':') else {
            return Ok(None);
        };
        if id.is_empty() || !view.has_instances(resource_type) {
            return Ok(None);
        }
        let mut key = std::mem::take(&mut self.instance);
        write_key(&mut key, resource_type, id);
        let Self { reader, counts, .. } = self;
        let resolved = state.instances.resolve(&state.generations, &key, || {
            let (copy, (revision, facts)) = read(state, reader, counts, |reader| {
                reader.instance((service, resource), id)
            })?;
            let as_of = AsOf { copy, revision };
            let bytes = facts.as_ref().map_or(0, |facts| facts.attributes.len());
            let registered = facts.as_ref().map(registered).transpose()?.map(Arc::new);
            Ok(Instance {
                registered,
                as_of,
                bytes,
            })
        });
        self.instance = key;
        let (instance, here) = resolved.map_err(|error| unreadable(state, &error))?;
        self.counts.instance_hits += u64::from(here);
        if instance.as_of > view.as_of() {
            self.overtaken = true;
            return Err(Why::Overtaken);
        }
        Ok(instance.registered)
    }

    /// Under which generation an instance is about to be read.
    fn instance_stamp(&mut self, state: &State, view: &View, check: &Check<'_>) -> Option<u64> {
        view.has_instances(&check.resource_type).then(|| {
            write_key(&mut self.instance, &check.resource_type, check.resource_id);
            state.generations.instance(&self.instance)
        })
    }

    /// As [`Self::read`], and says from which of the copy's files.
    pub(super) fn read_numbered<T>(
        &mut self,
        state: &State,
        query: impl FnOnce(&mut ReplicaReader) -> Result<T, ReplicaError>,
    ) -> Result<(u64, T), ReplicaError> {
        let Self { reader, counts, .. } = self;
        read(state, reader, counts, query)
    }

    /// Reads the copy through this thread's reader.
    pub(super) fn read<T>(
        &mut self,
        state: &State,
        query: impl FnOnce(&mut ReplicaReader) -> Result<T, ReplicaError>,
    ) -> Result<T, ReplicaError> {
        let Self { reader, counts, .. } = self;
        read(state, reader, counts, query).map(|(_, found)| found)
    }

    fn slug(&mut self, state: &State, slug: &str) -> Result<Option<OrganizationId>, ReplicaError> {
        let Self { reader, counts, .. } = self;
        state.slugs.resolve(&state.generations, slug, || {
            read(state, reader, counts, |reader| {
                reader.organization_by_slug(slug)
            })
            .map(|(_, organization)| organization)
        })
    }
}

fn write_key(key: &mut String, resource_type: &str, id: &str) {
    key.clear();
    key.push_str(resource_type);
    key.push(':');
    key.push_str(id);
}

/// An instance's row, read.
pub(super) fn registered(facts: &InstanceFacts) -> Result<Registered, ReplicaError> {
    let attributes = serde_json::from_str(&facts.attributes)
        .map_err(|_| ReplicaError::Corrupt("attributes that are no object".to_owned()))?;
    Ok(Registered {
        organization: facts.organization,
        attributes,
    })
}

/// Reads the copy through the thread's own reader, which is opened anew after the file was swapped
/// or a read failed. Says which file it was.
fn read<T>(
    state: &State,
    slot: &mut Option<(u64, ReplicaReader)>,
    counts: &mut Counts,
    query: impl FnOnce(&mut ReplicaReader) -> Result<T, ReplicaError>,
) -> Result<(u64, T), ReplicaError> {
    let copy = state.copy();
    let Some(copy) = copy.as_ref() else {
        return Err(ReplicaError::Unavailable("there is no copy yet".to_owned()));
    };
    let (_, reader) = match slot {
        Some(open) if open.0 == copy.number => open,
        _ => slot.insert((copy.number, ReplicaReader::open(&copy.path)?)),
    };
    counts.sqlite_reads += 1;
    let outcome = query(reader);
    if outcome.is_err() {
        *slot = None;
    }
    outcome.map(|found| (copy.number, found))
}

pub(super) const fn standing(state: UserState) -> Standing {
    match state {
        UserState::Active => Standing::Member,
        UserState::Suspended => Standing::Suspended,
        UserState::Deleted => Standing::Deleted,
    }
}

/// The organizations that a request names: any two must agree.
#[derive(Debug, Clone, Default)]
pub struct Named<'a> {
    /// `context.organization`, or the query's.
    pub context: Option<Cow<'a, str>>,
    /// `resource.properties.organization`.
    pub resource: Option<Cow<'a, str>>,
}

/// Turns a request into a check.
///
/// # Errors
///
/// Outer: the request is refused (400, or an error of its item). Inner: it is denied.
pub fn understand<'a>(
    state: &State,
    view: &View,
    worker: &mut Worker,
    request: &Request<'a>,
) -> Result<Result<Check<'a>, Why>, RequestError> {
    let resource_type = state.mapping.resource_type(request.resource.kind);
    let resource = (resource_type.as_ref(), request.resource.id);
    let organization = match place(state, view, worker, &named(request)?, resource)? {
        Ok(organization) => organization,
        Err(why) => return Ok(Err(why)),
    };
    if !state.mapping.is_user(request.subject.kind) {
        return Ok(Err(Why::SubjectType));
    }
    let Ok(user) = UserId::from_str(request.subject.id) else {
        return Ok(Err(Why::SubjectId));
    };
    Ok(Ok(check(state, request, user, organization)))
}

/// The organizations that a request names.
pub(super) fn named<'a>(request: &Request<'a>) -> Result<Named<'a>, RequestError> {
    Ok(Named {
        context: match request.context {
            Some(context) => organization_in(context, "context.organization")?,
            None => None,
        },
        resource: match request.resource.properties {
            Some(properties) => organization_in(properties, "resource.properties.organization")?,
            None => None,
        },
    })
}

/// A request about a user in an organization, in our own words.
pub(super) fn check<'a>(
    state: &State,
    request: &Request<'a>,
    user: UserId,
    organization: OrganizationId,
) -> Check<'a> {
    Check {
        user,
        organization,
        resource_type: state.mapping.resource_type(request.resource.kind),
        action: state.mapping.action(request.action.name),
        resource_id: request.resource.id,
        properties: properties(request),
    }
}

/// What hand-written policies may read of a request.
pub(super) const fn properties<'a>(request: &Request<'a>) -> Properties<'a> {
    Properties {
        subject: request.subject.properties,
        action: request.action.properties,
        resource: request.resource.properties,
        context: request.context,
    }
}

/// The organization that a question is about: the one that is named, or the one in which the
/// resource is registered.
///
/// # Errors
///
/// As [`organization`].
pub(super) fn place(
    state: &State,
    view: &View,
    worker: &mut Worker,
    named: &Named<'_>,
    resource: (&str, &str),
) -> Result<Result<OrganizationId, Why>, RequestError> {
    match organization(state, worker, named)? {
        Err(Why::OrganizationMissing) => Ok(match worker.registered(state, view, resource) {
            Ok(Some(registered)) => Ok(registered.organization),
            Ok(None) => Err(Why::OrganizationMissing),
            Err(why) => Err(why),
        }),
        named => Ok(named),
    }
}

/// What is registered of a resource, if it belongs to the organization.
///
/// # Errors
///
/// [`Why::ResourceElsewhere`] when it belongs to another one; why it cannot be told.
pub(super) fn registered_in(
    state: &State,
    view: &View,
    worker: &mut Worker,
    resource: (&str, &str),
    organization: OrganizationId,
) -> Result<Option<Arc<Registered>>, Why> {
    let registered = worker.registered(state, view, resource)?;
    match &registered {
        Some(found) if found.organization != organization => Err(Why::ResourceElsewhere),
        Some(_) | None => Ok(registered),
    }
}

/// The one organization that is named.
///
/// # Errors
///
/// Outer: two that disagree, or a text that is neither id nor slug. Inner: none, or a slug that
/// nobody has.
pub fn organization(
    state: &State,
    worker: &mut Worker,
    named: &Named<'_>,
) -> Result<Result<OrganizationId, Why>, RequestError> {
    let (first, second) = match (&named.context, &named.resource) {
        (None, None) => return Ok(Err(Why::OrganizationMissing)),
        (Some(only), None) | (None, Some(only)) => (only, None),
        (Some(one), Some(other)) => (one, (one != other).then_some(other)),
    };
    let resolved = resolve(state, worker, first)?;
    let Some(second) = second else {
        return Ok(resolved);
    };
    match (resolved, resolve(state, worker, second)?) {
        (Ok(one), Ok(other)) if one == other => Ok(Ok(one)),
        (Err(Why::CopyUnreadable | Why::NoCopy), _)
        | (_, Err(Why::CopyUnreadable | Why::NoCopy)) => Ok(Err(Why::CopyUnreadable)),
        // Two spellings, at most one of them known: they do not name the same organization.
        _ => Err(RequestError::Malformed(
            "`context.organization` and `resource.properties.organization` name different \
             organizations"
                .to_owned(),
        )),
    }
}

fn resolve(
    state: &State,
    worker: &mut Worker,
    text: &str,
) -> Result<Result<OrganizationId, Why>, RequestError> {
    if let Ok(id) = OrganizationId::from_str(text) {
        return Ok(Ok(id));
    }
    if text.parse::<Slug>().is_err() {
        return Err(RequestError::Malformed(format!(
            "`{}` is neither an organization's id nor a slug",
            text.chars().take(80).collect::<String>()
        )));
    }
    Ok(match worker.slug(state, text) {
        Ok(Some(id)) => Ok(id),
        Ok(None) => Err(Why::OrganizationUnknown),
        Err(error) => Err(unreadable(state, &error)),
    })
}

pub(super) fn unreadable(state: &State, error: &ReplicaError) -> Why {
    if state.copy().is_none() {
        return Why::NoCopy;
    }
    tracing::error!(%error, "the copy cannot be read");
    Why::CopyUnreadable
}

/// Decides.
///
/// # Errors
///
/// [`RequestError`] when a hand-written policy wants properties that cannot be read.
pub fn decide(
    state: &State,
    view: &View,
    worker: &mut Worker,
    check: &Check<'_>,
) -> Result<Outcome, RequestError> {
    worker.held = None;
    let Some(action) = view.engine.action(&check.resource_type, check.action) else {
        return Ok(Outcome::deny(if view.position.is_some() {
            Why::PermissionUnknown
        } else {
            Why::NoCopy
        }));
    };
    // Before the member is read: what a depends-answer is kept under.
    let stamps = Stamps {
        policy: view.policies,
        user: state.generations.user(check.user),
        organizations: state.generations.organizations(),
        instance: worker.instance_stamp(state, view, check),
    };
    let resource = (check.resource_type.as_ref(), check.resource_id);
    let registered = match registered_in(state, view, worker, resource, check.organization) {
        Ok(registered) => registered,
        Err(why) => return Ok(Outcome::deny(why)),
    };
    let who = (check.organization, check.user);
    let (standing, held) = match worker.member(state, view, who, view.has_instances(resource.0)) {
        Ok(member) => member,
        Err(why) => return Ok(Outcome::deny(why)),
    };
    if let Some(why) = barred(standing) {
        return Ok(Outcome::deny(why));
    }
    let verdict = match &held {
        Held::Interned(set) => {
            worker.held = Some(*set);
            view.engine.decide(*set, action)
        }
        Held::Loose(_) => Verdict::Depends,
    };
    match verdict {
        Verdict::Allow => Ok(Outcome {
            decision: Decision::Allow,
            why: Why::Roles,
        }),
        Verdict::Deny => Ok(Outcome::deny(Why::Roles)),
        Verdict::Depends => {
            let asking = Asking {
                check,
                action,
                held: &held,
                registered: registered.as_deref(),
            };
            depends(state, view, worker, &asking, stamps)
        }
    }
}

pub(super) const fn barred(standing: Standing) -> Option<Why> {
    match standing {
        Standing::Member => None,
        Standing::Stranger => Some(Why::NotMember),
        Standing::Suspended => Some(Why::Suspended),
        Standing::Deleted => Some(Why::Deleted),
    }
}

/// A check with the facts that hand-written policies are given.
struct Asking<'a, 'c> {
    check: &'a Check<'c>,
    action: ActionIndex,
    held: &'a Held,
    registered: Option<&'a Registered>,
}

fn depends(
    state: &State,
    view: &View,
    worker: &mut Worker,
    asking: &Asking<'_, '_>,
    stamps: Stamps,
) -> Result<Outcome, RequestError> {
    let outcome = |decision| Outcome {
        decision,
        why: Why::Policies,
    };
    let kept = !view.engine.depends_on_time(asking.action);
    if kept {
        write_question(&mut worker.question, asking.check);
        if let Some(decision) = state.depends.find(&worker.question, stamps) {
            worker.counts.depends_hits += 1;
            return Ok(outcome(decision));
        }
    }
    worker.counts.evaluations += 1;
    let decision = with_question(state, view, asking, |question| {
        view.engine.evaluate(question).decision
    })?;
    if kept {
        state.depends.keep(&worker.question, decision, stamps);
    }
    Ok(outcome(decision))
}

/// Every byte that an evaluation may see, each part behind its length.
fn write_question(out: &mut Vec<u8>, check: &Check<'_>) {
    out.clear();
    out.extend_from_slice(&check.organization.as_u128().to_ne_bytes());
    out.extend_from_slice(&check.user.as_u128().to_ne_bytes());
    let parts = [
        Some(check.resource_type.as_ref()),
        Some(check.action),
        Some(check.resource_id),
        check.properties.subject.map(RawValue::get),
        check.properties.action.map(RawValue::get),
        check.properties.resource.map(RawValue::get),
        check.properties.context.map(RawValue::get),
    ];
    for part in parts {
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        out.extend_from_slice(&length.to_ne_bytes());
        out.extend_from_slice(part.unwrap_or_default().as_bytes());
    }
}

fn with_question<T>(
    state: &State,
    view: &View,
    asking: &Asking<'_, '_>,
    ask: impl FnOnce(&Question<'_>) -> T,
) -> Result<T, RequestError> {
    let interned;
    let roles: &[RoleId] = match asking.held {
        Held::Interned(set) => {
            interned = view.engine.sets().roles(*set);
            &interned
        }
        Held::Loose(roles) => roles,
    };
    let mut read = ReadProperties::of(&asking.check.properties)?;
    if let Some(registered) = asking.registered {
        read.register(registered);
    }
    Ok(ask(&read.question(
        state,
        asking.check,
        asking.action,
        roles,
    )))
}

/// Properties that were read, for a question or for many that share them.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct ReadProperties {
    subject: Option<Map<String, Value>>,
    action: Option<Map<String, Value>>,
    resource: Option<Map<String, Value>>,
    context: Option<Map<String, Value>>,
}

impl ReadProperties {
    pub(super) fn of(properties: &Properties<'_>) -> Result<Self, RequestError> {
        let map = |raw: Option<&RawValue>| raw.map(object).transpose();
        Ok(Self {
            subject: map(properties.subject)?,
            action: map(properties.action)?,
            resource: map(properties.resource)?,
            context: map(properties.context)?,
        })
    }

    /// Gives policies what is registered of the resource. It wins over what the request says; what
    /// is not registered the request may still say.
    pub(super) fn register(&mut self, registered: &Registered) {
        if registered.attributes.is_empty() {
            return;
        }
        let attributes = registered.attributes.iter();
        self.resource
            .get_or_insert_default()
            .extend(attributes.map(|(name, value)| (name.clone(), value.clone())));
    }

    pub(super) fn question<'a>(
        &'a self,
        state: &State,
        check: &'a Check<'_>,
        action: ActionIndex,
        roles: &'a [RoleId],
    ) -> Question<'a> {
        Question {
            organization: check.organization,
            user: check.user,
            roles,
            action,
            resource: Resource {
                resource_type: &check.resource_type,
                id: check.resource_id,
                organization: None,
                properties: self.resource.as_ref(),
            },
            subject_properties: self.subject.as_ref(),
            action_properties: self.action.as_ref(),
            context: self.context.as_ref(),
            now: Some(state.clock().now()),
        }
    }
}

/// Says why a check comes out as it does, as JSON: the roles and policies that grant it, the
/// forbids that fired, the nearest miss or the fact that is missing; of which membership, what is
/// registered of the resource, and the service whose manifest declares the permission.
///
/// # Errors
///
/// [`RequestError`] when properties cannot be read.
pub fn explain(
    state: &State,
    view: &View,
    worker: &mut Worker,
    check: &Check<'_>,
) -> Result<Value, RequestError> {
    let Some(action) = view.engine.action(&check.resource_type, check.action) else {
        let unknown = view
            .engine
            .explain_unknown(&check.resource_type, check.action);
        return Ok(serde_json::to_value(unknown).unwrap_or_default());
    };
    let resource = (check.resource_type.as_ref(), check.resource_id);
    let registered = match registered_in(state, view, worker, resource, check.organization) {
        Ok(registered) => registered,
        Err(why) => return Ok(plain(why)),
    };
    let who = (check.organization, check.user);
    let (standing, held) = match worker.member(state, view, who, view.has_instances(resource.0)) {
        Ok(member) => member,
        Err(why) => return Ok(plain(why)),
    };
    match barred(standing) {
        None | Some(Why::NotMember) => {}
        Some(why) => return Ok(plain(why)),
    }
    let asking = Asking {
        check,
        action,
        held: &held,
        registered: registered.as_deref(),
    };
    let mut explanation = with_question(state, view, &asking, |question| {
        serde_json::to_value(view.engine.explain(question)).unwrap_or_default()
    })?;
    let Some(members) = explanation.as_object_mut() else {
        return Ok(explanation);
    };
    if standing == Standing::Stranger {
        // A stranger is denied before any policy is asked, whatever one would say.
        members.insert("allowed".to_owned(), false.into());
        members.insert("member".to_owned(), false.into());
    } else {
        let membership = serde_json::json!({
            "organization": check.organization,
            "user": check.user,
        });
        members.insert("membership".to_owned(), membership);
    }
    if let Some(registered) = &registered {
        let facts = serde_json::json!({
            "organization": registered.organization,
            "attributes": registered.attributes,
        });
        members.insert("registered".to_owned(), facts);
    }
    if let Some(key) = view.engine.key(action) {
        members.insert("manifest".to_owned(), key.service.as_str().into());
    }
    Ok(explanation)
}

/// An explanation that is only a reason.
pub fn plain(why: Why) -> Value {
    serde_json::json!({
        "allowed": false,
        "summary": format!("denied: {}", why.message()),
        "cause": {"kind": why.code()},
    })
}
