//! Searches and plans: bytes in, pages out.

use std::str::FromStr;

use serde::Serialize;

use crate::crypto::digest::sha256;
use crate::domain::{Freshness, OrganizationId, Revision, UserId};
use crate::policy::{Plan, Residual};
use crate::protocol::authzen::{
    Cursor, DEFAULT_PAGE, FoundAction, FoundEntity, FoundProperties, MAX_PAGE, PageAnswer, Reason,
    Request, RequestError, Search, SearchAnswer, SearchContext, Target,
};
use crate::protocol::problem::Problem;
use crate::sidecar::decide::{self, Check, ReadProperties, Worker, named, organization};
use crate::sidecar::http::checks::{ATTEMPTS, Terms};
use crate::sidecar::search::{Found, Searching, Stopped};
use crate::sidecar::view::{State, View};
use crate::sidecar::why::Why;
use crate::store::replica::InstanceCursor;

/// Why a search is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// HTTP 400, or 403.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// HTTP 422: resources of a type without instances are searched for by type and organization.
    #[error(
        "hand-written policies decide this for each resource, and no resources are known here: \
         `POST /v1/plan` tells the organizations and the conditions"
    )]
    PerResource,
}

impl SearchError {
    /// What is answered where no request is at fault.
    pub(super) fn problem(&self) -> Box<Problem> {
        Problem::new(422, "search-per-resource", "this depends on each resource")
            .because(self.to_string())
            .into()
    }
}

/// A search that was understood.
struct Asked<'a> {
    target: Target,
    request: Request<'a>,
    read: ReadProperties,
    query: [u8; 16],
    limit: u32,
    cursor: Option<&'a Cursor>,
}

impl<'a> Asked<'a> {
    fn of(search: &'a Search<'_>, target: Target) -> Result<Self, RequestError> {
        let request = search.complete(target)?;
        let check = decide::properties(&request);
        let read = ReadProperties::of(&check)?;
        let query = digest(target, &request, &read);
        let cursor = search.cursor.as_ref();
        let refused = |message: &str| RequestError::Malformed(format!("`page`: {message}"));
        let limit = match cursor {
            Some(cursor) if cursor.target != target || cursor.query != query => {
                return Err(refused("the token is of another search"));
            }
            Some(cursor) if search.limit.is_some_and(|limit| limit != cursor.limit) => {
                return Err(refused("`limit` was another one on the first page"));
            }
            Some(cursor) => cursor.limit.clamp(1, MAX_PAGE),
            None => search.limit.unwrap_or(DEFAULT_PAGE),
        };
        Ok(Self {
            target,
            request,
            read,
            query,
            limit,
            cursor,
        })
    }

    /// The id after which the page begins.
    fn after<T>(&self, of: impl Fn([u8; 16]) -> T) -> Result<Option<T>, RequestError> {
        self.cursor
            .map(|cursor| {
                let bytes: [u8; 16] = cursor.after.as_slice().try_into().map_err(|_| {
                    RequestError::Malformed("`page`: the token is of another search".to_owned())
                })?;
                Ok(of(bytes))
            })
            .transpose()
    }
}

/// What a page's token is bound to: all that was asked, however it was written down.
fn digest(target: Target, request: &Request<'_>, read: &ReadProperties) -> [u8; 16] {
    #[derive(Serialize)]
    struct Query<'q> {
        target: String,
        subject: (&'q str, &'q str),
        action: &'q str,
        resource: (&'q str, &'q str),
        read: &'q ReadProperties,
    }
    // What is searched for is empty here: its id may change from page to page.
    let query = serde_json::to_vec(&Query {
        target: format!("{target:?}"),
        subject: (request.subject.kind, request.subject.id),
        action: request.action.name,
        resource: (request.resource.kind, request.resource.id),
        read,
    });
    let whole = sha256(&query.unwrap_or_default());
    let mut half = [0; 16];
    half.copy_from_slice(whole.first_chunk::<16>().unwrap_or(&[0; 16]));
    half
}

/// Answers `POST /access/v1/search/…` and `POST /v1/plan`.
///
/// # Errors
///
/// [`SearchError`].
pub fn search(
    state: &State,
    worker: &mut Worker,
    terms: &Terms<'_>,
    target: Target,
    body: &[u8],
) -> Result<Vec<u8>, SearchError> {
    let search = Search::parse(body)?;
    let asked = Asked::of(&search, target)?;
    terms.admit(&state.mapping.resource_type(asked.request.resource.kind))?;
    let mut left = ATTEMPTS;
    loop {
        let staleness = state.staleness();
        let view = state.view();
        worker.overtaken = false;
        let freshness = Freshness {
            revision: view.revision(),
            staleness,
        };
        let answered = match terms.bars(freshness) {
            Some(why) => Err(why.into()),
            None => page(state, &view, worker, &asked, freshness),
        };
        left -= 1;
        if worker.overtaken && left > 0 && state.overtakes(&view) {
            continue;
        }
        return match answered {
            Ok(page) => Ok(page),
            Err(Stopped::Refused(error)) => Err(error.into()),
            Err(Stopped::PerResource) => Err(SearchError::PerResource),
            Err(Stopped::Nothing(why)) => Ok(nothing(freshness, asked.cursor, why)),
        };
    }
}

/// No results, and why.
fn nothing(freshness: Freshness, cursor: Option<&Cursor>, why: Why) -> Vec<u8> {
    let moved = cursor.is_some_and(|cursor| cursor.revision != freshness.revision);
    let reason = Reason {
        code: why.code(),
        message: why.message(),
    };
    write(&SearchAnswer::<FoundAction> {
        page: PageAnswer {
            next_token: String::new(),
            count: 0,
        },
        context: SearchContext::new(freshness, cursor, moved).because(reason),
        results: Vec::new(),
    })
}

fn page(
    state: &State,
    view: &View,
    worker: &mut Worker,
    asked: &Asked<'_>,
    freshness: Freshness,
) -> Result<Vec<u8>, Stopped> {
    let kind = state.mapping.resource_type(asked.request.resource.kind);
    let searching = Searching {
        state,
        view,
        read: &asked.read,
        exactly: view.has_instances(&kind),
    };
    let answering = Answering {
        view,
        asked,
        freshness,
    };
    match asked.target {
        Target::Subject => answering.subjects(&searching, worker),
        Target::Resource if searching.exactly => answering.instances(&searching, worker),
        Target::Resource => answering.resources(&searching, worker),
        Target::Plan => answering.plans(&searching, worker),
        Target::Action => answering.actions(&searching, worker),
    }
}

struct Answering<'a> {
    view: &'a View,
    asked: &'a Asked<'a>,
    freshness: Freshness,
}

/// What a plan says of one organization.
#[derive(Serialize)]
struct Planned {
    organization: OrganizationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    slug: Option<String>,
    /// `always` or `conditional`.
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conditions: Option<Residual>,
}

impl Answering<'_> {
    fn subjects(&self, searching: &Searching<'_>, worker: &mut Worker) -> Result<Vec<u8>, Stopped> {
        let request = &self.asked.request;
        let (state, view) = (searching.state, searching.view);
        let kind = state.mapping.resource_type(request.resource.kind);
        let resource = (kind.as_ref(), request.resource.id);
        let organization = decide::place(state, view, worker, &named(request)?, resource)??;
        let registered = decide::registered_in(state, view, worker, resource, organization)?;
        let mut read = searching.read.clone();
        if let Some(registered) = &registered {
            read.register(registered);
        }
        let searching = &Searching {
            read: &read,
            ..*searching
        };
        if !searching.state.mapping.is_user(request.subject.kind) {
            return Err(Why::SubjectType.into());
        }
        let after = self.asked.after(user_of)?;
        let check = self.check(searching.state, UserId::from_u128(0), organization);
        let found = searching.subjects(worker, &check, after, self.limit())?;
        Ok(self.answer(found, id_of_user, |user| FoundEntity {
            kind: request.subject.kind,
            id: user.to_string(),
            properties: None,
        }))
    }

    fn resources(
        &self,
        searching: &Searching<'_>,
        worker: &mut Worker,
    ) -> Result<Vec<u8>, Stopped> {
        let (user, only) = self.user_and_organization(searching.state, worker)?;
        let after = self.after_instance()?.map(|after| after.organization);
        let check = self.check(searching.state, user, OrganizationId::from_u128(0));
        let found = searching.resources(worker, &check, only, after, self.limit())?;
        let kind = self.asked.request.resource.kind;
        Ok(
            self.answer(found, id_of_organization, |organization| FoundEntity {
                kind,
                id: "*".to_owned(),
                properties: Some(FoundProperties {
                    organization: organization.to_string(),
                }),
            }),
        )
    }

    fn instances(
        &self,
        searching: &Searching<'_>,
        worker: &mut Worker,
    ) -> Result<Vec<u8>, Stopped> {
        let (user, only) = self.user_and_organization(searching.state, worker)?;
        let after = self.after_instance()?;
        let check = self.check(searching.state, user, OrganizationId::from_u128(0));
        let found = searching.instances(worker, &check, only, after.as_ref(), self.limit())?;
        let kind = self.asked.request.resource.kind;
        Ok(
            self.answer(found, bytes_of_instance, |(organization, id)| FoundEntity {
                kind,
                id,
                properties: Some(FoundProperties {
                    organization: organization.to_string(),
                }),
            }),
        )
    }

    /// After which resource the page begins: the organization's id, then that of an instance, if
    /// there are any. Between two pages the first of a type may have come, or the last have gone.
    fn after_instance(&self) -> Result<Option<InstanceCursor>, RequestError> {
        let Some(cursor) = self.asked.cursor else {
            return Ok(None);
        };
        let read = cursor.after.split_first_chunk::<16>();
        let read = read.and_then(|(organization, id)| {
            let id = std::str::from_utf8(id).ok()?;
            Some(InstanceCursor {
                organization: organization_of(*organization),
                id: (!id.is_empty()).then(|| id.to_owned()),
            })
        });
        read.map(Some).ok_or_else(|| {
            RequestError::Malformed("`page`: the token is of another search".to_owned())
        })
    }

    fn plans(&self, searching: &Searching<'_>, worker: &mut Worker) -> Result<Vec<u8>, Stopped> {
        let (user, only) = self.user_and_organization(searching.state, worker)?;
        let after = self.asked.after(organization_of)?;
        let check = self.check(searching.state, user, OrganizationId::from_u128(0));
        let found = searching.plans(worker, &check, only, after, self.limit())?;
        Ok(
            self.answer(found, id_of_organization, |(row, plan)| Planned {
                organization: row.organization,
                slug: row.slug.map(|slug| slug.to_string()),
                decision: if plan == Plan::Always {
                    "always"
                } else {
                    "conditional"
                },
                conditions: match plan {
                    Plan::Conditional(residual) => Some(residual),
                    Plan::Always | Plan::Never => None,
                },
            }),
        )
    }

    fn actions(&self, searching: &Searching<'_>, worker: &mut Worker) -> Result<Vec<u8>, Stopped> {
        let request = &self.asked.request;
        let (state, view) = (searching.state, searching.view);
        let check = decide::understand(state, view, worker, request)??;
        let after = match self.asked.cursor {
            None => None,
            Some(cursor) => Some(std::str::from_utf8(&cursor.after).map_err(|_| {
                RequestError::Malformed("`page`: the token is of another search".to_owned())
            })?),
        };
        let found = searching.actions(worker, &check, after, self.limit())?;
        Ok(self.answer(found, String::into_bytes, |name| FoundAction { name }))
    }

    fn limit(&self) -> usize {
        usize::try_from(self.asked.limit).unwrap_or(1)
    }

    /// The check's user, and the organization if one is named.
    fn user_and_organization(
        &self,
        state: &State,
        worker: &mut Worker,
    ) -> Result<(UserId, Option<OrganizationId>), Stopped> {
        let request = &self.asked.request;
        let named = named(request)?;
        let only = match (&named.context, &named.resource) {
            (None, None) => None,
            _ => Some(organization(state, worker, &named)??),
        };
        if !state.mapping.is_user(request.subject.kind) {
            return Err(Why::SubjectType.into());
        }
        let user = UserId::from_str(request.subject.id).map_err(|_| Why::SubjectId)?;
        Ok((user, only))
    }

    fn check(&self, state: &State, user: UserId, organization: OrganizationId) -> Check<'_> {
        decide::check(state, &self.asked.request, user, organization)
    }

    fn answer<T, K, R: Serialize>(
        &self,
        found: Found<T, K>,
        key: impl Fn(K) -> Vec<u8>,
        show: impl Fn(T) -> R,
    ) -> Vec<u8> {
        let cursor = self.asked.cursor;
        let epoch = self.view.position.map(|position| position.epoch);
        let first: Revision = cursor.map_or(found.revision, |cursor| cursor.revision);
        let next = found.next.zip(epoch).map(|(after, epoch)| Cursor {
            target: self.asked.target,
            epoch: cursor.map_or(epoch, |cursor| cursor.epoch),
            revision: first,
            query: self.asked.query,
            limit: self.asked.limit,
            after: key(after),
        });
        let moved = cursor
            .is_some_and(|cursor| Some(cursor.epoch) != epoch || cursor.revision != found.revision);
        let freshness = Freshness {
            revision: found.revision,
            ..self.freshness
        };
        let results: Vec<R> = found.rows.into_iter().map(show).collect();
        write(&SearchAnswer {
            page: PageAnswer {
                next_token: next.map(|next| next.to_string()).unwrap_or_default(),
                count: results.len(),
            },
            context: SearchContext::new(freshness, cursor, moved),
            results,
        })
    }
}

fn user_of(bytes: [u8; 16]) -> UserId {
    UserId::from_u128(u128::from_be_bytes(bytes))
}

fn organization_of(bytes: [u8; 16]) -> OrganizationId {
    OrganizationId::from_u128(u128::from_be_bytes(bytes))
}

fn id_of_user(user: UserId) -> Vec<u8> {
    user.as_u128().to_be_bytes().to_vec()
}

fn id_of_organization(organization: OrganizationId) -> Vec<u8> {
    organization.as_u128().to_be_bytes().to_vec()
}

fn bytes_of_instance(cursor: InstanceCursor) -> Vec<u8> {
    let mut bytes = id_of_organization(cursor.organization);
    bytes.extend_from_slice(cursor.id.unwrap_or_default().as_bytes());
    bytes
}

fn write<T: Serialize>(answer: &SearchAnswer<'_, T>) -> Vec<u8> {
    serde_json::to_vec(answer).unwrap_or_default()
}
