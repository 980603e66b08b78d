//! `[services.<service>]` of the configuration: which URLs are a service's own.
//!
//! ```toml
//! [services.billing]
//! resources = ["https://billing.example.com"]
//! ```
//!
//! Access tokens are issued for these URLs (RFC 8707), and the service's clients may ask what a token
//! for one of them is. Of a token for anything else they learn nothing.

use std::collections::BTreeMap;

use crate::domain::ServiceName;
use crate::protocol::jose::Audience;
use crate::runtime::config::Reader;

use super::config::Issuer;

/// The services that take access tokens, by what they own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceServers {
    owner_of: BTreeMap<String, ServiceName>,
}

impl ResourceServers {
    /// Notes that the URL is the service's; says whose it is already, when it is another's.
    pub fn add(&mut self, resource: String, service: &ServiceName) -> Option<&ServiceName> {
        let owner = self
            .owner_of
            .entry(resource)
            .or_insert_with(|| service.clone());
        (owner != service).then_some(owner)
    }

    /// Every URL that belongs to a service.
    pub fn resources(&self) -> impl Iterator<Item = &String> {
        self.owner_of.keys()
    }

    /// Whether a token for `audience` is for something of the service's own.
    pub fn is_for(&self, service: &ServiceName, audience: &Audience) -> bool {
        audience
            .iter()
            .any(|one| self.owner_of.get(one) == Some(service))
    }

    /// Reads every service; what is wrong is noted and left out.
    pub(super) fn read(reader: &mut Reader<'_>, issuer: &Issuer) -> Self {
        let mut servers = Self::default();
        for name in reader.names() {
            let service = match name.parse::<ServiceName>() {
                Ok(service) => Some(service),
                Err(error) => {
                    reader.mistake(&name, error.to_string());
                    None
                }
            };
            reader.section(&name, |section| {
                let resources = section.list::<Issuer>("resources");
                for resource in resources {
                    let Some(service) = &service else { continue };
                    if resource == *issuer {
                        let whose =
                            "it is the issuer: tokens for it are for the authority's own API";
                        section.mistake("resources", format!("`{resource}`: {whose}"));
                    } else if let Some(owner) = servers.add(resource.to_string(), service) {
                        let owner = format!("`{resource}` is service `{owner}`'s already");
                        section.mistake("resources", owner);
                    }
                }
            });
        }
        servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> ServiceName {
        name.parse().unwrap()
    }

    #[test]
    fn a_token_is_for_the_service_that_owns_its_audience_and_for_no_other() {
        let mut servers = ResourceServers::default();
        let (a, b) = (
            "https://a.example".to_owned(),
            "https://b.example".to_owned(),
        );
        assert_eq!(servers.add(a.clone(), &service("a")), None);
        assert_eq!(servers.add(a.clone(), &service("a")), None);
        assert_eq!(servers.add(b.clone(), &service("b")), None);
        assert_eq!(servers.add(b.clone(), &service("a")), Some(&service("b")));
        assert!(servers.is_for(&service("a"), &Audience::One(a.clone())));
        assert!(servers.is_for(&service("b"), &Audience::Many(vec![a.clone(), b.clone()])));
        assert!(!servers.is_for(&service("a"), &Audience::One(b)));
        assert!(!servers.is_for(&service("a"), &Audience::One(format!("{a}/"))));
        assert!(!servers.is_for(&service("a"), &Audience::Many(Vec::new())));
        assert!(!servers.is_for(&service("c"), &Audience::One(a)));
    }
}
