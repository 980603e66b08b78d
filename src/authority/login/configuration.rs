//! What the configuration of a login says beside its providers.

use crate::authority::config::Config;
use crate::authority::outbound::OutboundConfig;

/// What is configured of outbound requests; where the demo runs, the authority may ask itself.
pub fn outbound_config(config: &Config) -> OutboundConfig {
    let mut outbound = config.outbound.clone();
    let own = config.issuer.as_str().split("://").nth(1);
    if let Some(host) = own.filter(|_| config.demo_provider)
        && let Ok(host) = host.split('/').next().unwrap_or_default().parse()
    {
        outbound.allow_hosts.push(host);
    }
    outbound
}
