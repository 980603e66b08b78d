//! The compiled view of all policies, and the hot path: a decision from the memo.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use cedar_policy::{Authorizer, PolicySet};
use foldhash::fast::RandomState;

use crate::domain::{PermissionKey, RoleId, RoleKey};

use super::compile::{
    BuildError, Compiled, CompiledAction, CompiledRole, PolicyFacts, RoleText, compile,
    role_policy_text,
};
use super::custom::{CustomPolicies, CustomPolicy};
use super::memo::Memo;
use super::role_sets::{RoleSetId, RoleSets, Table};

/// The most slices of policies that an engine keeps, some two KiB each; more are built for each
/// request.
const SLICES_MAX: usize = 8192;

/// What the memo answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The roles allow the action on the membership's own organization's resources.
    Allow,
    /// They do not.
    Deny,
    /// A hand-written policy may have a say: ask [`Engine::evaluate`].
    Depends,
}

/// A permission's place in one engine. Means nothing in another one: look it up again after a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ActionIndex(u32);

impl ActionIndex {
    pub(super) const fn place(self) -> usize {
        self.0 as usize
    }
}

/// Policies compiled from one state of the facts. Immutable but for memos, which only ever learn.
pub struct Engine {
    pub(super) compiled: Compiled,
    pub(super) custom: CustomPolicies,
    pub(super) authorizer: Authorizer,
    sets: Arc<RoleSets>,
    lookup: HashMap<Box<str>, HashMap<Box<str>, u32, RandomState>, RandomState>,
    /// For each action the [`Pattern`] of hand-written policies that can match it; 0 is none.
    columns: Box<[u32]>,
    patterns: Vec<Pattern>,
    /// Roles whose action group a hand-written policy names.
    pub(super) named_groups: Vec<u32>,
    states: Table<SetState>,
    /// How many more slices are kept.
    slices_left: AtomicUsize,
}

/// The hand-written policies that can match an action, shared by every action they are for.
struct Pattern {
    policies: Vec<u32>,
    reads_now: bool,
}

/// What an engine learnt about one set of roles.
pub(super) struct SetState {
    /// The roles this engine knows, as sorted places in [`Compiled::roles`].
    pub(super) held: Box<[u32]>,
    memo: OnceLock<Memo>,
    slices: RwLock<HashMap<u32, Arc<PolicySet>, RandomState>>,
}

impl Engine {
    /// Compiles facts and hand-written policies.
    ///
    /// Does not validate the hand-written ones: [`CustomPolicies::load`] did, against the facts of
    /// its day, and a revocation must not wait for an operator.
    ///
    /// # Errors
    ///
    /// [`BuildError`], for facts that the store's constraints rule out.
    pub fn build(
        facts: &PolicyFacts,
        custom: &CustomPolicies,
        sets: Arc<RoleSets>,
    ) -> Result<Self, BuildError> {
        Self::build_with(facts, custom, sets, None, role_policy_text)
    }

    /// A new engine from new facts, sharing what depends on role names alone. It knows no decision
    /// of this one's: memos start empty.
    ///
    /// # Errors
    ///
    /// As [`Self::build`].
    pub fn rebuild(
        &self,
        facts: &PolicyFacts,
        custom: &CustomPolicies,
    ) -> Result<Self, BuildError> {
        let sets = Arc::clone(&self.sets);
        Self::build_with(facts, custom, sets, Some(&self.compiled), role_policy_text)
    }

    pub(super) fn build_with(
        facts: &PolicyFacts,
        custom: &CustomPolicies,
        sets: Arc<RoleSets>,
        previous: Option<&Compiled>,
        role_text: RoleText,
    ) -> Result<Self, BuildError> {
        let compiled = compile(facts, previous, role_text)?;
        let lookup = lookup(&compiled);
        let groups = groups_named(&compiled, custom);
        let (columns, patterns) = columns(&compiled, custom.policies(), &groups, |name| {
            let (resource_type, action) = name.rsplit_once(':')?;
            lookup.get(resource_type)?.get(action).copied()
        });
        let mut named_groups: Vec<u32> = groups.into_values().collect();
        named_groups.sort_unstable();
        Ok(Self {
            compiled,
            custom: custom.clone(),
            authorizer: Authorizer::new(),
            states: Table::new(sets.limit()),
            sets,
            lookup,
            columns,
            patterns,
            named_groups,
            slices_left: AtomicUsize::new(SLICES_MAX),
        })
    }

    /// The permission `action` on `resource_type` (`service:resource`). `None` means that no service
    /// declares it: the caller denies. No allocation.
    pub fn action(&self, resource_type: &str, action: &str) -> Option<ActionIndex> {
        self.lookup
            .get(resource_type)?
            .get(action)
            .copied()
            .map(ActionIndex)
    }

    /// The permission of a key.
    pub fn permission(&self, key: &PermissionKey) -> Option<ActionIndex> {
        self.action(
            &format!("{}:{}", key.service, key.resource),
            key.action.as_str(),
        )
    }

    /// The key of a permission, or `None` for an index of another engine.
    pub fn key(&self, action: ActionIndex) -> Option<&PermissionKey> {
        self.compiled
            .actions
            .get(action.place())
            .map(|action| &action.key)
    }

    /// Every permission declared, in order of name.
    pub fn permissions(&self) -> impl ExactSizeIterator<Item = &PermissionKey> {
        self.compiled.actions.iter().map(|action| &action.key)
    }

    /// The name of a role, or `None` if no service declares it.
    pub fn role(&self, id: RoleId) -> Option<&RoleKey> {
        let index = *self.compiled.role_index.get(&id)?;
        self.compiled
            .roles
            .get(index as usize)
            .map(|role| &role.key)
    }

    /// The interner whose ids [`Self::decide`] takes.
    pub fn sets(&self) -> &Arc<RoleSets> {
        &self.sets
    }

    /// Decides for a member that holds `roles`, on a resource of the member's own organization.
    ///
    /// From the memo; a cell not known yet is filled by Cedar. An index or a set that this engine
    /// cannot know is denied.
    pub fn decide(&self, roles: RoleSetId, action: ActionIndex) -> Verdict {
        match self.columns.get(action.place()) {
            Some(0) => {}
            Some(_) => return Verdict::Depends,
            None => return Verdict::Deny,
        }
        let Some(state) = self.state(roles) else {
            return Verdict::Deny;
        };
        let memo = state
            .memo
            .get_or_init(|| Memo::new(self.compiled.actions.len()));
        let allowed = memo.get(action.place()).unwrap_or_else(|| {
            let allowed = self.fill(state, action);
            memo.set(action.place(), allowed);
            allowed
        });
        if allowed {
            Verdict::Allow
        } else {
            Verdict::Deny
        }
    }

    /// Whether a hand-written policy may have a say about an action.
    pub fn depends(&self, action: ActionIndex) -> bool {
        self.pattern(action) != 0
    }

    /// Whether an action's policies read `context.now`: their answers are not to be cached.
    pub fn depends_on_time(&self, action: ActionIndex) -> bool {
        self.custom.attributes().declares_now()
            && self
                .patterns
                .get(self.pattern(action) as usize)
                .is_some_and(|pattern| pattern.reads_now)
    }

    /// The hand-written policies that can match an action.
    pub(super) fn matching(&self, action: ActionIndex) -> impl Iterator<Item = &CustomPolicy> {
        self.patterns
            .get(self.pattern(action) as usize)
            .into_iter()
            .flat_map(|pattern| &pattern.policies)
            .filter_map(|index| self.custom.policies().get(*index as usize))
    }

    /// The actions of a resource type, in no order.
    pub(super) fn lookup_of(
        &self,
        resource_type: &str,
    ) -> impl Iterator<Item = (&str, ActionIndex)> {
        self.lookup
            .get(resource_type)
            .into_iter()
            .flatten()
            .map(|(name, index)| (name.as_ref(), ActionIndex(*index)))
    }

    pub(super) fn pattern(&self, action: ActionIndex) -> u32 {
        self.columns.get(action.place()).copied().unwrap_or(0)
    }

    fn state(&self, roles: RoleSetId) -> Option<&SetState> {
        self.states.get_or_init(roles.index(), || {
            SetState::new(&self.compiled, &self.sets.roles(roles))
        })
    }

    /// The state of a set of roles given as such; `or` is where one goes that the interner refuses.
    pub(super) fn state_of<'a>(
        &'a self,
        roles: &[RoleId],
        or: &'a mut Option<SetState>,
    ) -> &'a SetState {
        match self.sets.intern(roles).and_then(|id| self.state(id)) {
            Some(state) => state,
            None => or.insert(SetState::new(&self.compiled, roles)),
        }
    }

    /// Every hand-written policy that can match, and the policies of the roles held.
    pub(super) fn slice(&self, state: &SetState, pattern: u32) -> Arc<PolicySet> {
        let known = state
            .slices
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&pattern)
            .map(Arc::clone);
        if let Some(slice) = known {
            return slice;
        }
        let slice = Arc::new(self.make_slice(state, pattern));
        let left = self
            .slices_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        if left.is_ok() {
            let mut slices = state.slices.write().unwrap_or_else(PoisonError::into_inner);
            slices.insert(pattern, Arc::clone(&slice));
        }
        slice
    }

    pub(super) fn make_slice(&self, state: &SetState, pattern: u32) -> PolicySet {
        let custom = self
            .patterns
            .get(pattern as usize)
            .into_iter()
            .flat_map(|pattern| &pattern.policies)
            .filter_map(|index| self.custom.policies().get(*index as usize))
            .map(|custom| &custom.policy);
        let mut slice = PolicySet::new();
        for policy in custom.chain(self.roles(&state.held).map(|role| &role.policy)) {
            let added = slice.add(policy.clone());
            debug_assert!(
                added.is_ok(),
                "ids of roles and hand-written policies differ"
            );
        }
        slice
    }

    pub(super) fn roles<'a>(
        &'a self,
        places: &'a [u32],
    ) -> impl Iterator<Item = &'a Arc<CompiledRole>> {
        places
            .iter()
            .filter_map(|place| self.compiled.roles.get(*place as usize))
    }

    pub(super) fn compiled_action(&self, action: ActionIndex) -> Option<&CompiledAction> {
        self.compiled.actions.get(action.place())
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("roles", &self.compiled.roles.len())
            .field("permissions", &self.compiled.actions.len())
            .field("custom", &self.custom)
            .finish_non_exhaustive()
    }
}

impl SetState {
    /// Roles that no service declares any more grant nothing and are left out.
    fn new(compiled: &Compiled, roles: &[RoleId]) -> Self {
        let mut held: Vec<u32> = roles
            .iter()
            .filter_map(|id| compiled.role_index.get(id).copied())
            .collect();
        held.sort_unstable();
        held.dedup();
        Self {
            held: held.into(),
            memo: OnceLock::new(),
            slices: RwLock::default(),
        }
    }
}

fn lookup(
    compiled: &Compiled,
) -> HashMap<Box<str>, HashMap<Box<str>, u32, RandomState>, RandomState> {
    let mut lookup: HashMap<Box<str>, HashMap<Box<str>, u32, RandomState>, RandomState> =
        HashMap::default();
    for (place, action) in (0..).zip(&compiled.actions) {
        let key = &action.key;
        let resource_type = format!("{}:{}", key.service, key.resource);
        lookup
            .entry(resource_type.into())
            .or_default()
            .insert(key.action.as_str().into(), place);
    }
    lookup
}

/// The action groups that hand-written policies name: by name, the place of the role.
///
/// An action's other groups are left out of evaluations; these have to be there, held or not.
fn groups_named<'a>(compiled: &'a Compiled, custom: &CustomPolicies) -> BTreeMap<&'a str, u32> {
    let named: std::collections::HashSet<&str> = custom
        .policies()
        .iter()
        .flat_map(|custom| custom.named_actions.iter().map(String::as_str))
        .collect();
    if named.is_empty() {
        return BTreeMap::new();
    }
    (0..)
        .zip(&compiled.roles)
        .filter(|(_, role)| named.contains(role.name.as_ref()))
        .map(|(place, role)| (role.name.as_ref(), place))
        .collect()
}

/// Which hand-written policies can match which action, going by scopes alone.
///
/// Roles held are not looked at: a policy for one role makes the column depend for everybody, which
/// costs time and never an answer.
fn columns(
    compiled: &Compiled,
    custom: &[CustomPolicy],
    groups: &BTreeMap<&str, u32>,
    find: impl Fn(&str) -> Option<u32>,
) -> (Box<[u32]>, Vec<Pattern>) {
    let mut matching: Vec<Vec<u32>> = vec![Vec::new(); compiled.actions.len()];
    for (policy, one) in (0..).zip(custom) {
        if !one.scope.principal {
            continue;
        }
        let mut add = |place: usize| {
            let (Some(action), Some(policies)) =
                (compiled.actions.get(place), matching.get_mut(place))
            else {
                return;
            };
            let type_matches = one
                .scope
                .resource_type
                .as_ref()
                .is_none_or(|wanted| *wanted == action.resource_type.to_string());
            if type_matches && policies.last() != Some(&policy) {
                policies.push(policy);
            }
        };
        let Some(names) = &one.scope.actions else {
            (0..compiled.actions.len()).for_each(add);
            continue;
        };
        for name in names {
            if let Some(place) = find(name) {
                add(place as usize);
            } else if let Some(role) = groups.get(name.as_str()) {
                for (place, action) in compiled.actions.iter().enumerate() {
                    if action.granting.binary_search(role).is_ok() {
                        add(place);
                    }
                }
            }
        }
    }
    intern_patterns(matching, custom)
}

fn intern_patterns(matching: Vec<Vec<u32>>, custom: &[CustomPolicy]) -> (Box<[u32]>, Vec<Pattern>) {
    let mut patterns = vec![Pattern {
        policies: Vec::new(),
        reads_now: false,
    }];
    let mut known: HashMap<Vec<u32>, u32, RandomState> = HashMap::default();
    known.insert(Vec::new(), 0);
    let columns = matching
        .into_iter()
        .map(|policies| {
            if let Some(pattern) = known.get(&policies) {
                return *pattern;
            }
            // As many patterns as actions at most, and those were counted in 32 bits.
            let pattern = u32::try_from(patterns.len()).unwrap_or(u32::MAX);
            patterns.push(Pattern {
                reads_now: policies
                    .iter()
                    .filter_map(|index| custom.get(*index as usize))
                    .any(|custom| custom.reads_now),
                policies: policies.clone(),
            });
            known.insert(policies, pattern);
            pattern
        })
        .collect();
    (columns, patterns)
}
