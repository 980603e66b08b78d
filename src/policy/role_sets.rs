//! Sets of roles as small integers.
//!
//! A decision that only generated policies can make depends on the set of roles held and on the
//! action, so the set is what caches and memos key on. The interner outlives engines: a member's
//! cache entry stays good when role permissions change.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use crate::domain::RoleId;

/// How many entries of a [`Table`] are allocated together.
const CHUNK: usize = 256;

/// A set of roles, interned. Means nothing outside the [`RoleSets`] that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleSetId(u32);

impl RoleSetId {
    /// The set's place, from zero.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The interner: every distinct set of roles seen, up to a limit, for ever.
pub struct RoleSets {
    limit: usize,
    ids: RwLock<HashMap<Arc<[RoleId]>, RoleSetId, foldhash::fast::RandomState>>,
    sets: Table<Arc<[RoleId]>>,
}

impl RoleSets {
    /// An empty interner that takes at most `limit` distinct sets.
    pub fn new(limit: u32) -> Self {
        let limit = limit as usize;
        Self {
            limit,
            ids: RwLock::default(),
            sets: Table::new(limit),
        }
    }

    /// The id of a set of roles; order and repetition do not matter. `None` when the set is new and
    /// the interner is full: the caller then asks [`super::Engine::evaluate`].
    pub fn intern(&self, roles: &[RoleId]) -> Option<RoleSetId> {
        if roles.is_sorted_by(|a, b| a < b) {
            return self.intern_sorted(roles);
        }
        let mut sorted = roles.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        self.intern_sorted(&sorted)
    }

    fn intern_sorted(&self, roles: &[RoleId]) -> Option<RoleSetId> {
        let known = self
            .ids
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(roles)
            .copied();
        if known.is_some() {
            return known;
        }
        let mut ids = self.ids.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = ids.get(roles) {
            return Some(*id);
        }
        if ids.len() >= self.limit {
            return None;
        }
        let id = RoleSetId(u32::try_from(ids.len()).ok()?);
        let set: Arc<[RoleId]> = roles.into();
        // The set is readable before anybody can learn its id.
        self.sets.get_or_init(id.index(), || Arc::clone(&set))?;
        ids.insert(set, id);
        Some(id)
    }

    /// The roles of a set, sorted. A set that this interner did not give has none.
    pub fn roles(&self, id: RoleSetId) -> Arc<[RoleId]> {
        self.roles_at(id.index())
    }

    /// The roles of the set with this [`RoleSetId::index`]; none where there is no such set.
    pub fn roles_at(&self, index: usize) -> Arc<[RoleId]> {
        self.sets
            .get(index)
            .map_or_else(|| Arc::from([]), Arc::clone)
    }

    /// How many distinct sets are known.
    pub fn len(&self) -> usize {
        self.ids
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether no set is known yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most sets this interner takes.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl fmt::Debug for RoleSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleSets")
            .field("len", &self.len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// A bounded table of values made once, read without a lock, allocated in chunks as it fills.
pub(super) struct Table<T> {
    capacity: usize,
    chunks: Box<[OnceLock<Chunk<T>>]>,
}

type Chunk<T> = Box<[OnceLock<T>]>;

impl<T> Table<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            chunks: (0..capacity.div_ceil(CHUNK))
                .map(|_| OnceLock::new())
                .collect(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.chunks
            .get(index / CHUNK)?
            .get()?
            .get(index % CHUNK)?
            .get()
    }

    /// The value at `index`, made by `make` if there is none; `None` past the capacity.
    pub(super) fn get_or_init(&self, index: usize, make: impl FnOnce() -> T) -> Option<&T> {
        if index >= self.capacity {
            return None;
        }
        let chunk = self
            .chunks
            .get(index / CHUNK)?
            .get_or_init(|| (0..CHUNK).map(|_| OnceLock::new()).collect());
        Some(chunk.get(index % CHUNK)?.get_or_init(make))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(n: u128) -> RoleId {
        RoleId::from_u128(n)
    }

    #[test]
    fn order_and_repetition_make_no_new_set() {
        let sets = RoleSets::new(10);
        let id = sets.intern(&[role(3), role(1), role(3)]).unwrap();
        assert_eq!(sets.intern(&[role(1), role(3)]), Some(id));
        assert_eq!(sets.roles(id).as_ref(), [role(1), role(3)]);
        assert_ne!(sets.intern(&[]), Some(id));
    }

    #[test]
    fn a_full_interner_still_knows_what_it_knew() {
        let sets = RoleSets::new(2);
        let first = sets.intern(&[role(1)]).unwrap();
        sets.intern(&[role(2)]).unwrap();
        assert_eq!(sets.intern(&[role(3)]), None);
        assert_eq!(sets.intern(&[role(1)]), Some(first));
        assert_eq!(sets.len(), 2);
    }

    #[test]
    fn threads_that_intern_the_same_sets_agree() {
        let sets = RoleSets::new(1000);
        let ids: Vec<Vec<RoleSetId>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..600)
                            .map(|n| sets.intern(&[role(n), role(n + 1)]).unwrap())
                            .collect()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(sets.len(), 600);
    }
}
