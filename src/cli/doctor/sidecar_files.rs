//! What lies on a sidecar's machine.

use std::path::Path;
use std::sync::Arc;

use super::finding::Findings;
use super::place;
use crate::domain::Timestamp;
use crate::replication::copies::Copies;
use crate::runtime::config::Environment;
use crate::runtime::{Entropy, SystemEntropy, chain};
use crate::sidecar::app::{check_doors, load_policies};
use crate::sidecar::config::Config;
use crate::sidecar::daemon;
use crate::sidecar::enrolment::{self, Enrolment};
use crate::store::replica::ReplicaReader;

/// Reads configuration, enrolment, routes, gates, policies and the newest copy as the daemon would.
/// `None` if they were not named or the configuration is refused.
pub(super) fn examine(
    file: Option<&Path>,
    data: Option<&Path>,
    environment: &Environment,
    now: Timestamp,
    findings: &mut Findings,
) -> Option<Config> {
    let named = file.or(data)?;
    findings.about(format!("sidecar's files ({})", named.display()));
    let config = match daemon::read(file, data.map(Path::to_owned), environment) {
        Ok(config) => config,
        Err(error) => {
            findings.wrong(chain(&error), "mend the configuration");
            return None;
        }
    };
    if file.is_some() {
        findings.ok("its configuration is accepted");
    }
    doors(&config, findings);
    policies(&config, findings);
    if let Some(directory) = config
        .decision_log
        .as_ref()
        .and_then(|log| log.directory.as_ref())
    {
        place::directory("its decision log", directory, findings);
    }
    if place::directory("its data directory", &config.data, findings) {
        enrolled(&config, findings);
        copy(&config.data, now, findings);
    }
    Some(config)
}

fn doors(config: &Config, findings: &mut Findings) {
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
    match check_doors(config, &entropy) {
        Ok(true) => findings.ok("its routes and gates are accepted"),
        Ok(false) => {}
        Err(error) => findings.wrong(
            chain(&error),
            "mend the routes or the gate; `doorward routes test` shows what a file decides",
        ),
    }
    for gate in &config.gates {
        if let Some(mode) = place::open_to_others(&gate.keys_file) {
            let file = gate.keys_file.display();
            findings.wrong(
                format!(
                    "gate `{}`: its keys `{file}` are open to others (mode {mode:o})",
                    gate.name
                ),
                format!("chmod 600 {file}, and `doorward-sidecar gate-keys` makes new ones"),
            );
        }
    }
}

fn policies(config: &Config, findings: &mut Findings) {
    let Some(directory) = &config.policies else {
        return;
    };
    match load_policies(directory) {
        Ok(_) => findings.ok("its hand-written policies can be read"),
        Err(error) => findings.wrong(chain(&error), "mend the policies"),
    }
}

fn enrolled(config: &Config, findings: &mut Findings) {
    let file = config.data.join(enrolment::FILE);
    match Enrolment::load(&config.data) {
        Ok(enrolment) => findings.ok(format!(
            "it is enrolled as {} at {}",
            enrolment.client_id, enrolment.authority
        )),
        Err(error) => findings.wrong(
            chain(&error),
            "`doorward-sidecar enroll` with a join token from the authority",
        ),
    }
    if let Some(mode) = place::open_to_others(&file) {
        findings.wrong(
            format!("its enrolment holds a secret and is open to others (mode {mode:o})"),
            format!("chmod 600 {}", file.display()),
        );
    }
}

fn copy(data: &Path, now: Timestamp, findings: &mut Findings) {
    let Some(path) = Copies::newest_in(data) else {
        return findings.warning(
            "it has no copy yet: until the first one comes, everything is denied",
            "start it while the authority can be reached",
        );
    };
    match ReplicaReader::open(&path).and_then(|reader| reader.meta()) {
        Ok(meta) => {
            let age = now
                .unix_seconds()
                .saturating_sub(meta.signed_time.unix_seconds());
            findings.ok(format!(
                "its copy is at revision {}, signed {age} s ago",
                meta.position.revision
            ));
        }
        Err(error) => findings.wrong(
            format!(
                "its copy `{}` cannot be read: {}",
                path.display(),
                chain(&error)
            ),
            "restart it: it throws a damaged copy away and takes a new one",
        ),
    }
}
