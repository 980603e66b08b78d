//! Members, tokens, depends-answers, slugs and instances in memory: the sidecar's only user of moka.
//!
//! moka keeps **members, not answers**: one entry per (organization, user) serves every question
//! about that member, and a change of what a role grants invalidates nothing. Before it stands a
//! small direct-mapped [`Front`] per thread.
//!
//! # No stale fill
//!
//! Every entry carries the generation of its user's slot. A fill loads the generation, *then* reads
//! the copy (an autocommit read, so it begins after the load), then stores with that generation. An
//! apply commits its rows and *then* bumps the slots. Whatever the interleaving, an entry read
//! before a commit carries a generation older than the bump, and is never served after it.
//!
//! A verified token carries five: of its user, client, session and grant, and of the keys. A
//! registered instance carries that of its own slot; a type without instances has no entries.

use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;
use serde_json::{Map, Value};

use crate::domain::{Decision, OrganizationId, UserId};
use crate::policy::role_sets::RoleSetId;
use crate::sidecar::tokens::{TokenStamps, Verified};
use crate::sidecar::view::AsOf;

/// Slots that users, clients, sessions and grants share by hash: half a MiB, and a change of one of
/// them costs the others of its slot one read each.
const SLOTS: usize = 1 << 16;

/// Slots that instances share by hash, apart from the others': whoever registers many at once costs
/// no member a read.
const INSTANCE_SLOTS: usize = 1 << 13;

/// How often each slot, each slot of instances, the table of organizations, and the signing keys have changed.
pub struct Generations {
    slots: Box<[AtomicU64]>,
    instances: Box<[AtomicU64]>,
    organizations: AtomicU64,
    keys: AtomicU64,
}

impl Default for Generations {
    fn default() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            instances: (0..INSTANCE_SLOTS).map(|_| AtomicU64::new(0)).collect(),
            organizations: AtomicU64::new(0),
            keys: AtomicU64::new(0),
        }
    }
}

impl fmt::Debug for Generations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generations").finish_non_exhaustive()
    }
}

impl Generations {
    fn slot(&self, id: u128) -> &AtomicU64 {
        // Always inside: the index is taken modulo the number of slots. The fallback is another
        // counter of the same kind, so even it could only cost misses.
        self.slots
            .get(spread(id) % SLOTS)
            .unwrap_or(&self.organizations)
    }

    fn instance_slot(&self, key: &str) -> &AtomicU64 {
        let hash = foldhash::fast::FixedState::default().hash_one(key);
        let place = usize::try_from(hash).unwrap_or_default() % INSTANCE_SLOTS;
        // As above: always inside.
        self.instances.get(place).unwrap_or(&self.organizations)
    }

    /// The generation of an instance's slot, by `service:resource:id`. To fill a cache, load it
    /// *before* the read begins.
    pub fn instance(&self, key: &str) -> u64 {
        self.instance_slot(key).load(Ordering::Acquire)
    }

    /// Tells that an instance came, went or changed. Only *after* the commit.
    pub fn bump_instance(&self, key: &str) {
        self.instance_slot(key).fetch_add(1, Ordering::AcqRel);
    }

    /// The generation of a user's slot. To fill a cache, load it *before* the read begins.
    pub fn user(&self, user: UserId) -> u64 {
        self.slot(user.as_u128()).load(Ordering::Acquire)
    }

    /// The generation of the slot of any other id. To fill a cache, load it *before* the read begins.
    pub fn id(&self, id: u128) -> u64 {
        self.slot(id).load(Ordering::Acquire)
    }

    /// The generation of the signing keys. Load it *before* they are read.
    pub fn keys(&self) -> u64 {
        self.keys.load(Ordering::Acquire)
    }

    /// The generation of the table of organizations.
    pub fn organizations(&self) -> u64 {
        self.organizations.load(Ordering::Acquire)
    }

    /// Tells that a user's rows changed. Only *after* they are committed.
    pub fn bump_user(&self, user: UserId) {
        self.slot(user.as_u128()).fetch_add(1, Ordering::AcqRel);
    }

    /// Tells that rows of any other id changed. Only *after* they are committed.
    pub fn bump_id(&self, id: u128) {
        self.slot(id).fetch_add(1, Ordering::AcqRel);
    }

    /// Tells that signing keys changed. Only *after* the commit.
    pub fn bump_keys(&self) {
        self.keys.fetch_add(1, Ordering::AcqRel);
    }

    /// Tells that organizations changed. Only *after* the commit.
    pub fn bump_organizations(&self) {
        self.organizations.fetch_add(1, Ordering::AcqRel);
    }

    /// Tells that everything changed: the copy's file was replaced.
    pub fn bump_all(&self) {
        for slot in self.slots.iter().chain(&self.instances) {
            slot.fetch_add(1, Ordering::AcqRel);
        }
        self.bump_organizations();
        self.bump_keys();
    }
}

/// Spreads an id over slots. Ids minted in one millisecond differ in their low half only.
#[expect(
    clippy::cast_possible_truncation,
    reason = "folding to 64 bits is the point; the result is used modulo a power of two"
)]
const fn spread(id: u128) -> usize {
    let folded = (id as u64) ^ ((id >> 64) as u64);
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize
}

/// Whether a user counts as a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A member.
    Member,
    /// Not a member of that organization, or unknown altogether.
    Stranger,
    /// The user is suspended.
    Suspended,
    /// The user was erased.
    Deleted,
}

/// What a check needs to know of (organization, user).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The roles held.
    pub roles: RoleSetId,
    /// Whether they count.
    pub standing: Standing,
    /// The rows this was read from.
    pub as_of: AsOf,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    member: Member,
    generation: u64,
}

/// One thread's own small cache before the shared one. Direct-mapped: a place holds what came last.
pub struct Front(Box<[Place]>);

#[derive(Clone, Copy)]
struct Place {
    organization: u128,
    user: u128,
    entry: Option<Entry>,
}

impl Front {
    /// A front with `entries` places (rounded up to a power of two; at least one).
    pub fn new(entries: usize) -> Self {
        let place = Place {
            organization: 0,
            user: 0,
            entry: None,
        };
        Self(vec![place; entries.max(1).next_power_of_two()].into_boxed_slice())
    }

    fn place(&mut self, organization: u128, user: u128) -> Option<&mut Place> {
        let mask = self.0.len() - 1;
        let index = (spread(user) ^ spread(organization.rotate_left(17))) & mask;
        self.0.get_mut(index)
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Front({} places)", self.0.len())
    }
}

/// Which cache knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// The thread's front.
    Front,
    /// moka.
    Shared,
}

/// Members by (organization, user).
#[derive(Debug)]
pub struct Members {
    shared: Cache<(u128, u128), Entry, foldhash::fast::RandomState>,
}

impl Members {
    /// At most `entries` members, whatever the world's size.
    pub fn new(entries: u64) -> Self {
        Self {
            shared: Cache::builder()
                .max_capacity(entries)
                .build_with_hasher(foldhash::fast::RandomState::default()),
        }
    }

    /// A member as last read, unless its user changed since.
    pub fn find(
        &self,
        generations: &Generations,
        front: &mut Front,
        organization: OrganizationId,
        user: UserId,
    ) -> Option<(Member, Hit)> {
        let (organization, user_key) = (organization.as_u128(), user.as_u128());
        let generation = generations.user(user);
        let place = front.place(organization, user_key)?;
        if place.organization == organization
            && place.user == user_key
            && let Some(entry) = place.entry
            && entry.generation == generation
        {
            return Some((entry.member, Hit::Front));
        }
        let entry = self.shared.get(&(organization, user_key))?;
        if entry.generation != generation {
            return None;
        }
        *place = Place {
            organization,
            user: user_key,
            entry: Some(entry),
        };
        Some((entry.member, Hit::Shared))
    }

    /// Reads a member and keeps it. `None` from `read` means: answer, but do not keep.
    ///
    /// # Errors
    ///
    /// What `read` fails with; nothing is kept then.
    pub fn fill<T, E>(
        &self,
        generations: &Generations,
        front: &mut Front,
        (organization, user): (OrganizationId, UserId),
        read: impl FnOnce() -> Result<(Option<Member>, T), E>,
    ) -> Result<T, E> {
        // Before the read, or a change between read and load would be taken for known.
        let generation = generations.user(user);
        let (member, value) = read()?;
        if let Some(member) = member {
            self.keep(front, organization, user, Entry { member, generation });
        }
        Ok(value)
    }

    fn keep(&self, front: &mut Front, organization: OrganizationId, user: UserId, entry: Entry) {
        let (organization, user) = (organization.as_u128(), user.as_u128());
        self.shared.insert((organization, user), entry);
        if let Some(place) = front.place(organization, user) {
            *place = Place {
                organization,
                user,
                entry: Some(entry),
            };
        }
    }

    /// Forgets one member, in moka and in this front.
    pub fn evict(&self, front: &mut Front, organization: OrganizationId, user: UserId) {
        let (organization, user) = (organization.as_u128(), user.as_u128());
        self.shared.invalidate(&(organization, user));
        if let Some(place) = front.place(organization, user) {
            place.entry = None;
        }
    }

    /// How many members are kept, about.
    pub fn len(&self) -> u64 {
        self.shared.entry_count()
    }

    /// Whether none is, about.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a depends-answer was read under. Any difference, and it is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamps {
    /// The view's count of policy changes.
    pub policy: u64,
    /// The user's slot.
    pub user: u64,
    /// The organizations.
    pub organizations: u64,
    /// The instance's slot; `None` where no instances of the type are registered.
    pub instance: Option<u64>,
}

/// Answers of hand-written policies, by the full canonical bytes of the question.
#[derive(Debug)]
pub struct Depends {
    shared: Cache<Box<[u8]>, (Decision, Stamps), foldhash::fast::RandomState>,
}

impl Depends {
    /// At most about `bytes` of questions and answers.
    pub fn new(bytes: u64) -> Self {
        Self {
            shared: Cache::<Box<[u8]>, _>::builder()
                .max_capacity(bytes)
                .weigher(|key, _| u32::try_from(key.len() + 200).unwrap_or(u32::MAX))
                .build_with_hasher(foldhash::fast::RandomState::default()),
        }
    }

    /// The answer, if nothing it rests on changed.
    pub fn find(&self, question: &[u8], now: Stamps) -> Option<Decision> {
        let (decision, stamps) = self.shared.get(question)?;
        (stamps == now).then_some(decision)
    }

    /// Keeps an answer under the stamps that were loaded before its facts were.
    pub fn keep(&self, question: &[u8], decision: Decision, stamps: Stamps) {
        self.shared.insert(question.into(), (decision, stamps));
    }
}

/// Tokens whose signature was right, by their SHA-256, each with what it was found good under.
#[derive(Debug)]
pub struct Tokens {
    shared: Cache<[u8; 32], (Arc<Verified>, TokenStamps), foldhash::fast::RandomState>,
}

impl Tokens {
    /// At most about `bytes` of them.
    pub fn new(bytes: u64) -> Self {
        Self {
            shared: Cache::<[u8; 32], (Arc<Verified>, TokenStamps)>::builder()
                .max_capacity(bytes)
                .weigher(|_, (verified, _)| {
                    u32::try_from(verified.weight().saturating_add(200)).unwrap_or(u32::MAX)
                })
                .build_with_hasher(foldhash::fast::RandomState::default()),
        }
    }

    /// What is known of the token of this hash. That says nothing of whether it still counts.
    pub fn find(&self, hash: &[u8; 32]) -> Option<(Arc<Verified>, TokenStamps)> {
        self.shared.get(hash)
    }

    /// Keeps a token under stamps that were loaded before its facts were read.
    pub fn keep(&self, hash: [u8; 32], verified: Arc<Verified>, stamps: TokenStamps) {
        self.shared.insert(hash, (verified, stamps));
    }

    /// Forgets one.
    pub fn evict(&self, hash: &[u8; 32]) {
        self.shared.invalidate(hash);
    }

    /// How many are kept, about.
    pub fn len(&self) -> u64 {
        self.shared.entry_count()
    }

    /// Whether none is, about.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is registered of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Where it belongs.
    pub organization: OrganizationId,
    /// Its attributes.
    pub attributes: Map<String, Value>,
}

/// An instance as it was read: registered or not.
#[derive(Debug, Clone)]
pub struct Instance {
    /// What is registered of it, if it is.
    pub registered: Option<Arc<Registered>>,
    /// The rows this was read from.
    pub as_of: AsOf,
    /// Bytes of its attributes.
    pub bytes: usize,
}

/// Instances by `service:resource:id`; those that are not registered are kept too.
#[derive(Debug)]
pub struct Instances {
    shared: Cache<Box<str>, (Instance, u64), foldhash::fast::RandomState>,
}

impl Instances {
    /// At most about `bytes` of them.
    pub fn new(bytes: u64) -> Self {
        Self {
            shared: Cache::<Box<str>, (Instance, u64)>::builder()
                .max_capacity(bytes)
                .weigher(|key, (instance, _)| {
                    // A parsed value takes some times its text.
                    let bytes = key.len() + 4 * instance.bytes + 200;
                    u32::try_from(bytes).unwrap_or(u32::MAX)
                })
                .build_with_hasher(foldhash::fast::RandomState::default()),
        }
    }

    /// An instance as last read, unless it changed since: from here, or by `read`. Says whether it
    /// was here.
    ///
    /// # Errors
    ///
    /// What `read` fails with; nothing is kept then.
    pub fn resolve<E>(
        &self,
        generations: &Generations,
        key: &str,
        read: impl FnOnce() -> Result<Instance, E>,
    ) -> Result<(Instance, bool), E> {
        // Before the read, or a change between read and load would be taken for known.
        let generation = generations.instance(key);
        if let Some((instance, kept_under)) = self.shared.get(key)
            && kept_under == generation
        {
            return Ok((instance, true));
        }
        let instance = read()?;
        self.shared
            .insert(key.into(), (instance.clone(), generation));
        Ok((instance, false))
    }
}

/// Organizations by slug; unknown slugs are kept too.
#[derive(Debug)]
pub struct Slugs {
    shared: Cache<Box<str>, (Option<OrganizationId>, u64), foldhash::fast::RandomState>,
}

impl Slugs {
    /// At most `entries` slugs.
    pub fn new(entries: u64) -> Self {
        Self {
            shared: Cache::builder()
                .max_capacity(entries)
                .build_with_hasher(foldhash::fast::RandomState::default()),
        }
    }

    /// The organization of a slug: from here, or by `read`.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn resolve<E>(
        &self,
        generations: &Generations,
        slug: &str,
        read: impl FnOnce() -> Result<Option<OrganizationId>, E>,
    ) -> Result<Option<OrganizationId>, E> {
        let generation = generations.organizations();
        if let Some((organization, kept_under)) = self.shared.get(slug)
            && kept_under == generation
        {
            return Ok(organization);
        }
        let organization = read()?;
        self.shared.insert(slug.into(), (organization, generation));
        Ok(organization)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;
    use crate::policy::role_sets::RoleSets;

    const ORGANIZATION: OrganizationId = OrganizationId::from_u128(1);
    const USER: UserId = UserId::from_u128(2);

    struct World {
        members: Members,
        generations: Generations,
        front: Front,
        /// The row as committed.
        row: Cell<Member>,
        before: Member,
        after: Member,
    }

    fn world() -> World {
        let sets = RoleSets::new(8);
        let member = |roles: &[u128]| Member {
            roles: sets
                .intern(
                    &roles
                        .iter()
                        .map(|id| crate::domain::RoleId::from_u128(*id))
                        .collect::<Vec<_>>(),
                )
                .unwrap(),
            standing: Standing::Member,
            as_of: AsOf {
                copy: 1,
                revision: crate::domain::Revision::ZERO,
            },
        };
        let (before, after) = (member(&[1]), member(&[]));
        World {
            members: Members::new(100),
            generations: Generations::default(),
            front: Front::new(16),
            row: Cell::new(before),
            before,
            after,
        }
    }

    impl World {
        /// As the follower does: the rows first, then the slot.
        fn apply(&self) {
            self.row.set(self.after);
            self.generations.bump_user(USER);
        }

        fn found(&mut self) -> Option<Member> {
            self.members
                .find(&self.generations, &mut self.front, ORGANIZATION, USER)
                .map(|(member, _)| member)
        }
    }

    type Fill = fn(&mut World, &dyn Fn(&World) -> Member);

    /// The real order.
    fn fill(world: &mut World, read: &dyn Fn(&World) -> Member) {
        let mut front = std::mem::replace(&mut world.front, Front::new(1));
        let this = &*world;
        let filled: Result<(), Infallible> =
            this.members
                .fill(&this.generations, &mut front, (ORGANIZATION, USER), || {
                    Ok((Some(read(this)), ()))
                });
        filled.unwrap();
        world.front = front;
    }

    /// The planted mutant: reads, then loads the generation.
    fn fill_with_orders_swapped(world: &mut World, read: &dyn Fn(&World) -> Member) {
        let member = read(world);
        let generation = world.generations.user(USER);
        world.members.keep(
            &mut world.front,
            ORGANIZATION,
            USER,
            Entry { member, generation },
        );
    }

    /// A reader takes the row, is held there while a change is applied, then goes on. Says whether
    /// the old row is served afterwards.
    fn serves_a_stale_row(fill: Fill) -> bool {
        let mut world = world();
        fill(&mut world, &|world| {
            let pinned = world.row.get();
            world.apply();
            pinned
        });
        world.found() == Some(world.before)
    }

    #[test]
    fn a_reader_pinned_across_an_apply_never_leaves_a_stale_entry() {
        assert!(!serves_a_stale_row(fill));
    }

    #[test]
    fn the_swapped_fill_order_is_caught() {
        assert!(serves_a_stale_row(fill_with_orders_swapped));
    }

    #[test]
    fn bumping_before_the_commit_is_caught_and_bumping_after_it_is_not() {
        let stale_after = |bump_first: bool| {
            let mut world = world();
            if bump_first {
                world.generations.bump_user(USER);
                fill(&mut world, &|world| world.row.get());
                world.row.set(world.after);
            } else {
                world.row.set(world.after);
                fill(&mut world, &|world| world.row.get());
                world.generations.bump_user(USER);
            }
            world.found() == Some(world.before)
        };
        assert!(stale_after(true));
        assert!(!stale_after(false));
    }

    #[test]
    fn a_member_is_found_in_the_front_then_in_moka_and_not_after_a_change() {
        let mut world = world();
        fill(&mut world, &|world| world.row.get());
        let find = |world: &mut World| {
            world
                .members
                .find(&world.generations, &mut world.front, ORGANIZATION, USER)
        };
        assert_eq!(find(&mut world), Some((world.before, Hit::Front)));
        world.front = Front::new(16);
        assert_eq!(find(&mut world), Some((world.before, Hit::Shared)));
        assert_eq!(find(&mut world), Some((world.before, Hit::Front)));
        world.apply();
        assert_eq!(find(&mut world), None);
    }

    #[test]
    fn a_replaced_copy_invalidates_everybody() {
        let mut world = world();
        fill(&mut world, &|world| world.row.get());
        world.generations.bump_all();
        assert_eq!(world.found(), None);
    }

    #[test]
    fn ids_of_one_millisecond_spread_over_the_slots() {
        let base = 0x0199_0000_0000_7000_8000_0000_0000_0000_u128;
        let slots: std::collections::HashSet<usize> =
            (0..1000).map(|low| spread(base + low) % SLOTS).collect();
        assert!(slots.len() > 900, "{}", slots.len());
    }

    #[test]
    fn a_depends_answer_lives_until_anything_it_rests_on_changes() {
        let depends = Depends::new(10_000);
        let stamps = Stamps {
            policy: 1,
            user: 2,
            organizations: 3,
            instance: None,
        };
        depends.keep(b"question", Decision::Allow, stamps);
        assert_eq!(depends.find(b"question", stamps), Some(Decision::Allow));
        assert_eq!(depends.find(b"another", stamps), None);
        for changed in [
            Stamps {
                policy: 9,
                ..stamps
            },
            Stamps { user: 9, ..stamps },
            Stamps {
                organizations: 9,
                ..stamps
            },
            Stamps {
                instance: Some(0),
                ..stamps
            },
        ] {
            assert_eq!(depends.find(b"question", changed), None);
        }
    }

    #[test]
    fn an_instance_read_across_an_apply_is_not_served_after_it() {
        let (instances, generations) = (Instances::new(1 << 20), Generations::default());
        let read = |revision: u64| Instance {
            registered: None,
            as_of: AsOf {
                copy: 1,
                revision: crate::domain::Revision::new(revision),
            },
            bytes: 0,
        };
        let resolve = |key: &str, revision: u64, applied: bool| {
            let resolved: Result<_, Infallible> = instances.resolve(&generations, key, || {
                let pinned = read(revision);
                if applied {
                    generations.bump_instance(key);
                }
                Ok(pinned)
            });
            let (instance, here) = resolved.unwrap();
            (instance.as_of.revision.get(), here)
        };
        assert_eq!(resolve("docs:page:1", 1, true), (1, false));
        assert_eq!(resolve("docs:page:1", 2, false), (2, false));
        assert_eq!(resolve("docs:page:1", 3, false), (2, true));
        assert_eq!(resolve("docs:page:2", 3, false), (3, false));
        generations.bump_all();
        assert_eq!(resolve("docs:page:1", 4, false), (4, false));
    }

    #[test]
    fn a_slug_is_read_again_after_organizations_change() {
        let (slugs, generations) = (Slugs::new(10), Generations::default());
        let resolve = |now: Option<OrganizationId>| {
            let resolved: Result<_, Infallible> = slugs.resolve(&generations, "acme", || Ok(now));
            resolved.unwrap()
        };
        assert_eq!(resolve(None), None);
        assert_eq!(resolve(Some(ORGANIZATION)), None);
        generations.bump_organizations();
        assert_eq!(resolve(Some(ORGANIZATION)), Some(ORGANIZATION));
        assert_eq!(resolve(None), Some(ORGANIZATION));
    }
}
