//! The demo: three services, two organizations, five people, made over the authority's own API.

use http::Method;
use serde_json::{Value, json};

use super::super::error::CliError;
use super::super::manifest::{Form, parse};
use super::super::output::Output;
use super::super::profile::{Profile, ProfileFile};
use super::super::session::Session;
use crate::authority::login::demo::DEMO;
use crate::domain::UserId;
use crate::protocol::organizations::{Changed, OrganizationView, UserView};

/// Manifests of one believable product, from examples/manifests. In this order: billing's roles
/// grant permissions of documents, deploy's of both.
const MANIFESTS: [(Form, &str); 3] = [
    (
        Form::Yaml,
        include_str!("../../../examples/manifests/documents.yaml"),
    ),
    (
        Form::Json,
        include_str!("../../../examples/manifests/billing.json"),
    ),
    (
        Form::Toml,
        include_str!("../../../examples/manifests/deploy.toml"),
    ),
];

const PEOPLE: [(&str, &str); 5] = [
    ("alice", "Alice Abara"),
    ("bob", "Bob Berg"),
    ("carol", "Carol Costa"),
    ("dave", "Dave Dubois"),
    ("greta", "Greta Garcia"),
];

/// (organization, its name, its owner)
const ORGANIZATIONS: [(&str, &str, &str); 2] = [
    ("acme", "Acme Ltd", "alice"),
    ("globex", "Globex Corporation", "greta"),
];

/// (organization, user, roles: the primary one first)
const MEMBERS: [(&str, &str, &[&str]); 4] = [
    ("acme", "bob", &["billing/clerk", "documents/editor"]),
    ("acme", "carol", &["deploy/developer"]),
    ("acme", "dave", &["documents/reader"]),
    ("globex", "bob", &["documents/reader"]),
];

/// The slugs of the demo's organizations.
pub(super) fn slugs() -> impl Iterator<Item = &'static str> {
    ORGANIZATIONS.iter().map(|(slug, ..)| *slug)
}

/// Fills a new installation, and remembers the people's ids in the profile.
pub(super) async fn fill(file: &mut ProfileFile, output: Output) -> Result<(), CliError> {
    if !file.users.is_empty() {
        return Ok(());
    }
    let steps = MANIFESTS.len() + PEOPLE.len() + ORGANIZATIONS.len() + MEMBERS.len();
    let bar = output.progress("demo data", steps as u64);
    let session = Session::open(&Profile::of(file)?).await?;
    for (form, text) in MANIFESTS {
        let manifest = parse(form, text)
            .map_err(|error| CliError::local(format!("an example manifest is wrong: {error}")))?;
        let body: Value = serde_json::from_str(&manifest.canonical_json())
            .map_err(|error| CliError::local(error.to_string()))?;
        let path = format!("/v1/services/{}/manifest", manifest.service);
        session.answer(Method::PUT, &path, Some(&body)).await?;
        bar.inc(1);
    }
    for (short, name) in PEOPLE {
        let body = json!({
            "display_name": name,
            "email": format!("{short}@example.com"),
            "account": {"provider": DEMO, "provider_account_id": short},
        });
        let made: Changed<UserView> = session.json(Method::POST, "/v1/users", Some(&body)).await?;
        file.users.insert(short.to_owned(), made.view.id);
        bar.inc(1);
    }
    for (slug, name, owner) in ORGANIZATIONS {
        let body = json!({"slug": slug, "name": name, "owner": user(file, owner)?});
        let _: Changed<OrganizationView> = session
            .json(Method::POST, "/v1/organizations", Some(&body))
            .await?;
        bar.inc(1);
    }
    for (organization, short, roles) in MEMBERS {
        let id = user(file, short)?;
        join(&session, organization, id, roles).await?;
        bar.inc(1);
    }
    Ok(())
}

fn user(file: &ProfileFile, short: &str) -> Result<UserId, CliError> {
    file.users
        .get(short)
        .copied()
        .ok_or_else(|| CliError::local(format!("the demo knows no `{short}`")))
}

async fn join(
    session: &Session,
    organization: &str,
    user: UserId,
    roles: &[&str],
) -> Result<(), CliError> {
    let Some((primary, further)) = roles.split_first() else {
        return Ok(());
    };
    let members = format!("/v1/organizations/{organization}/members");
    let body = json!({"user": user, "role": primary});
    session.answer(Method::POST, &members, Some(&body)).await?;
    for role in further {
        let path = format!("{members}/{user}/roles/{role}");
        session.answer(Method::PUT, &path, None::<&()>).await?;
    }
    Ok(())
}
