//! Large worlds, the same for the same seed, without keeping them in memory.
//!
//! Everything is a function of (seed, what, index): the generator has no state, so the loader and
//! the questions asked of the loaded world agree without passing anything between them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::domain::manifest::{
    Declaration, DeclaredPermission, DeclaredRole, Manifest, default_assignable_by,
};
use crate::domain::{
    ActionName, MemberId, NameError, OrganizationId, PermissionKey, ResourceName, RoleKey,
    RoleName, ServiceName, Timestamp, UserId,
};

/// How large a world is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WorldSize {
    /// Memberships.
    pub members: u64,
    /// Organizations; the first ones are the largest.
    pub organizations: u64,
    /// Services, each with a manifest.
    pub services: u64,
    /// Roles of each service.
    pub roles: u64,
    /// Permissions of each service.
    pub permissions: u64,
}

/// A world that can be asked for any of its parts.
#[derive(Debug)]
pub(super) struct World {
    size: WorldSize,
    seed: u64,
    /// Ids carry times; the world began at this one.
    began: Timestamp,
    services: Vec<Declared>,
    /// The first membership of each organization, and the end.
    starts: Vec<u64>,
}

/// One service's names, by index.
#[derive(Debug)]
struct Declared {
    name: ServiceName,
    roles: Vec<RoleName>,
    permissions: Vec<PermissionKey>,
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Membership {
    pub id: MemberId,
    pub organization: u64,
    pub user: u64,
    /// The primary role first.
    pub roles: Vec<RoleKey>,
}

/// A question with its known answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub organization: OrganizationId,
    pub user: UserId,
    pub permission: PermissionKey,
    pub allowed: bool,
}

/// What a number is drawn for. Never reorder: it changes every world.
#[derive(Clone, Copy)]
enum For {
    UserId,
    OrganizationId,
    MemberId,
    Guest,
    GuestUser,
    Role,
    Further,
    Grant,
    Name,
    Question,
}

/// One membership in this many belongs to somebody whose home is another organization.
const GUESTS: u64 = 7;

/// None of them is a service of the demo: both live in one installation.
const SERVICES: [&str; 12] = [
    "orders",
    "inventory",
    "shipping",
    "tickets",
    "calendar",
    "search",
    "mail",
    "reports",
    "storage",
    "builds",
    "alerts",
    "wiki",
];
const ROLES: [&str; 5] = ["viewer", "editor", "operator", "auditor", "admin"];
const RESOURCES: [&str; 10] = [
    "invoice", "file", "project", "ticket", "event", "report", "bucket", "pipeline", "page",
    "policy",
];
const ACTIONS: [&str; 10] = [
    "read", "list", "create", "update", "delete", "share", "approve", "export", "archive",
    "restore",
];
const FIRST_NAMES: [&str; 12] = [
    "Ada", "Bruno", "Chidi", "Dilek", "Emil", "Fatou", "Goran", "Hana", "Ines", "Jun", "Kwame",
    "Leila",
];
const LAST_NAMES: [&str; 12] = [
    "Abara", "Berg", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Horvat", "Ito", "Jansen",
    "Kowalski", "Larsen",
];
const PLACES: [&str; 12] = [
    "Harbor", "Meadow", "Summit", "River", "Forest", "Canyon", "Island", "Valley", "Bridge",
    "Garden", "Lantern", "Orchard",
];
const TEMPERS: [&str; 12] = [
    "Quiet", "Bright", "Early", "Copper", "Silver", "Gentle", "Northern", "Open", "Patient",
    "Rapid", "Steady", "Winter",
];

impl World {
    /// # Errors
    ///
    /// [`NameError`] never happens for these names; it is passed on rather than assumed away.
    pub(super) fn new(size: WorldSize, seed: u64, began: Timestamp) -> Result<Self, NameError> {
        let size = WorldSize {
            organizations: size.organizations.clamp(1, size.members.max(1)),
            members: size.members.max(size.organizations.max(1)),
            services: size.services.max(1),
            roles: size.roles.max(1),
            permissions: size.permissions.max(2),
        };
        let services = (0..size.services)
            .map(|index| declared(index, &size))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            size,
            seed,
            began,
            services,
            starts: organization_starts(size.members, size.organizations),
        })
    }

    /// How large it came out: every organization has a member, every service a role.
    pub(super) fn size(&self) -> WorldSize {
        self.size
    }

    /// What this world is, in one line: equal labels, equal worlds.
    pub(super) fn label(&self) -> String {
        let WorldSize {
            members,
            organizations,
            services,
            roles,
            permissions,
        } = self.size;
        format!(
            "v1 seed={} members={members} organizations={organizations} services={services} \
             roles={roles} permissions={permissions}",
            self.seed
        )
    }

    /// Every service's manifest.
    pub(super) fn manifests(&self) -> Vec<Manifest> {
        self.services
            .iter()
            .enumerate()
            .map(|(index, service)| self.manifest(index, service))
            .collect()
    }

    fn manifest(&self, index: usize, service: &Declared) -> Manifest {
        let permissions = service
            .permissions
            .iter()
            .map(|key| {
                let declared = DeclaredPermission {
                    description: Some(format!("{} {}", key.action, key.resource)),
                    deprecated: false,
                };
                (key.clone(), declared)
            })
            .collect();
        let roles = service
            .roles
            .iter()
            .enumerate()
            .map(|(role, name)| {
                let declared = DeclaredRole {
                    description: Some(format!("The {name} of {}", service.name)),
                    permissions: self.granted(index, role).cloned().collect(),
                    assignable_by: default_assignable_by(),
                    deprecated: false,
                };
                (name.clone(), declared)
            })
            .collect();
        Manifest {
            service: service.name.clone(),
            version: Some(1),
            declared: Declaration {
                permissions,
                roles,
                scopes: BTreeMap::new(),
                grantable_by: BTreeSet::new(),
            },
            replaces: BTreeMap::new(),
        }
    }

    fn granted(&self, service: usize, role: usize) -> impl Iterator<Item = &PermissionKey> {
        self.services
            .get(service)
            .into_iter()
            .flat_map(|declared| declared.permissions.iter().enumerate())
            .filter(move |(permission, _)| self.grants(service, role, *permission))
            .map(|(_, key)| key)
    }

    /// Later roles grant more; the first permission is everybody's and the last one nobody's, so
    /// that each role allows something and denies something.
    fn grants(&self, service: usize, role: usize, permission: usize) -> bool {
        let last = self.size.permissions.saturating_sub(1);
        match permission as u64 {
            0 => true,
            number if number == last => false,
            number => {
                let cell = ((service as u64) << 40) | ((role as u64) << 20) | number;
                let share = 20 + 60 * (role as u64) / self.size.roles;
                self.draw(For::Grant, cell, 0) % 100 < share
            }
        }
    }

    /// The organization's id, name and slug.
    pub(super) fn organization(&self, index: u64) -> (OrganizationId, String, String) {
        let draw = self.draw(For::Name, index, 0);
        let (temper, place) = (pick(&TEMPERS, draw), pick(&PLACES, draw >> 16));
        (
            self.organization_id(index),
            format!("{temper} {place} {index}"),
            format!("{}-{}-{index}", temper.to_lowercase(), place.to_lowercase()),
        )
    }

    /// The id of an organization.
    pub(super) fn organization_id(&self, index: u64) -> OrganizationId {
        OrganizationId::mint(self.at(index), self.bits(For::OrganizationId, index))
    }

    /// The user's id, e-mail and name, when the index is a user's: each membership at home has one.
    pub(super) fn user(&self, index: u64) -> Option<(UserId, String, String)> {
        if !self.is_home(index) {
            return None;
        }
        let draw = self.draw(For::Name, index, 1);
        let (first, last) = (pick(&FIRST_NAMES, draw), pick(&LAST_NAMES, draw >> 16));
        Some((
            self.user_id(index),
            format!("{}.{index}@example.com", first.to_lowercase()),
            format!("{first} {last}"),
        ))
    }

    /// The id of a user.
    pub(super) fn user_id(&self, index: u64) -> UserId {
        UserId::mint(self.at(index), self.bits(For::UserId, index))
    }

    /// The members of an organization, its owner first.
    pub(super) fn members(&self, organization: u64) -> Vec<Membership> {
        let mut guests = HashSet::new();
        self.range(organization)
            .map(|index| Membership {
                id: MemberId::mint(self.at(index), self.bits(For::MemberId, index)),
                organization,
                user: self.member_user(organization, index, &mut guests),
                roles: self.roles_of(index, organization),
            })
            .collect()
    }

    fn range(&self, organization: u64) -> std::ops::Range<u64> {
        let at = |index: u64| {
            usize::try_from(index)
                .ok()
                .and_then(|index| self.starts.get(index).copied())
                .unwrap_or(self.size.members)
        };
        at(organization)..at(organization + 1)
    }

    fn is_first(&self, index: u64) -> bool {
        self.starts.binary_search(&index).is_ok()
    }

    /// Owners and those not drawn as guests are at home: their membership's index is their own.
    /// A guest needs somewhere to come from, so a world of few organizations has none.
    fn is_home(&self, index: u64) -> bool {
        self.size.organizations < 8
            || self.is_first(index)
            || !self.draw(For::Guest, index, 0).is_multiple_of(GUESTS)
    }

    fn member_user(&self, organization: u64, index: u64, guests: &mut HashSet<u64>) -> u64 {
        if self.is_home(index) {
            return index;
        }
        let own = self.range(organization);
        for attempt in 0..64 {
            let user = self.draw(For::GuestUser, index, attempt) % self.size.members;
            if self.is_home(user) && !own.contains(&user) && guests.insert(user) {
                return user;
            }
        }
        // Not likely; then the next one in order who is not here yet.
        (own.end..self.size.members)
            .chain(0..own.start)
            .find(|user| self.is_home(*user) && guests.insert(*user))
            .unwrap_or(index)
    }

    /// The roles of a membership, as (service, role) by index; empty for an owner, who holds
    /// `auth/owner` only.
    fn role_indexes(&self, index: u64) -> Vec<(usize, usize)> {
        let mut held = vec![self.role_drawn(index, 0)];
        let further = match self.draw(For::Further, index, 0) % 8 {
            0 => 2,
            1 => 1,
            _ => 0,
        };
        for number in 1..=further {
            let role = self.role_drawn(index, number);
            if !held.contains(&role) {
                held.push(role);
            }
        }
        held
    }

    fn role_drawn(&self, index: u64, number: u64) -> (usize, usize) {
        let draw = self.draw(For::Role, index, number);
        let service = draw % self.size.services;
        // The smaller of two: more viewers than admins.
        let role = ((draw >> 16) % self.size.roles).min((draw >> 32) % self.size.roles);
        let small = |number: u64| usize::try_from(number).unwrap_or(0);
        (small(service), small(role))
    }

    fn roles_of(&self, index: u64, organization: u64) -> Vec<RoleKey> {
        if self.range(organization).start == index
            && let (Ok(service), Ok(name)) = ("auth".parse(), "owner".parse())
        {
            return vec![RoleKey { service, name }];
        }
        self.role_indexes(index)
            .into_iter()
            .filter_map(|(service, role)| {
                let declared = self.services.get(service)?;
                Some(RoleKey {
                    service: declared.name.clone(),
                    name: declared.roles.get(role)?.clone(),
                })
            })
            .collect()
    }

    /// `count` questions, half of them allowed, spread over the whole world.
    pub(super) fn questions(&self, count: u64) -> impl Iterator<Item = Question> {
        (0..count).map(|number| self.question(number))
    }

    fn question(&self, number: u64) -> Question {
        let allowed = number.is_multiple_of(2);
        let mut index = 0;
        for attempt in 0..64 {
            index = self.draw(For::Question, number, attempt) % self.size.members;
            if self.is_home(index) && !self.is_first(index) {
                break;
            }
        }
        let organization = self.starts.partition_point(|start| *start <= index) as u64 - 1;
        let held = if self.is_first(index) {
            Vec::new()
        } else {
            self.role_indexes(index)
        };
        let draw = self.draw(For::Question, number, 100);
        let (permission, allowed) = self.asked(&held, allowed, draw);
        Question {
            organization: self.organization_id(organization),
            user: self.user_id(index),
            permission,
            allowed,
        }
    }

    /// A permission whose answer for these roles is `allowed`, if there is one.
    fn asked(&self, held: &[(usize, usize)], allowed: bool, draw: u64) -> (PermissionKey, bool) {
        let (service, role) = held.first().copied().unwrap_or((0, 0));
        let permissions = self
            .services
            .get(service)
            .map(|declared| declared.permissions.as_slice())
            .unwrap_or_default();
        let fits = |permission: usize| {
            held.iter()
                .any(|(held, role)| *held == service && self.grants(service, *role, permission))
        };
        let wanted: Vec<usize> = (0..permissions.len())
            .filter(|permission| {
                let granted = if allowed {
                    !held.is_empty() && self.grants(service, role, *permission)
                } else {
                    fits(*permission)
                };
                granted == allowed
            })
            .collect();
        let chosen = wanted
            .get(usize::try_from(draw % (wanted.len().max(1) as u64)).unwrap_or(0))
            .copied()
            .unwrap_or(0);
        let key = permissions.get(chosen).cloned();
        (key.unwrap_or_else(default_assignable_by), fits(chosen))
    }

    fn at(&self, index: u64) -> Timestamp {
        self.began
            .plus(std::time::Duration::from_millis(index / 64))
    }

    fn bits(&self, what: For, index: u64) -> [u8; 10] {
        let (low, high) = (self.draw(what, index, 0), self.draw(what, index, 1));
        let mut bits = [0; 10];
        for (slot, byte) in bits
            .iter_mut()
            .zip(low.to_be_bytes().into_iter().chain(high.to_be_bytes()))
        {
            *slot = byte;
        }
        bits
    }

    /// A number that depends on nothing but the seed and these three (`SplitMix64`'s finalizer
    /// over a Weyl sequence).
    fn draw(&self, what: For, index: u64, attempt: u64) -> u64 {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut state = self.seed;
        for part in [what as u64, index, attempt] {
            state = state.wrapping_add(part.wrapping_add(1).wrapping_mul(GOLDEN));
            state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            state ^= state >> 31;
        }
        state
    }
}

fn pick<'a>(words: &[&'a str], draw: u64) -> &'a str {
    let index = usize::try_from(draw % (words.len() as u64)).unwrap_or(0);
    words.get(index).copied().unwrap_or_default()
}

/// A word, numbered from the second round on: `orders`, …, `wiki`, `orders-2`.
fn numbered(words: &[&str], index: u64) -> String {
    let (round, word) = (index / words.len() as u64, pick(words, index));
    if round == 0 {
        word.to_owned()
    } else {
        format!("{word}-{}", round + 1)
    }
}

fn declared(index: u64, size: &WorldSize) -> Result<Declared, NameError> {
    let name: ServiceName = numbered(&SERVICES, index).parse()?;
    let roles = (0..size.roles)
        .map(|role| numbered(&ROLES, role).parse())
        .collect::<Result<_, _>>()?;
    let per_resource = ACTIONS.len() as u64;
    let permissions = (0..size.permissions)
        .map(|permission| {
            let resource: ResourceName = numbered(&RESOURCES, permission / per_resource).parse()?;
            let action: ActionName = numbered(&ACTIONS, permission % per_resource).parse()?;
            Ok(PermissionKey {
                service: name.clone(),
                resource,
                action,
            })
        })
        .collect::<Result<_, NameError>>()?;
    Ok(Declared {
        name,
        roles,
        permissions,
    })
}

/// Where each organization's memberships begin: a few large ones, many small ones, none empty.
fn organization_starts(members: u64, organizations: u64) -> Vec<u64> {
    // Integer weights, so that every machine builds the same world.
    let weight = |index: u64| 1_000_000_000 / (index + 16);
    let total: u128 = (0..organizations)
        .map(|index| u128::from(weight(index)))
        .sum();
    let spare = u128::from(members - organizations);
    let mut starts = Vec::with_capacity(usize::try_from(organizations).unwrap_or(0) + 1);
    let mut before: u128 = 0;
    for index in 0..organizations {
        let extra = spare * before / total.max(1);
        starts.push(index + u64::try_from(extra).unwrap_or(0));
        before += u128::from(weight(index));
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(members: u64, organizations: u64) -> World {
        let size = WorldSize {
            members,
            organizations,
            services: 14,
            roles: 7,
            permissions: 120,
        };
        World::new(size, 7, Timestamp::from_unix_seconds(1_700_000_000)).unwrap()
    }

    #[test]
    fn every_membership_is_somewhere_once_and_no_organization_is_empty() {
        let world = world(5_000, 300);
        let mut total = 0;
        for organization in 0..300 {
            let members = world.members(organization);
            assert!(!members.is_empty(), "{organization}");
            assert_eq!(members[0].roles[0].to_string(), "auth/owner");
            let users: HashSet<u64> = members.iter().map(|member| member.user).collect();
            assert_eq!(users.len(), members.len(), "twice in {organization}");
            for member in &members {
                assert!(world.user(member.user).is_some(), "nobody: {member:?}");
                let roles: HashSet<_> = member.roles.iter().collect();
                assert_eq!(roles.len(), member.roles.len());
            }
            total += members.len();
        }
        assert_eq!(total, 5_000);
        assert!(world.members(0).len() > 10 * world.members(299).len());
    }

    #[test]
    fn the_same_seed_gives_the_same_world_and_another_one_does_not() {
        assert_eq!(world(500, 20).members(3), world(500, 20).members(3));
        let size = world(500, 20).size();
        let other = World::new(size, 8, Timestamp::from_unix_seconds(1_700_000_000)).unwrap();
        assert_ne!(world(500, 20).members(3), other.members(3));
    }

    #[test]
    fn some_members_have_several_roles_and_some_users_several_organizations() {
        let world = world(2_000, 50);
        let all: Vec<Membership> = (0..50).flat_map(|index| world.members(index)).collect();
        assert!(all.iter().any(|member| member.roles.len() > 1));
        let users: HashSet<u64> = all.iter().map(|member| member.user).collect();
        assert!(users.len() < all.len());
    }

    #[test]
    fn half_of_the_questions_are_allowed_and_each_answer_is_what_the_manifests_say() {
        let world = world(3_000, 100);
        let grants: BTreeMap<RoleKey, BTreeSet<PermissionKey>> = world
            .manifests()
            .into_iter()
            .flat_map(|manifest| {
                let service = manifest.service.clone();
                manifest
                    .declared
                    .roles
                    .into_iter()
                    .map(move |(name, role)| {
                        let service = service.clone();
                        (RoleKey { service, name }, role.permissions)
                    })
            })
            .collect();
        let held: BTreeMap<(OrganizationId, UserId), Vec<RoleKey>> = (0..100)
            .flat_map(|index| world.members(index))
            .map(|member| {
                let organization = world.organization(member.organization).0;
                ((organization, world.user_id(member.user)), member.roles)
            })
            .collect();
        let mut allowed = 0;
        for question in world.questions(400) {
            let roles = &held[&(question.organization, question.user)];
            let granted = roles.iter().any(|role| {
                grants
                    .get(role)
                    .is_some_and(|keys| keys.contains(&question.permission))
            });
            assert_eq!(granted, question.allowed, "{question:?}");
            allowed += u32::from(granted);
        }
        assert_eq!(allowed, 200);
    }

    #[test]
    fn one_organization_holds_everybody_once() {
        let world = world(50, 1);
        let users: HashSet<u64> = world.members(0).iter().map(|member| member.user).collect();
        assert_eq!(users.len(), 50);
    }
}
