//! From a request to what becomes of it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};

use super::credentials::{Credential, Scheme};
use super::outcome::DoorOutcome;
use super::record::note;
use crate::domain::{DecisionId, Freshness, OrganizationId, Revision, UserId};
use crate::protocol::forward_auth::{Original, is_hop_by_hop, is_navigation, is_twin};
use crate::sidecar::decide::{Named, Outcome, Properties, Worker, organization};
use crate::sidecar::decision_log::Asker;
use crate::sidecar::gate::Gates;
use crate::sidecar::routes::{Access, Found, OrganizationSource, Route, RouteTable, Wanted};
use crate::sidecar::tokens::{self, Possession, Rules, TokenCheck, Unproved, Verified};
use crate::sidecar::view::{State, View};
use crate::sidecar::why::Why;

/// Doors that admit by token deny beyond this age of the facts, where neither the route nor the
/// listener says another.
const DENY_BEYOND: Duration = Duration::from_mins(10);

/// How often a question is asked when policies change under it.
const ATTEMPTS: usize = 4;

const BOUND_TOKEN: &str = "bound_token";
const INVALID_PROOF: &str = "invalid_proof";
const REPLAYED_PROOF: &str = "replayed_proof";

/// What the doors decide by.
#[derive(Debug)]
pub(in crate::sidecar) struct ForwardAuth {
    /// Which route decides.
    pub(in crate::sidecar) routes: RouteTable,
    /// Whose tokens count. Without, only public routes let anybody through.
    pub(in crate::sidecar) tokens: Option<Rules>,
    /// How long a decision may take. Proxies wait no longer, and ask again: what comes later is denied.
    pub(in crate::sidecar) deadline: Duration,
    /// Where people can log in.
    pub(in crate::sidecar) gates: Gates,
}

/// What became of a request.
#[derive(Debug)]
pub(in crate::sidecar) struct Asked {
    pub(super) outcome: DoorOutcome,
    /// A word for programs.
    pub(super) reason: &'static str,
    /// How the token was presented.
    pub(super) scheme: Scheme,
    /// What is for the log only.
    pub(super) detail: Option<&'static str>,
    /// Who asks, and where; let through or not.
    pub(super) token: Option<Arc<Verified>>,
    pub(super) organization: Option<OrganizationId>,
    /// What the facts were, where they were asked.
    pub(super) freshness: Option<Freshness>,
    /// Where a person who navigates is sent to log in.
    pub(super) login: Option<String>,
}

impl Asked {
    pub(super) const fn plain(outcome: DoorOutcome, reason: &'static str) -> Self {
        Self {
            outcome,
            reason,
            scheme: Scheme::Bearer,
            detail: None,
            token: None,
            organization: None,
            freshness: None,
            login: None,
        }
    }

    /// A request that cannot be read in one way.
    const fn malformed() -> Self {
        Self::plain(DoorOutcome::Malformed, "malformed")
    }

    /// The token's key was not proved.
    pub(super) fn unproved(reason: &'static str) -> Self {
        Self {
            scheme: Scheme::Dpop,
            ..Self::plain(DoorOutcome::BadToken, reason)
        }
    }

    /// Whether what is wrong is the proof, or that there is none.
    pub(super) fn is_unproved(&self) -> bool {
        [INVALID_PROOF, REPLAYED_PROOF].contains(&self.reason)
    }

    /// What it is counted as.
    pub(in crate::sidecar) const fn outcome(&self) -> DoorOutcome {
        self.outcome
    }
}

/// One request at a door.
struct Asking<'a> {
    state: &'a State,
    original: &'a Original<'a>,
    headers: &'a HeaderMap,
    route: &'a Route,
    /// The deadline, counted from boot.
    until: Duration,
    subdomain: Option<&'a str>,
    deny_beyond: Duration,
}

impl ForwardAuth {
    /// Says what becomes of a request, within the deadline, and under which id the decision log has it. One that cannot
    /// be read in one way is `None`. `deny_beyond` is the listener's.
    pub(in crate::sidecar) fn ask(
        &self,
        state: &State,
        worker: &mut Worker,
        (original, from): (Option<&Original<'_>>, Asker<'_>),
        headers: &HeaderMap,
        deny_beyond: Option<Duration>,
    ) -> (Asked, Option<DecisionId>) {
        worker.begin();
        worker.held = None;
        let mut route = None;
        let until = state.clock().since_boot().saturating_add(self.deadline);
        let mut asked = match original {
            Some(original) => {
                let bounds = (deny_beyond, until);
                self.judge(state, worker, (original, headers), bounds, &mut route)
            }
            None => Asked::malformed(),
        };
        if state.clock().since_boot() > until {
            // Whatever it was: nobody waits for it any more, and the facts it rests on are old.
            asked = Asked::plain(DoorOutcome::Late, "deadline");
        }
        let id = note(state, worker, &asked, route, original, from);
        worker.finish();
        (asked, id)
    }

    fn judge<'s>(
        &'s self,
        state: &State,
        worker: &mut Worker,
        (original, headers): (&Original<'_>, &HeaderMap),
        (deny_beyond, until): (Option<Duration>, Duration),
        decided_by: &mut Option<&'s Route>,
    ) -> Asked {
        let site = self.gates.site(&original.host);
        // The proxy hands it to the gate itself; the app behind must never see a code.
        if site.is_some_and(|site| site.reserves(&original.path)) {
            return Asked::plain(DoorOutcome::Unmatched, "reserved");
        }
        let find = |method| self.routes.find(method, &original.host, &original.path);
        if let Some(Ok(found)) = original.preflight.map(find)
            && found.route.preflight
        {
            *decided_by = Some(found.route);
            return Asked::plain(DoorOutcome::Allowed, "preflight");
        }
        let Ok(Found { route, subdomain }) = find(original.method) else {
            return Asked::plain(DoorOutcome::Unmatched, "unmatched");
        };
        *decided_by = Some(route);
        if matches!(route.access, Access::Public) {
            return Asked::plain(DoorOutcome::Allowed, "public");
        }
        let asking = Asking {
            state,
            original,
            headers,
            route,
            until,
            subdomain,
            deny_beyond: match (route.deny_beyond, deny_beyond) {
                (Some(one), Some(other)) => one.min(other),
                (one, other) => one.or(other).unwrap_or(DENY_BEYOND),
            },
        };
        let asked = match (Credential::read(original, headers, site), &self.tokens) {
            (Err(asked), _) => asked,
            (Ok(None), _) => Asked::plain(DoorOutcome::Anonymous, "anonymous"),
            (Ok(_), None) => Asked::plain(DoorOutcome::BadToken, "invalid_token"),
            (Ok(Some(credential)), Some(rules)) => {
                let mut asked = asking.admit(worker, rules, &credential);
                if asked.reason != BOUND_TOKEN {
                    asked.scheme = credential.scheme();
                }
                asked
            }
        };
        match site {
            Some(site) if asking.may_log_in(&asked) => Asked {
                login: Some(site.login_url(original.target)),
                detail: asked.detail,
                ..Asked::plain(DoorOutcome::Login, asked.reason)
            },
            _ => asked,
        }
    }
}

impl Asking<'_> {
    /// Whether a person who logs in now may have another answer: nobody is known, or only by what does
    /// not count any more.
    fn may_log_in(&self, asked: &Asked) -> bool {
        let by_cookie = self.original.authorization.is_none();
        matches!(
            asked.outcome,
            DoorOutcome::Anonymous | DoorOutcome::BadToken
        ) && by_cookie
            && is_navigation(self.original.method, self.headers)
    }

    fn admit(&self, worker: &mut Worker, rules: &Rules, credential: &Credential<'_>) -> Asked {
        // Before the token: of facts that are too old, what they say of it is no news either.
        if let Some(stale) = self.stale(self.state.staleness(), None) {
            return stale;
        }
        let token = match credential.verify(self.state, worker, rules) {
            Ok(token) => token,
            Err(refusal) if refusal.is_ours() => {
                return Asked::plain(DoorOutcome::Unsure, refusal.code());
            }
            // Why it is refused is nobody's business but the log's.
            Err(refusal) => {
                return Asked {
                    detail: Some(refusal.code()),
                    ..Asked::plain(DoorOutcome::BadToken, "invalid_token")
                };
            }
        };
        let asked = match self.prove(worker, credential, &token) {
            Ok(()) => self.access(worker, &token),
            Err(asked) => asked,
        };
        Asked {
            token: Some(token),
            ..asked
        }
    }

    /// Whether the route lets the bearer through.
    fn access(&self, worker: &mut Worker, token: &Verified) -> Asked {
        match &self.route.access {
            Access::Public => Asked::plain(DoorOutcome::Allowed, "public"),
            Access::SignedIn if token.user().is_none() => {
                Asked::plain(DoorOutcome::Denied, "not_a_user")
            }
            Access::SignedIn => Asked {
                organization: token.organization,
                ..Asked::plain(DoorOutcome::Allowed, "signed_in")
            },
            Access::Permission(wanted) => self.permission(worker, wanted, token),
        }
    }

    /// Whoever has seen a bound token could send it: its key must be proved (RFC 9449 §7).
    fn prove(
        &self,
        worker: &mut Worker,
        credential: &Credential<'_>,
        bearer: &Verified,
    ) -> Result<(), Asked> {
        let jkt = match (credential.scheme(), bearer.jkt.as_deref()) {
            (Scheme::Bearer, None) => return Ok(()),
            (Scheme::Bearer, Some(_)) => return Err(Asked::unproved(BOUND_TOKEN)),
            (Scheme::Dpop, None) => return Err(Asked::unproved("unbound_token")),
            (Scheme::Dpop, Some(jkt)) => jkt,
        };
        let Some(origin) = &self.route.origin else {
            return Err(Asked::plain(DoorOutcome::Denied, "no_origin"));
        };
        let proof = self.original.proof.and_then(|value| value.to_str().ok());
        let possession = Possession {
            proof: proof.ok_or_else(|| Asked::unproved(INVALID_PROOF))?,
            method: self.original.method,
            url: &origin.url(&self.original.host, self.original.target),
            token: credential.text(),
            jkt,
            holder: bearer
                .user()
                .map_or_else(|| bearer.client_id.as_uuid(), UserId::as_uuid),
        };
        possession.prove(self.state, worker).map_err(|unproved| {
            // For the client's developer, who cannot see the proof as it arrives here.
            tracing::debug!(%unproved, route = %self.route.name, "a proof was refused");
            match unproved {
                Unproved::Invalid(_) | Unproved::OtherKey => Asked::unproved(INVALID_PROOF),
                Unproved::Replayed => Asked::unproved(REPLAYED_PROOF),
                Unproved::Full => Asked::plain(DoorOutcome::Unsure, "proofs_full"),
            }
        })
    }

    fn stale(&self, staleness: Option<Duration>, view: Option<&View>) -> Option<Asked> {
        let stale = staleness.is_none_or(|staleness| staleness > self.deny_beyond);
        stale.then(|| Asked {
            freshness: Some(Freshness {
                revision: view.map_or(Revision::ZERO, View::revision),
                staleness,
            })
            .filter(|_| view.is_some()),
            ..Asked::plain(DoorOutcome::Unsure, Why::Stale.code())
        })
    }

    fn permission(&self, worker: &mut Worker, wanted: &Wanted, token: &Verified) -> Asked {
        let organization = match self.organization(worker, wanted, token) {
            Ok(organization) => organization,
            Err(asked) => return asked,
        };
        let resource_id = wanted
            .resource_id
            .and_then(|place| place.value(&self.original.path));
        let check = TokenCheck {
            organization,
            resource_type: &wanted.resource_type,
            action: wanted.permission.action.as_str(),
            resource_id: resource_id.unwrap_or_default(),
            properties: Properties::default(),
        };
        let mut left = ATTEMPTS;
        loop {
            // Before the view: of one that was loaded first, a newer head may have been heard since.
            let staleness = self.state.staleness();
            let view = self.state.view();
            if let Some(stale) = self.stale(staleness, Some(&view)) {
                return stale;
            }
            worker.overtaken = false;
            let decided = tokens::decide(self.state, &view, worker, token, &check);
            let outcome = decided.unwrap_or(Outcome::deny(Why::BadItem));
            left -= 1;
            let in_time = self.state.clock().since_boot() <= self.until;
            if worker.overtaken && left > 0 && in_time && self.state.overtakes(&view) {
                continue;
            }
            worker.counts.count(outcome);
            let freshness = Some(Freshness {
                revision: view.revision(),
                staleness,
            });
            let asked = if outcome.decision.is_allow() {
                Asked::plain(DoorOutcome::Allowed, outcome.why.code())
            } else {
                denied(outcome.why)
            };
            return Asked {
                organization: Some(organization),
                freshness,
                ..asked
            };
        }
    }

    /// The one organization that the route names.
    fn organization(
        &self,
        worker: &mut Worker,
        wanted: &Wanted,
        token: &Verified,
    ) -> Result<OrganizationId, Asked> {
        let text = match &wanted.organization {
            OrganizationSource::Capture(place) => place.value(&self.original.path),
            OrganizationSource::Subdomain => self.subdomain,
            OrganizationSource::Header(name) => self.header(name)?,
            OrganizationSource::Claim => {
                return token
                    .organization
                    .ok_or_else(|| denied(Why::OrganizationMissing));
            }
            OrganizationSource::Constant(text) => Some(&**text),
        };
        let named = Named {
            context: text.map(Cow::Borrowed),
            resource: None,
        };
        match organization(self.state, worker, &named) {
            Ok(Ok(organization)) => Ok(organization),
            Ok(Err(why)) => Err(denied(why)),
            // Neither an id nor a slug: nobody's.
            Err(_) => Err(denied(Why::OrganizationUnknown)),
        }
    }

    /// A header that may stand once, in no other spelling, and that reaches the program behind.
    fn header(&self, name: &HeaderName) -> Result<Option<&str>, Asked> {
        let twin = self
            .headers
            .keys()
            .any(|other| other != name && is_twin(other.as_str(), name.as_str()));
        let mut values = self.headers.get_all(name).iter();
        let first = values.next();
        if twin || values.next().is_some() || is_hop_by_hop(self.headers, name) {
            return Err(Asked::malformed());
        }
        first
            .map(|value| value.to_str().map_err(|_| Asked::malformed()))
            .transpose()
    }
}

/// A denial by what is known. Whether there is an organization of some name, or a resource elsewhere,
/// is told to nobody who is not in it.
const fn denied(why: Why) -> Asked {
    match why {
        Why::NoCopy | Why::CopyUnreadable | Why::Overtaken | Why::Stale => {
            Asked::plain(DoorOutcome::Unsure, why.code())
        }
        Why::OrganizationUnknown | Why::ResourceElsewhere => {
            Asked::plain(DoorOutcome::Denied, Why::NotMember.code())
        }
        _ => Asked::plain(DoorOutcome::Denied, why.code()),
    }
}
