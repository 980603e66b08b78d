//! The proxies that are spoken to, each in its own words.

use std::fmt;

/// Who asks, and therefore in which headers the original request is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Dialect {
    /// nginx `auth_request` with the shipped configuration: `X-Original-Method`, `-Host`, `-URI`.
    Nginx,
    /// Traefik's `ForwardAuth`: `X-Forwarded-Method`, `-Host`, `-Uri`.
    Traefik,
    /// Caddy's `forward_auth`: the same three.
    Caddy,
    /// `HAProxy` with the shipped Lua: the same three.
    Haproxy,
    /// Envoy's `ext_authz` over HTTP: the method, `Host` and, behind the prefix, the path are those
    /// of the original request.
    Envoy,
    /// Envoy's `ext_authz` over gRPC: the same, told in a message.
    EnvoyGrpc,
    /// Other programs: `Doorward-Method`, `Doorward-Host`, `Doorward-Uri`.
    Plain,
}

/// The three headers in which a dialect tells the original request, in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) method: &'static str,
    pub(super) host: &'static str,
    pub(super) uri: &'static str,
}

const ORIGINAL: Family = Family {
    method: "x-original-method",
    host: "x-original-host",
    uri: "x-original-uri",
};

const FORWARDED: Family = Family {
    method: "x-forwarded-method",
    host: "x-forwarded-host",
    uri: "x-forwarded-uri",
};

const DOORWARD: Family = Family {
    method: "doorward-method",
    host: "doorward-host",
    uri: "doorward-uri",
};

impl Dialect {
    /// All of them, in order of their number.
    pub const ALL: [Self; 7] = [
        Self::Nginx,
        Self::Traefik,
        Self::Caddy,
        Self::Haproxy,
        Self::Envoy,
        Self::EnvoyGrpc,
        Self::Plain,
    ];

    /// Those that ask over HTTP, at a path of their own.
    pub const HTTP: [Self; 6] = [
        Self::Nginx,
        Self::Traefik,
        Self::Caddy,
        Self::Haproxy,
        Self::Envoy,
        Self::Plain,
    ];

    /// The name in paths and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::EnvoyGrpc => "envoy-grpc",
            Self::Plain => "plain",
        }
    }

    /// The dialect of a path behind `/forward-auth/`, and what follows its name. Only Envoy appends
    /// anything.
    pub fn of_path(rest: &str) -> Option<(Self, &str)> {
        let end = rest.find('/').unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end)?;
        let dialect = Self::HTTP.into_iter().find(|one| one.name() == name)?;
        (after.is_empty() || dialect == Self::Envoy).then_some((dialect, after))
    }

    /// `None` where the request itself is the original one.
    pub(super) const fn family(self) -> Option<Family> {
        match self {
            Self::Nginx => Some(ORIGINAL),
            Self::Traefik | Self::Caddy | Self::Haproxy => Some(FORWARDED),
            Self::Envoy | Self::EnvoyGrpc => None,
            Self::Plain => Some(DOORWARD),
        }
    }

    /// The headers that tell method, host and path of the original request, in lower case; `None`
    /// where the request itself is the original one.
    pub fn told_in(self) -> Option<[&'static str; 3]> {
        self.family()
            .map(|family| [family.method, family.host, family.uri])
    }

    /// The status of an answer that sends a person to log in, with `Location`. nginx hands on no
    /// redirect of the question: its configuration makes one of 401.
    pub const fn login_status(self) -> u16 {
        match self {
            Self::Nginx => 401,
            _ => 302,
        }
    }

    /// The status of an answer that refuses a request for its form. nginx makes 500 of all but 401
    /// and 403.
    pub const fn malformed_status(self) -> u16 {
        match self {
            Self::Nginx => 403,
            _ => 400,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_dialect_and_only_envoy_appends_to_it() {
        for (place, dialect) in Dialect::ALL.into_iter().enumerate() {
            assert_eq!(place, dialect as usize);
        }
        for dialect in Dialect::HTTP {
            assert_eq!(Dialect::of_path(dialect.name()), Some((dialect, "")));
        }
        assert_eq!(
            Dialect::of_path("envoy/a/b"),
            Some((Dialect::Envoy, "/a/b"))
        );
        for wrong in [
            "",
            "envoy-grpc",
            "nginx/",
            "nginx/a",
            "NGINX",
            "nginxx",
            "envoyx/a",
        ] {
            assert_eq!(Dialect::of_path(wrong), None, "{wrong}");
        }
    }
}
