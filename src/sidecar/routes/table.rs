//! Finding the route of a request.

use std::borrow::Cow;
use std::collections::HashMap;

use super::method::Methods;
use super::path::{Part, PathTemplate};
use super::route::{Access, Route};
use crate::protocol::forward_auth::CanonicalPath;

/// All routes, ready to be searched.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    exact: HashMap<Box<str>, Node>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, Node>,
    any: Option<Node>,
    ignore_case: bool,
}

/// A place in the paths of one host: the segments up to here.
#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Self>,
    capture: Option<Box<Self>>,
    /// Routes whose path ends here.
    end: Vec<Entry>,
    /// Routes with `{rest...}` from here on.
    rest: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    methods: Methods,
    route: usize,
}

/// The route that decides.
#[derive(Debug, Clone, Copy)]
pub struct Found<'t, 'r> {
    /// The route.
    pub route: &'t Route,
    /// What stood for the `*` of its host.
    pub subdomain: Option<&'r str>,
}

/// Why no route decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmatched {
    /// No route is for the host.
    Host,
    /// None of the host's fits the path.
    Path,
    /// These have the most specific path that fits, and none of them lists the method.
    Method(Vec<Box<str>>),
}

/// Where a route applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostPattern {
    Exact(Box<str>),
    /// One label, and then this.
    Wildcard(Box<str>),
    Any,
}

/// Two routes that one request could fit equally well: the name of the one that was there before, and
/// the methods.
pub(super) struct Ambiguous {
    pub(super) other: Box<str>,
    pub(super) methods: Methods,
}

impl RouteTable {
    /// An empty table: it denies everything.
    pub(super) fn new(ignore_case: bool) -> Self {
        Self {
            ignore_case,
            ..Self::default()
        }
    }

    /// Adds a route for its hosts.
    pub(super) fn add(
        &mut self,
        route: Route,
        hosts: &[HostPattern],
        methods: Methods,
    ) -> Result<(), Ambiguous> {
        let entry = Entry {
            methods,
            route: self.routes.len(),
        };
        for host in hosts {
            let root = match host {
                HostPattern::Exact(name) => self.exact.entry(name.clone()).or_default(),
                HostPattern::Wildcard(suffix) => self.wildcard.entry(suffix.clone()).or_default(),
                HostPattern::Any => self.any.get_or_insert_default(),
            };
            let entries = root.entries(&route.path, self.ignore_case);
            let other = entries
                .iter()
                .find(|other| !other.methods.common(methods).is_empty());
            if let Some(other) = other
                && let Some(route) = self.routes.get(other.route)
            {
                return Err(Ambiguous {
                    other: route.name.clone(),
                    methods: other.methods.common(methods),
                });
            }
            entries.push(entry);
        }
        self.routes.push(route);
        Ok(())
    }

    /// All routes, in the order of the file.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Whether a token may be asked for.
    pub fn needs_tokens(&self) -> bool {
        self.routes
            .iter()
            .any(|route| !matches!(route.access, Access::Public))
    }

    /// The one route that decides a request.
    ///
    /// # Errors
    ///
    /// [`Unmatched`]: it is denied.
    pub fn find<'r>(
        &self,
        method: &str,
        host: &'r str,
        path: &CanonicalPath<'_>,
    ) -> Result<Found<'_, 'r>, Unmatched> {
        let (root, subdomain) = self.root(host).ok_or(Unmatched::Host)?;
        let mut text = Cow::Borrowed(path.as_str());
        if self.ignore_case && text.chars().any(char::is_uppercase) {
            text = Cow::Owned(text.to_lowercase());
        }
        let inner = text.strip_prefix('/').unwrap_or_default();
        let entries = root
            .find((!inner.is_empty()).then_some(inner))
            .ok_or(Unmatched::Path)?;
        let route = entries
            .iter()
            .find(|entry| entry.methods.has(method))
            .and_then(|entry| self.routes.get(entry.route))
            .ok_or_else(|| {
                let routes = entries.iter().filter_map(|one| self.routes.get(one.route));
                Unmatched::Method(routes.map(|route| route.name.clone()).collect())
            })?;
        Ok(Found { route, subdomain })
    }

    fn root<'r>(&self, host: &'r str) -> Option<(&Node, Option<&'r str>)> {
        if let Some(root) = self.exact.get(host) {
            return Some((root, None));
        }
        if let Some((label, suffix)) = host.split_once('.')
            && let Some(root) = self.wildcard.get(suffix)
        {
            return Some((root, Some(label)));
        }
        self.any.as_ref().map(|root| (root, None))
    }
}

impl Node {
    /// Where routes with a path are kept; the way there is made.
    fn entries(&mut self, path: &PathTemplate, ignore_case: bool) -> &mut Vec<Entry> {
        let mut node = self;
        for part in path.parts() {
            node = match part {
                Part::Literal(text) if ignore_case => {
                    node.literals.entry(text.to_lowercase().into()).or_default()
                }
                Part::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Part::Capture(_) => node.capture.get_or_insert_default(),
                Part::Rest(_) => return &mut node.rest,
            };
        }
        &mut node.end
    }

    /// The routes with the most specific path that fits. Every node is looked at once at most: there
    /// is one way to each.
    fn find(&self, left: Option<&str>) -> Option<&[Entry]> {
        let Some(left) = left else {
            let here = if self.end.is_empty() {
                &self.rest
            } else {
                &self.end
            };
            return (!here.is_empty()).then_some(here);
        };
        let (segment, left) = match left.split_once('/') {
            Some((segment, left)) => (segment, Some(left)),
            None => (left, None),
        };
        let literal = self.literals.get(segment);
        literal
            .and_then(|node| node.find(left))
            .or_else(|| self.capture.as_ref().and_then(|node| node.find(left)))
            .or((!self.rest.is_empty()).then_some(&self.rest))
    }
}
