//! Puts a generated world into a store: manifests through the service, rows in bulk.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::error::CliError;
use super::super::output::Output;
use super::world::{Membership, World};
use crate::authority::manifests::{Sync, apply};
use crate::domain::member::Member;
use crate::domain::organization::Organization;
use crate::domain::user::{User, UserState};
use crate::domain::{RoleId, RoleKey, Timestamp};
use crate::runtime::{Clock, Entropy, chain};
use crate::store::{Store, StoreError, bulk, installation, roles};

/// Rows per transaction: far beyond a frame's cap, so that the load is a few reset markers, and
/// small enough that the bar moves.
const ROWS_PER_WRITE: usize = 100_000;

/// The fact of the installation that says which world it holds.
const FACT: &str = "dev_world";

/// While a load is under way: a store that says so holds half a world.
const LOADING: &str = "loading";

/// Where a load writes to, and what it takes from the edge.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub store: &'a Store,
    pub clock: &'a dyn Clock,
    pub entropy: Arc<dyn Entropy>,
    pub output: Output,
}

/// Loads the world, once: a store that holds it already is left alone.
pub(super) async fn load(target: &Target<'_>, world: &World) -> Result<(), CliError> {
    let label = world.label();
    let found = target
        .store
        .read(|tx| installation::find(tx, FACT))
        .await
        .map_err(failed)?;
    match found {
        Some(found) if found == label.as_bytes() => return Ok(()),
        Some(_) => {
            return Err(CliError::usage(
                "the data directory holds another generated world, or half of one",
            )
            .fix("name an empty directory with --data"));
        }
        None => set_fact(target.store, LOADING).await?,
    }
    let role_ids = sync_manifests(target, world).await?;
    let now = target.clock.now();
    insert_organizations(target, world, now).await?;
    insert_users(target, world, now).await?;
    insert_members(target, world, &role_ids, now).await?;
    set_fact(target.store, &label).await
}

async fn set_fact(store: &Store, value: &str) -> Result<(), CliError> {
    let value = value.as_bytes().to_vec();
    store
        .write(move |tx| installation::set(tx, FACT, &value))
        .await
        .map_err(failed)?;
    Ok(())
}

async fn sync_manifests(
    target: &Target<'_>,
    world: &World,
) -> Result<HashMap<RoleKey, RoleId>, CliError> {
    let manifests = world.manifests();
    let bar = target.output.progress("manifests", manifests.len() as u64);
    let auth = "auth".parse().ok();
    let mut services: Vec<_> = auth.into_iter().collect();
    for manifest in manifests {
        services.push(manifest.service.clone());
        let sync = Sync {
            manifest,
            bound_to: None,
            allow_rollback: false,
            applied_by: "local:dev".to_owned(),
        };
        apply(
            target.store,
            target.clock,
            Arc::clone(&target.entropy),
            sync,
        )
        .await
        .map_err(|error| CliError::local(chain(&error)))?;
        bar.inc(1);
    }
    target
        .store
        .read(move |tx| {
            let mut ids = HashMap::new();
            for service in &services {
                for role in roles::of_service(tx, service)? {
                    ids.insert(role.key, role.id);
                }
            }
            Ok(ids)
        })
        .await
        .map_err(failed)
}

async fn insert_organizations(
    target: &Target<'_>,
    world: &World,
    now: Timestamp,
) -> Result<(), CliError> {
    let count = world.size().organizations;
    let bar = target.output.progress("organizations", count);
    let mut rows = Vec::new();
    for index in 0..count {
        let (id, name, slug) = world.organization(index);
        let wrong = |error: &dyn std::error::Error| CliError::local(chain(error));
        rows.push(Organization {
            id,
            name: name.parse().map_err(|error| wrong(&error))?,
            slug: slug.parse().map_err(|error| wrong(&error))?,
            created_at: now,
            updated_at: now,
        });
        if rows.len() == ROWS_PER_WRITE || index + 1 == count {
            bar.inc(rows.len() as u64);
            let batch = std::mem::take(&mut rows);
            target
                .store
                .write(move |tx| bulk::insert_organizations(tx, &batch))
                .await
                .map_err(failed)?;
        }
    }
    Ok(())
}

async fn insert_users(target: &Target<'_>, world: &World, now: Timestamp) -> Result<(), CliError> {
    let count = world.size().members;
    let bar = target.output.progress("users", count);
    let mut rows = Vec::new();
    for index in 0..count {
        if let Some((id, email, display_name)) = world.user(index) {
            rows.push(User {
                id,
                email,
                display_name,
                avatar_url: None,
                state: UserState::Active,
                token_epoch: 0,
                created_at: now,
                updated_at: now,
            });
        }
        if rows.len() == ROWS_PER_WRITE || index + 1 == count {
            bar.set_position(index + 1);
            let batch = std::mem::take(&mut rows);
            target
                .store
                .write(move |tx| bulk::insert_users(tx, &batch))
                .await
                .map_err(failed)?;
        }
    }
    Ok(())
}

async fn insert_members(
    target: &Target<'_>,
    world: &World,
    role_ids: &HashMap<RoleKey, RoleId>,
    now: Timestamp,
) -> Result<(), CliError> {
    let count = world.size().organizations;
    let bar = target.output.progress("members", world.size().members);
    let mut rows = Vec::new();
    for organization in 0..count {
        for membership in world.members(organization) {
            rows.push(member(world, &membership, role_ids, now)?);
        }
        if rows.len() >= ROWS_PER_WRITE || organization + 1 == count {
            bar.inc(rows.len() as u64);
            let batch = std::mem::take(&mut rows);
            target
                .store
                .write(move |tx| bulk::insert_members(tx, &batch))
                .await
                .map_err(failed)?;
        }
    }
    Ok(())
}

fn member(
    world: &World,
    membership: &Membership,
    role_ids: &HashMap<RoleKey, RoleId>,
    now: Timestamp,
) -> Result<Member, CliError> {
    let mut held = Vec::with_capacity(membership.roles.len());
    for role in &membership.roles {
        let id = role_ids
            .get(role)
            .ok_or_else(|| CliError::local(format!("the store has no role `{role}`")))?;
        held.push(*id);
    }
    let (primary, further) = held
        .split_first()
        .ok_or_else(|| CliError::local("a generated member has no role"))?;
    Ok(Member {
        id: membership.id,
        organization_id: world.organization_id(membership.organization),
        user_id: world.user_id(membership.user),
        role_id: *primary,
        further_role_ids: further.to_vec(),
        created_at: now,
        updated_at: now,
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn failed(error: StoreError) -> CliError {
    CliError::local(format!("the store failed: {}", chain(&error)))
}

#[cfg(test)]
mod tests {
    use super::super::super::output::Format;
    use super::super::world::WorldSize;
    use super::*;
    use crate::authority::access::auth_manifest;
    use crate::runtime::{ManualClock, SeededEntropy};
    use crate::store::{StoreConfig, members, users};

    #[tokio::test]
    async fn a_world_is_loaded_once_and_another_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_seconds(1_700_000_000)));
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
        let config = StoreConfig::Sqlite {
            path: folder.path().join("authority.db"),
        };
        let store = Store::open(&config, clock.clone(), Arc::clone(&entropy)).unwrap();
        let sync = Sync {
            manifest: auth_manifest().unwrap(),
            bound_to: None,
            allow_rollback: false,
            applied_by: "system".to_owned(),
        };
        apply(&store, &*clock, Arc::clone(&entropy), sync)
            .await
            .unwrap();
        let target = Target {
            store: &store,
            clock: &*clock,
            entropy,
            output: Output::new(Format::Json),
        };
        let size = WorldSize {
            members: 600,
            organizations: 20,
            services: 2,
            roles: 3,
            permissions: 12,
        };
        let world = World::new(size, 7, clock.now()).unwrap();
        load(&target, &world).await.unwrap();
        let question = world.questions(1).next().unwrap();
        let (user, member) = store
            .read(move |tx| {
                Ok::<_, StoreError>((
                    users::find(tx, question.user)?,
                    members::find(tx, question.organization, question.user)?,
                ))
            })
            .await
            .unwrap();
        assert!(user.is_some() && member.is_some());

        let before = *store.subscribe().borrow();
        load(&target, &world).await.unwrap();
        assert_eq!(*store.subscribe().borrow(), before, "loaded twice");
        let other = World::new(size, 8, clock.now()).unwrap();
        let refused = load(&target, &other).await.unwrap_err();
        assert!(refused.to_string().contains("another generated world"));
    }
}
