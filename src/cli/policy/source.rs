//! Where policies come from: a manifest, a directory, or the authority.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use http::Method;

use super::super::error::CliError;
use super::super::manifest::{load, path as manifest_path};
use super::super::profile::Profile;
use super::super::session::Session;
use super::export::pages;
use crate::domain::manifest::Manifest;
use crate::policy::custom::CustomPolicies;
use crate::policy::engine::Engine;
use crate::policy::{PolicyFacts, RoleSets};
use crate::protocol::manifest::{ManifestView, ServiceView, from_value};
use crate::runtime::chain;
use crate::sidecar::app::load_policies;

/// What the word for the authority is.
const LIVE: &str = "live";

/// A source as it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// What the authority serves.
    Live,
    /// A manifest, or a directory of manifests and policies.
    Path(PathBuf),
}

impl FromStr for Source {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == LIVE {
            Self::Live
        } else {
            Self::Path(text.into())
        })
    }
}

#[cfg(feature = "prove")]
impl Source {
    /// Named in a file: relative to where that stands.
    pub(super) fn beside(text: &str, file: &Path) -> Self {
        match text.parse() {
            Ok(Self::Path(path)) => Self::Path(file.parent().unwrap_or(Path::new("")).join(path)),
            _ => Self::Live,
        }
    }
}

/// What a source holds.
pub(super) struct Declared {
    pub(super) manifests: Vec<Manifest>,
    pub(super) custom: CustomPolicies,
}

/// Policies that are ready to be asked.
pub(super) struct Policies {
    pub(super) facts: PolicyFacts,
    pub(super) engine: Engine,
}

impl Declared {
    /// Reads a source. `policies` is a directory of hand-written ones that stands in for its own.
    ///
    /// # Errors
    ///
    /// What is wrong with it, or that the authority does not answer.
    pub(super) async fn read(
        source: &Source,
        policies: Option<&Path>,
        profile: &impl Fn() -> Result<Profile, CliError>,
    ) -> Result<Self, CliError> {
        let (manifests, folder) = match source {
            Source::Live => (live(&Session::open(&profile()?).await?).await?, None),
            Source::Path(path) if path.is_dir() => (in_folder(path)?, Some(path.as_path())),
            Source::Path(path) => (vec![load(path)?], None),
        };
        let mut services: Vec<_> = manifests.iter().map(|manifest| &manifest.service).collect();
        services.sort();
        if let Some(twice) = services
            .iter()
            .zip(services.iter().skip(1))
            .find(|(a, b)| a == b)
        {
            let what = format!("two manifests are of the service `{}`", twice.0);
            return Err(CliError::usage(what));
        }
        let custom = match policies.or(folder) {
            Some(folder) => {
                load_policies(folder).map_err(|error| CliError::usage(chain(&error)))?
            }
            None => CustomPolicies::none(),
        };
        Ok(Self { manifests, custom })
    }

    /// These manifests, in the place of their services' among `others`.
    pub(super) fn over(&mut self, others: &[Manifest]) {
        for other in others {
            if !self
                .manifests
                .iter()
                .any(|manifest| manifest.service == other.service)
            {
                self.manifests.push(other.clone());
            }
        }
    }

    /// Validates and compiles.
    ///
    /// # Errors
    ///
    /// Every problem with its place.
    pub(super) fn compile(&self) -> Result<Policies, CliError> {
        let facts = PolicyFacts::of_manifests(&self.manifests);
        self.custom.validate(&facts).map_err(|error| {
            CliError::usage("the hand-written policies are refused")
                .details(error.problems.iter().map(ToString::to_string))
        })?;
        let engine = Engine::build(&facts, &self.custom, Arc::new(RoleSets::new(64)))
            .map_err(|error| CliError::local(chain(&error)))?;
        Ok(Policies { facts, engine })
    }
}

/// The manifests of a directory: files whose names end in `manifest.json`, `.yaml`, `.yml`, `.toml`.
fn in_folder(folder: &Path) -> Result<Vec<Manifest>, CliError> {
    let unreadable = |error: std::io::Error| {
        CliError::usage(format!("{} cannot be read: {error}", folder.display()))
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if matches!(ending, Some("json" | "yaml" | "yml" | "toml"))
            && stem.is_some_and(|stem| stem.ends_with("manifest"))
        {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        let what = format!("{} holds no manifest", folder.display());
        return Err(CliError::usage(what).fix("name it *manifest.json, .yaml or .toml"));
    }
    paths.iter().map(|path| load(path)).collect()
}

async fn live(session: &Session) -> Result<Vec<Manifest>, CliError> {
    let services: Vec<ServiceView> = pages(session, "/v1/services").await?;
    let mut manifests = Vec::new();
    for service in services {
        let path = manifest_path(&service.service, &[]);
        let view: ManifestView = session.json(Method::GET, &path, None::<&()>).await?;
        let manifest = from_value(&view.manifest, Some(&service.service))
            .map_err(|error| CliError::local(format!("{}: {error}", service.service)))?;
        manifests.push(manifest);
    }
    Ok(manifests)
}
