//! The routes file.
//!
//! ```toml
//! ignore_case = false                       # true where the app takes `/Admin` for `/admin`
//! origin = "https://{host}"                 # under which clients know the apps: for DPoP
//!
//! [[route]]
//! name = "invoice"
//! hosts = ["*.app.example"]                 # exact, `*.suffix` for one label, or `*`
//! methods = ["GET"]                         # left out: all; GET brings HEAD
//! path = "/invoices/{invoice}"
//! permission = "billing:invoice:read"       # or `public = true`, or `signed_in = true`
//! organization = "subdomain"                # or "capture:NAME", "header:NAME", "claim", "constant:ACME"
//! resource_id = "invoice"                   # a capture
//! preflight = true                          # let CORS preflights for it through
//! deny_beyond = "10m"                       # deny when the facts are staler
//! origin = "https://app.example:8443"       # where it is another one
//! ```

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;

use super::method::Methods;
use super::origin::Origin;
use super::path::PathTemplate;
use super::route::{Access, OrganizationSource, Route, Wanted};
use super::table::{HostPattern, RouteTable};
use crate::domain::{OrganizationId, PermissionKey, Slug};
use crate::protocol::forward_auth::canonical_host;
use crate::runtime::config::parse_duration;
use crate::runtime::files::{FileError, read_text};

/// The largest routes file.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// Why a routes file is refused, whole.
#[derive(Debug, thiserror::Error)]
pub enum RoutesError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no TOML, or has a key that there is not.
    #[error("the routes cannot be read: {0}")]
    Syntax(String),
    /// Everything that is wrong with it.
    #[error("the routes are refused: {}", list(.0))]
    Mistakes(Vec<Mistake>),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The route's name, or its number in the file where it has none.
    pub route: String,
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "route `{}`: `{}`: {}",
            self.route, self.field, self.message
        )
    }
}

fn list(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    ignore_case: bool,
    origin: Option<String>,
    #[serde(default, rename = "route")]
    routes: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    hosts: Vec<String>,
    methods: Option<Vec<String>>,
    path: String,
    #[serde(default)]
    public: bool,
    #[serde(default)]
    signed_in: bool,
    permission: Option<String>,
    organization: Option<String>,
    resource_id: Option<String>,
    #[serde(default)]
    preflight: bool,
    deny_beyond: Option<String>,
    origin: Option<String>,
}

/// Reads a routes file.
///
/// # Errors
///
/// [`RoutesError`], with every mistake at once.
pub fn load(path: &Path) -> Result<RouteTable, RoutesError> {
    parse(&read_text(path, FILE_MAX)?)
}

/// Reads the text of one.
///
/// # Errors
///
/// [`RoutesError`], with every mistake at once.
pub fn parse(text: &str) -> Result<RouteTable, RoutesError> {
    let document: Document = toml::from_str(text)
        .map_err(|error| RoutesError::Syntax(error.to_string().trim_end().to_owned()))?;
    let mut table = RouteTable::new(document.ignore_case);
    let mut mistakes = Vec::new();
    let mut names = HashSet::new();
    let common = match document.origin.as_deref().map(str::parse::<Origin>) {
        None => Some(Origin::of_host()),
        Some(Ok(origin)) => Some(origin),
        Some(Err(message)) => {
            mistakes.push(Mistake {
                route: "all".to_owned(),
                field: "origin",
                message,
            });
            None
        }
    };
    for (place, entry) in document.routes.iter().enumerate() {
        let mut reading = Reading {
            route: if entry.name.is_empty() {
                format!("#{}", place + 1)
            } else {
                entry.name.clone()
            },
            common: common.as_ref(),
            mistakes: &mut mistakes,
        };
        if entry.name.is_empty() || !names.insert(entry.name.as_str()) {
            reading.mistake("name", "every route has a name of its own".to_owned());
        }
        if let Some((route, hosts, methods)) = reading.route(entry)
            && let Err(ambiguous) = table.add(route, &hosts, methods)
        {
            let message = format!(
                "a request ({}) could fit this route and `{}` equally well",
                ambiguous.methods, ambiguous.other
            );
            reading.mistake("path", message);
        }
    }
    if mistakes.is_empty() {
        Ok(table)
    } else {
        Err(RoutesError::Mistakes(mistakes))
    }
}

/// One route, being read.
struct Reading<'m> {
    route: String,
    /// The origin of routes that name none.
    common: Option<&'m Origin>,
    mistakes: &'m mut Vec<Mistake>,
}

impl Reading<'_> {
    fn mistake(&mut self, field: &'static str, message: String) {
        self.mistakes.push(Mistake {
            route: self.route.clone(),
            field,
            message,
        });
    }

    fn take<T>(&mut self, field: &'static str, value: Result<T, String>) -> Option<T> {
        value.map_err(|message| self.mistake(field, message)).ok()
    }

    /// `None`: mistakes are noted.
    fn route(&mut self, entry: &Entry) -> Option<(Route, Vec<HostPattern>, Methods)> {
        let hosts = self.take("hosts", hosts(&entry.hosts));
        let methods = self.take("methods", methods(entry.methods.as_deref()));
        let path = self.take("path", entry.path.parse::<PathTemplate>())?;
        let access = self.access(entry, &path, hosts.as_deref().unwrap_or_default());
        let deny_beyond = match &entry.deny_beyond {
            None => Some(None),
            Some(text) => self.take("deny_beyond", parse_duration(text)).map(Some),
        };
        let origin = origin(entry, hosts.as_deref().unwrap_or_default(), self.common);
        let origin = self.take("origin", origin);
        let route = Route {
            name: entry.name.as_str().into(),
            path,
            access: access?,
            preflight: entry.preflight,
            origin: origin?,
            deny_beyond: deny_beyond?,
        };
        Some((route, hosts?, methods?))
    }

    fn access(
        &mut self,
        entry: &Entry,
        path: &PathTemplate,
        hosts: &[HostPattern],
    ) -> Option<Access> {
        let plain = match (entry.public, entry.signed_in, &entry.permission) {
            (true, false, None) => Access::Public,
            (false, true, None) => Access::SignedIn,
            (false, false, Some(permission)) => {
                return self.permission(entry, permission, path, hosts);
            }
            _ => {
                let message = "a route has one of `public = true`, `signed_in = true` and \
                               `permission`";
                self.mistake("permission", message.to_owned());
                return None;
            }
        };
        for (field, value) in [
            ("organization", &entry.organization),
            ("resource_id", &entry.resource_id),
        ] {
            if value.is_some() {
                self.mistake(field, "it goes with `permission` only".to_owned());
                return None;
            }
        }
        Some(plain)
    }

    fn permission(
        &mut self,
        entry: &Entry,
        permission: &str,
        path: &PathTemplate,
        hosts: &[HostPattern],
    ) -> Option<Access> {
        let key = permission.parse::<PermissionKey>();
        let key = self.take("permission", key.map_err(|error| error.to_string()));
        let organization = match &entry.organization {
            Some(text) => organization(text, path, hosts),
            None => Err(format!("it must be set: {SOURCES}")),
        };
        let organization = self.take("organization", organization);
        let resource_id = match &entry.resource_id {
            None => Some(None),
            Some(name) => {
                let place = path.place(name);
                let place = place.ok_or_else(|| format!("the path has no `{{{name}}}`"));
                self.take("resource_id", place).map(Some)
            }
        };
        let permission = key?;
        Some(Access::Permission(Box::new(Wanted {
            resource_type: format!("{}:{}", permission.service, permission.resource).into(),
            permission,
            organization: organization?,
            resource_id: resource_id?,
        })))
    }
}

const SOURCES: &str =
    "`capture:NAME`, `subdomain`, `header:NAME`, `claim` or `constant:ID-OR-SLUG`";

fn organization(
    text: &str,
    path: &PathTemplate,
    hosts: &[HostPattern],
) -> Result<OrganizationSource, String> {
    match text.split_once(':') {
        None if text == "claim" => Ok(OrganizationSource::Claim),
        None if text == "subdomain" => {
            let all = hosts
                .iter()
                .all(|host| matches!(host, HostPattern::Wildcard(_)));
            all.then_some(OrganizationSource::Subdomain)
                .ok_or_else(|| "`subdomain` needs `*.suffix` in each of `hosts`".to_owned())
        }
        Some(("capture", name)) => path
            .place(name)
            .map(OrganizationSource::Capture)
            .ok_or_else(|| format!("the path has no `{{{name}}}`")),
        Some(("header", name)) => http::HeaderName::from_str(name)
            .ok()
            .filter(|name| !name.as_str().contains('_'))
            .map(OrganizationSource::Header)
            .ok_or_else(|| format!("`{name}` is no header's name that is safe to read")),
        Some(("constant", value))
            if value.parse::<Slug>().is_ok() || value.parse::<OrganizationId>().is_ok() =>
        {
            Ok(OrganizationSource::Constant(value.into()))
        }
        Some(("constant", value)) => Err(format!("`{value}` is neither an id nor a slug")),
        _ => Err(format!("it is one of {SOURCES}")),
    }
}

/// Where every host fits, the client chooses it, and what it chooses proves nothing.
fn origin(
    entry: &Entry,
    hosts: &[HostPattern],
    common: Option<&Origin>,
) -> Result<Option<Origin>, String> {
    let is_ours = |origin: &Origin| match origin {
        Origin::Fixed(_) => true,
        Origin::OfHost(..) => !hosts.contains(&HostPattern::Any),
    };
    let Some(text) = &entry.origin else {
        return Ok(common.filter(|origin| is_ours(origin)).cloned());
    };
    let origin: Origin = text.parse()?;
    is_ours(&origin)
        .then_some(Some(origin))
        .ok_or_else(|| "clients choose `{host}` where `hosts` has `*`".to_owned())
}

fn hosts(texts: &[String]) -> Result<Vec<HostPattern>, String> {
    if texts.is_empty() {
        return Err("name at least one host; `*` is every host".to_owned());
    }
    let mut hosts = Vec::with_capacity(texts.len());
    for text in texts {
        let host = host(text)?;
        if hosts.contains(&host) {
            return Err(format!("`{text}` stands twice"));
        }
        hosts.push(host);
    }
    Ok(hosts)
}

fn host(text: &str) -> Result<HostPattern, String> {
    if text == "*" {
        return Ok(HostPattern::Any);
    }
    let (name, is_wildcard) = match text.strip_prefix("*.") {
        Some(suffix) => (suffix, true),
        None => (text, false),
    };
    let canonical = canonical_host(name)
        .ok()
        .filter(|host| host.len() == name.len())
        .ok_or_else(|| {
            format!("`{text}` is no host: a name without port, `*.name`, or `*` is wanted")
        })?;
    Ok(if is_wildcard {
        HostPattern::Wildcard(canonical.as_ref().into())
    } else {
        HostPattern::Exact(canonical.as_ref().into())
    })
}

fn methods(texts: Option<&[String]>) -> Result<Methods, String> {
    let Some(texts) = texts else {
        return Ok(Methods::ALL);
    };
    let mut methods = Methods::NONE;
    for text in texts {
        methods = methods.and(text.parse()?);
    }
    if methods.is_empty() {
        return Err("leave it out for all methods, or list some".to_owned());
    }
    Ok(methods)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
