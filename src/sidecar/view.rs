//! What a check is answered from: one immutable [`View`], swapped whole, and the caches beside it.
//!
//! The order of a change is fixed: its policies are compiled, the copy's rows are committed, then
//! generations are bumped, then the new view is published. Whoever sees a view of revision N finds
//! N's rows in the copy and no older member in a cache. Whoever still has the view before it may
//! read a newer member: every member tells [`AsOf`] which rows it is, and a decision never combines
//! one with policies that its revision replaced (`State::goes_with`).

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokio::sync::{Semaphore, watch};

use crate::domain::{Epoch, Freshness, FreshnessToken, Position, Revision};
use crate::policy::{BuildError, CustomPolicies, Engine, PolicyFacts, RoleSets, ScopeMap};
use crate::runtime::Clock;
use crate::sidecar::cache::{Depends, Generations, Instances, Members, Slugs, Tokens};
use crate::sidecar::config::{CacheSizes, Mapping};
use crate::sidecar::tokens::{Keys, Proofs};
use crate::sidecar::why::Why;
use crate::store::replica::{Applied, PolicyRows, ReplicaError, ReplicaReader, Uncommitted};

/// Slugs kept in memory.
const SLUGS: u64 = 50_000;

/// Requests that wait for a revision at a time; further ones are told at once that it is not there.
const WAITING: usize = 1024;

/// How often a thread looks for the view that goes with rows just committed. It is published
/// microseconds after them, unless the thread that does so is not running.
const LOOKS: usize = 4096;

/// Policies compiled from one revision.
#[derive(Debug)]
pub struct View {
    /// Where the copy stands; `None` before there is one.
    pub position: Option<Position>,
    /// The compiled policies.
    pub engine: Arc<Engine>,
    /// What tokens may be used for, by their scopes.
    pub scopes: Arc<ScopeMap>,
    /// The types, `service:resource`, of which instances are registered.
    pub instance_types: Arc<InstanceTypes>,
    /// How many times policies changed: answers of hand-written policies are kept under it.
    pub policies: u64,
    /// Which of the copy's files it was compiled from.
    copy: u64,
}

/// Which rows something was read from: the copy's files are numbered, each has its revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AsOf {
    /// The file.
    pub copy: u64,
    /// Where it stood.
    pub revision: Revision,
}

/// Types, `service:resource`.
type InstanceTypes = HashSet<String, foldhash::fast::RandomState>;

impl View {
    /// Whether instances of a type are registered: if not, nothing is to be looked up.
    pub fn has_instances(&self, resource_type: &str) -> bool {
        !self.instance_types.is_empty() && self.instance_types.contains(resource_type)
    }

    /// The revision that answers carry; zero before there is a copy.
    pub fn revision(&self) -> Revision {
        self.position
            .map_or(Revision::ZERO, |position| position.revision)
    }

    /// The rows that its policies go with.
    pub fn as_of(&self) -> AsOf {
        AsOf {
            copy: self.copy,
            revision: self.revision(),
        }
    }
}

/// Policies that wait for their rows to be committed.
#[derive(Debug)]
struct Prepared {
    position: Position,
    built: Built,
}

/// What is compiled from one state of the facts.
#[derive(Debug, Clone)]
struct Built {
    engine: Arc<Engine>,
    scopes: Arc<ScopeMap>,
    instance_types: Arc<InstanceTypes>,
}

impl Built {
    fn of(view: &View) -> Self {
        Self {
            engine: Arc::clone(&view.engine),
            scopes: Arc::clone(&view.scopes),
            instance_types: Arc::clone(&view.instance_types),
        }
    }
}

/// The copy's file; threads reopen their readers when the number grows.
#[derive(Debug)]
pub(super) struct CopyFile {
    pub(super) path: PathBuf,
    pub(super) number: u64,
}

/// Why a copy or a change of policies was not taken up. The old view keeps serving.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The copy cannot be read.
    #[error("the copy cannot be read")]
    Copy(#[from] ReplicaError),
    /// The facts do not compile.
    #[error("the facts do not compile")]
    Policies(#[from] BuildError),
}

/// How the follower is doing, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Whether the last thing heard was a verified head.
    pub connected: bool,
    /// Why it last was not.
    pub last_problem: Option<String>,
}

/// Everything that decisions share.
pub struct State {
    view: ArcSwap<View>,
    copy: ArcSwapOption<CopyFile>,
    pub(super) generations: Generations,
    pub(super) members: Members,
    pub(super) tokens: Tokens,
    pub(super) keys: Keys,
    pub(super) proofs: Proofs,
    pub(super) depends: Depends,
    pub(super) slugs: Slugs,
    pub(super) instances: Instances,
    pub(super) mapping: Mapping,
    custom: CustomPolicies,
    /// Set while the last change of policies could not be compiled.
    behind: AtomicBool,
    /// The number that policies of the newest rows have, or will have once they are published.
    announced: AtomicU64,
    prepared: Mutex<Option<Prepared>>,
    /// A file that replaced the copy and could not be taken up yet.
    wanted: Mutex<Option<PathBuf>>,
    waiting: Semaphore,
    heard: Heard,
    applied: watch::Sender<Option<Position>>,
    /// Earlier epochs of the copy's history, each with its last revision.
    past: ArcSwap<Vec<(Epoch, Revision)>>,
    link: Mutex<Link>,
    policies_problem: Mutex<Option<String>>,
    clock: Arc<dyn Clock>,
    front_entries: usize,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("position", &self.view.load().position)
            .finish_non_exhaustive()
    }
}

impl State {
    /// A state without a copy: it denies everything and says why.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if not even an empty set of facts compiles with these policies.
    pub fn new(
        sizes: &CacheSizes,
        mapping: Mapping,
        custom: CustomPolicies,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BuildError> {
        let sets = Arc::new(RoleSets::new(sizes.role_sets));
        let engine = Arc::new(Engine::build(&PolicyFacts::default(), &custom, sets)?);
        Ok(Self {
            view: ArcSwap::from_pointee(View {
                position: None,
                engine,
                scopes: Arc::default(),
                instance_types: Arc::default(),
                policies: 0,
                copy: 0,
            }),
            copy: ArcSwapOption::empty(),
            generations: Generations::default(),
            members: Members::new(sizes.members),
            tokens: Tokens::new(sizes.token_bytes),
            keys: Keys::default(),
            proofs: Proofs::new(sizes.proof_bytes),
            depends: Depends::new(sizes.depends_bytes),
            slugs: Slugs::new(SLUGS),
            instances: Instances::new(sizes.instance_bytes),
            mapping,
            custom,
            behind: AtomicBool::new(false),
            announced: AtomicU64::new(0),
            prepared: Mutex::default(),
            wanted: Mutex::default(),
            waiting: Semaphore::new(WAITING),
            heard: Heard::default(),
            applied: watch::Sender::new(None),
            past: ArcSwap::default(),
            link: Mutex::default(),
            policies_problem: Mutex::default(),
            clock,
            front_entries: sizes.front,
        })
    }

    /// The current view: load it once per request.
    pub fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// How many places a thread's front has.
    pub(super) const fn front_entries(&self) -> usize {
        self.front_entries
    }

    /// The copy's file, if there is one.
    pub(super) fn copy(&self) -> Guard<Option<Arc<CopyFile>>> {
        self.copy.load()
    }

    /// The file of the copy that decisions read.
    pub fn copy_path(&self) -> Option<PathBuf> {
        self.copy.load().as_ref().map(|copy| copy.path.clone())
    }

    /// Takes up a copy's file: at start, and when a snapshot replaced it.
    ///
    /// # Errors
    ///
    /// [`AdoptError`]: the old view and file keep serving, and no change or head is believed to be
    /// theirs. The file is tried again with the next one.
    pub fn adopt(&self, path: &Path) -> Result<Position, AdoptError> {
        *lock(&self.wanted) = Some(path.to_owned());
        let (position, built) = self.compile(path)?;
        let old = self.view.load_full();
        // Before the file is swapped: who reads the new one knows that its policies are others.
        self.announced.store(old.policies + 1, Ordering::Release);
        let number = self.copy.load().as_ref().map_or(0, |copy| copy.number) + 1;
        self.copy.store(Some(Arc::new(CopyFile {
            path: path.to_owned(),
            number,
        })));
        // After the file is swapped: who loads a bumped generation reads the new file.
        self.generations.bump_all();
        if old.position.is_some_and(|before| {
            before.epoch != position.epoch || before.revision > position.revision
        }) {
            // Another history, or back in this one: what was heard says nothing here.
            self.heard.forget();
        }
        self.publish(View {
            position: Some(position),
            engine: built.engine,
            scopes: built.scopes,
            instance_types: built.instance_types,
            policies: old.policies + 1,
            copy: number,
        });
        *lock(&self.wanted) = None;
        Ok(position)
    }

    /// Compiles the policies of a change that is not committed yet, for [`Self::apply`].
    ///
    /// # Errors
    ///
    /// [`AdoptError`]: do not commit it.
    pub fn prepare(&self, change: &Uncommitted<'_>) -> Result<(), AdoptError> {
        let rows = change.policy_rows()?;
        let prepared = Prepared {
            position: rows.position,
            built: self.build(rows)?,
        };
        *lock(&self.prepared) = Some(prepared);
        let next = self.view.load().policies + 1;
        self.announced.store(next, Ordering::Release);
        Ok(())
    }

    /// Takes up a change whose rows are committed to the copy.
    ///
    /// # Errors
    ///
    /// [`AdoptError`]: caches are right, but the old policies keep serving and the revision stays.
    pub fn apply(&self, applied: &Applied) -> Result<(), AdoptError> {
        let wanted = lock(&self.wanted).clone();
        if let Some(path) = wanted {
            return self.adopt(&path).map(|_| ());
        }
        let prepared = lock(&self.prepared)
            .take()
            .filter(|prepared| prepared.position == applied.position);
        let old = self.view.load_full();
        let recompile = applied.policy_changed || self.behind.load(Ordering::Acquire);
        self.announced
            .store(old.policies + u64::from(recompile), Ordering::Release);
        for user in &applied.touched_users {
            self.generations.bump_user(*user);
        }
        self.bump_tokens(applied);
        if applied.organizations_changed {
            self.generations.bump_organizations();
        }
        for instance in &applied.touched_instances {
            self.generations.bump_instance(instance);
        }
        let mut built = match prepared {
            _ if !recompile => Built::of(&old),
            Some(prepared) => {
                self.behind.store(false, Ordering::Release);
                prepared.built
            }
            None => self.compile(&self.file()?)?.1,
        };
        if let Some(types) = &applied.instance_types {
            built.instance_types = Arc::new(types.iter().cloned().collect());
        }
        self.publish(View {
            position: Some(applied.position),
            engine: built.engine,
            scopes: built.scopes,
            instance_types: built.instance_types,
            policies: old.policies + u64::from(recompile),
            copy: old.copy,
        });
        Ok(())
    }

    /// What tokens rest on besides their users.
    fn bump_tokens(&self, applied: &Applied) {
        let clients = applied.touched_clients.iter().map(|id| id.as_u128());
        let sessions = applied.touched_sessions.iter().map(|id| id.as_u128());
        let grants = applied.touched_grants.iter().map(|id| id.as_u128());
        for id in clients.chain(sessions).chain(grants) {
            self.generations.bump_id(id);
        }
        if applied.keys_changed {
            self.generations.bump_keys();
        }
    }

    /// Tries again what could not be taken up.
    fn catch_up(&self) -> Result<(), AdoptError> {
        let wanted = lock(&self.wanted).clone();
        if let Some(path) = wanted {
            return self.adopt(&path).map(|_| ());
        }
        if self.behind.load(Ordering::Acquire) {
            let (position, built) = self.compile(&self.file()?)?;
            let old = self.view.load_full();
            self.publish(View {
                position: Some(position),
                engine: built.engine,
                scopes: built.scopes,
                instance_types: built.instance_types,
                policies: old.policies + 1,
                copy: old.copy,
            });
        }
        Ok(())
    }

    fn file(&self) -> Result<PathBuf, ReplicaError> {
        self.copy_path()
            .ok_or_else(|| ReplicaError::Unavailable("there is no copy yet".to_owned()))
    }

    fn compile(&self, path: &Path) -> Result<(Position, Built), AdoptError> {
        // Until it succeeds, no later change may pass for a view of its revision.
        self.behind.store(true, Ordering::Release);
        let rows = ReplicaReader::open(path)?.policy_facts()?;
        let position = rows.position;
        let built = self.build(rows)?;
        self.behind.store(false, Ordering::Release);
        Ok((position, built))
    }

    fn build(&self, rows: PolicyRows) -> Result<Built, BuildError> {
        let facts = PolicyFacts {
            roles: rows.roles,
            permissions: rows.permissions,
            grants: rows.grants,
        };
        let engine = self.view.load().engine.rebuild(&facts, &self.custom)?;
        let scopes = ScopeMap::build(&engine, &facts.permissions, &rows.scopes);
        Ok(Built {
            engine: Arc::new(engine),
            scopes: Arc::new(scopes),
            instance_types: Arc::new(rows.instance_types.into_iter().collect()),
        })
    }

    /// Whether a member that was read `as_of` may be decided by this view's policies: it is of the
    /// view's rows, or policies have not changed between them.
    pub(super) fn goes_with(&self, view: &View, as_of: AsOf) -> bool {
        // Policies are announced before the rows that they go with can be read.
        as_of <= view.as_of() || self.announced.load(Ordering::Acquire) == view.policies
    }

    /// Waits for a newer view than this one, microseconds as a rule. `false`: none came.
    pub(super) fn overtakes(&self, view: &View) -> bool {
        for _ in 0..LOOKS {
            if self.view.load().as_of() != view.as_of() {
                return true;
            }
            if self.behind.load(Ordering::Acquire) {
                return false;
            }
            std::thread::yield_now();
        }
        false
    }

    fn publish(&self, view: View) {
        let position = view.position;
        if position.map(|now| now.epoch) != self.view.load().position.map(|old| old.epoch) {
            self.learn_epochs();
        }
        self.view.store(Arc::new(view));
        if let Some(position) = position {
            self.heard.caught_up(position.revision);
        }
        self.applied.send_replace(position);
    }

    /// Reads the epochs that led to the copy's. Without them their tokens are unknown, no more.
    fn learn_epochs(&self) {
        let read = self
            .copy_path()
            .map(|path| ReplicaReader::open(&path).and_then(|reader| reader.past_epochs()));
        let past = match read {
            Some(Ok(past)) => past,
            Some(Err(error)) => {
                tracing::warn!(%error, "the copy's epochs cannot be read");
                Vec::new()
            }
            None => Vec::new(),
        };
        self.past.store(Arc::new(past));
    }

    /// What is wrong with the hand-written policies that serve, if anything is.
    pub fn policies_problem(&self) -> Option<String> {
        lock(&self.policies_problem).clone()
    }

    /// Notes what is wrong with them, or that nothing is. They serve on: a forbid is never dropped.
    pub(super) fn judge_policies(&self, problem: Option<String>) {
        *lock(&self.policies_problem) = problem;
    }

    /// How the follower is doing.
    pub fn link(&self) -> Link {
        self.link
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes that the authority is out of reach, or that something it sent was refused.
    pub fn lose(&self, problem: String) {
        let was = {
            let mut link = lock(&self.link);
            link.last_problem = Some(problem);
            std::mem::replace(&mut link.connected, false)
        };
        if was {
            self.applied.send_modify(|_| {});
        }
    }

    /// Wakes whoever watches when the copy moved on, or the authority was lost or heard again.
    pub(super) fn changes(&self) -> watch::Receiver<Option<Position>> {
        self.applied.subscribe()
    }

    /// Notes a verified head: at `at_boot`, the authority stood at `head`.
    ///
    /// # Errors
    ///
    /// [`AdoptError`]: the copy has facts that were not taken up, so the head says nothing of those
    /// that serve.
    pub fn hear(&self, head: Revision, at_boot: Duration) -> Result<(), AdoptError> {
        self.catch_up()?;
        let was = std::mem::replace(&mut lock(&self.link).connected, true);
        self.heard.head(head, at_boot, self.view.load().revision());
        if !was {
            self.applied.send_modify(|_| {});
        }
        Ok(())
    }

    /// For how long there may be newer facts than ours. Ask *before* loading the view: of a view
    /// that was loaded first, a newer head may have been heard since.
    pub fn staleness(&self) -> Option<Duration> {
        self.heard
            .fresh_at()
            .map(|at| self.clock.since_boot().saturating_sub(at))
    }

    /// Where a view stands and how stale it may be, for people.
    pub fn freshness(&self, view: &View) -> Freshness {
        Freshness {
            revision: view.revision(),
            staleness: self.staleness(),
        }
    }

    /// Waits until the copy knows the write that a token tells of. One of an earlier epoch is known
    /// when it came before that epoch's end, and lost when it came after; one of an epoch never heard
    /// of may be of one that is just beginning.
    ///
    /// # Errors
    ///
    /// [`Why::NotYetApplied`] after `wait`, or at once while too many wait; [`Why::UnknownEpoch`] at
    /// once for a write that was lost, and after `wait` for another history; [`Why::NoCopy`].
    pub async fn reach(&self, token: FreshnessToken, wait: Duration) -> Result<(), Why> {
        let last_of = |epoch| {
            let past = self.past.load();
            past.iter()
                .find_map(|(past, last)| (*past == epoch).then_some(*last))
        };
        let reached = |position: &Option<Position>| {
            position.is_some_and(|position| {
                if position.epoch == token.epoch {
                    position.revision >= token.revision
                } else {
                    last_of(token.epoch).is_some()
                }
            })
        };
        let now = self.view.load().position;
        let position = match self.waiting.try_acquire() {
            Ok(_place) if !reached(&now) => {
                let mut applied = self.applied.subscribe();
                match tokio::time::timeout(wait, applied.wait_for(reached)).await {
                    Ok(Ok(position)) => *position,
                    Ok(Err(_)) | Err(_) => self.view.load().position,
                }
            }
            Ok(_) | Err(_) => now,
        };
        match position {
            None => Err(Why::NoCopy),
            Some(position) if position.epoch != token.epoch => match last_of(token.epoch) {
                Some(last) if token.revision <= last => Ok(()),
                Some(_) | None => Err(Why::UnknownEpoch),
            },
            Some(position) if position.revision < token.revision => Err(Why::NotYetApplied),
            Some(_) => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When it was last known that nothing newer exists.
#[derive(Debug, Default)]
struct Heard {
    /// Microseconds since boot, plus one; zero is never.
    fresh_at: AtomicU64,
    /// A head that the copy has yet to reach.
    ahead: Mutex<Option<(Revision, Duration)>>,
}

impl Heard {
    fn fresh_at(&self) -> Option<Duration> {
        self.fresh_at
            .load(Ordering::Acquire)
            .checked_sub(1)
            .map(Duration::from_micros)
    }

    fn set(&self, at: Duration) {
        let micros = u64::try_from(at.as_micros()).unwrap_or(u64::MAX - 1);
        self.fresh_at.fetch_max(micros + 1, Ordering::AcqRel);
    }

    fn head(&self, head: Revision, at: Duration, applied: Revision) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if head <= applied {
            *ahead = None;
            self.set(at);
        } else {
            // Only the newest matters: reaching it is reaching all before it.
            *ahead = Some((head, at));
        }
    }

    fn caught_up(&self, applied: Revision) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((head, at)) = *ahead
            && head <= applied
        {
            *ahead = None;
            self.set(at);
        }
    }

    fn forget(&self) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = None;
        self.fresh_at.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staleness_is_unknown_until_a_head_is_reached() {
        let heard = Heard::default();
        assert_eq!(heard.fresh_at(), None);
        heard.head(Revision::new(5), Duration::from_secs(10), Revision::new(4));
        assert_eq!(heard.fresh_at(), None);
        heard.caught_up(Revision::new(4));
        assert_eq!(heard.fresh_at(), None);
        heard.caught_up(Revision::new(5));
        assert_eq!(heard.fresh_at(), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_head_that_is_reached_late_counts_from_when_it_was_the_head() {
        let heard = Heard::default();
        heard.head(Revision::new(5), Duration::from_secs(10), Revision::new(5));
        heard.head(Revision::new(9), Duration::from_secs(11), Revision::new(5));
        assert_eq!(heard.fresh_at(), Some(Duration::from_secs(10)));
        heard.caught_up(Revision::new(9));
        assert_eq!(heard.fresh_at(), Some(Duration::from_secs(11)));
        heard.head(Revision::new(9), Duration::from_secs(3), Revision::new(9));
        assert_eq!(heard.fresh_at(), Some(Duration::from_secs(11)));
    }
}
