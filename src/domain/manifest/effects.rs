//! What a plan does to a member: the permissions gained and lost over **all** roles held.
//!
//! A permission withdrawn from one role is not lost by a member who holds it through another.

use std::collections::{BTreeSet, HashMap};

use crate::domain::{PermissionKey, RoleId};

/// What a plan does to one role.
#[derive(Debug, Clone)]
pub struct RoleEffect<'a> {
    /// The role as members hold it now.
    pub role: RoleId,
    /// What it grants now.
    pub before: &'a BTreeSet<PermissionKey>,
    /// What its holders get in its place: the changed role, or the one they move to.
    pub after: &'a BTreeSet<PermissionKey>,
}

/// What a plan does to a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    /// Permissions the member has afterwards and not now.
    pub gains: Vec<PermissionKey>,
    /// Permissions the member has now and not afterwards.
    pub loses: Vec<PermissionKey>,
}

impl Effect {
    /// Whether the member's permissions stay as they are.
    pub const fn is_empty(&self) -> bool {
        self.gains.is_empty() && self.loses.is_empty()
    }
}

/// A set over [`Effects::keys`], one bit each.
type Bits = Vec<u64>;

/// Answers [`Effect`]s for sets of roles.
#[derive(Debug)]
pub struct Effects {
    /// The permissions that any role gains or loses: no others can change for anyone.
    keys: Vec<PermissionKey>,
    /// What the plan's roles grant of them, before and after.
    touched: HashMap<RoleId, (Bits, Bits)>,
    /// What roles that the plan leaves alone grant of them.
    untouched: HashMap<RoleId, Bits>,
}

impl Effects {
    /// Prepares for a plan's roles. `others` are grants of roles that the plan leaves alone; those
    /// that do not matter are skipped.
    pub fn new<'a>(
        roles: &[RoleEffect<'a>],
        others: impl IntoIterator<Item = (RoleId, &'a PermissionKey)>,
    ) -> Self {
        let keys: BTreeSet<&PermissionKey> = roles
            .iter()
            .flat_map(|role| role.before.symmetric_difference(role.after))
            .collect();
        let index: HashMap<&PermissionKey, usize> = keys
            .iter()
            .enumerate()
            .map(|(at, key)| (*key, at))
            .collect();
        let words = keys.len().div_ceil(64);
        let bits = |permissions: &BTreeSet<PermissionKey>| {
            let mut bits = vec![0; words];
            for at in permissions.iter().filter_map(|key| index.get(key)) {
                set(&mut bits, *at);
            }
            bits
        };
        let touched: HashMap<_, _> = roles
            .iter()
            .filter(|role| role.before != role.after)
            .map(|role| (role.role, (bits(role.before), bits(role.after))))
            .collect();
        let mut untouched: HashMap<RoleId, Bits> = roles
            .iter()
            .filter(|role| role.before == role.after)
            .map(|role| (role.role, bits(role.before)))
            .collect();
        for (role, key) in others {
            if let (Some(at), false) = (index.get(key), touched.contains_key(&role)) {
                set(untouched.entry(role).or_insert_with(|| vec![0; words]), *at);
            }
        }
        Self {
            keys: keys.into_iter().cloned().collect(),
            touched,
            untouched,
        }
    }

    /// Whether the plan can change anything for a holder of this role.
    pub fn touches(&self, role: RoleId) -> bool {
        self.touched.contains_key(&role)
    }

    /// The roles whose holders may be affected.
    pub fn touched_roles(&self) -> impl Iterator<Item = RoleId> {
        self.touched.keys().copied()
    }

    /// What a member with these roles gains and loses.
    pub fn of(&self, roles: &[RoleId]) -> Effect {
        let words = self.keys.len().div_ceil(64);
        let (mut before, mut after) = (vec![0; words], vec![0; words]);
        for role in roles {
            if let Some((now, then)) = self.touched.get(role) {
                unite(&mut before, now);
                unite(&mut after, then);
            } else if let Some(always) = self.untouched.get(role) {
                unite(&mut before, always);
                unite(&mut after, always);
            }
        }
        Effect {
            gains: self.only(&after, &before),
            loses: self.only(&before, &after),
        }
    }

    /// The permissions in `bits` and not in `without`.
    fn only(&self, bits: &Bits, without: &Bits) -> Vec<PermissionKey> {
        self.keys
            .iter()
            .enumerate()
            .filter(|(at, _)| has(bits, *at) && !has(without, *at))
            .map(|(_, key)| key.clone())
            .collect()
    }
}

fn set(bits: &mut Bits, at: usize) {
    if let Some(word) = bits.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

fn has(bits: &Bits, at: usize) -> bool {
    bits.get(at / 64)
        .is_some_and(|word| word & (1 << (at % 64)) != 0)
}

fn unite(into: &mut Bits, other: &Bits) {
    for (word, more) in into.iter_mut().zip(other) {
        *word |= more;
    }
}
