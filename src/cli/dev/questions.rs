//! Questions with known answers, for load generators.

use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;

use super::super::error::CliError;
use super::world::World;

/// As many as stay in a processor's cache, and more than any connection sees twice in a row.
const QUESTIONS: u64 = 4096;

/// Writes AuthZEN requests, one a line; every other one is allowed, beginning with the first.
pub(super) fn write(world: &World, path: &Path) -> Result<(), CliError> {
    let failed = |error: std::io::Error| {
        CliError::local(format!("{} cannot be written: {error}", path.display()))
    };
    let file = std::fs::File::create(path).map_err(failed)?;
    let mut lines = BufWriter::new(file);
    for question in world.questions(QUESTIONS) {
        let permission = &question.permission;
        let body = json!({
            "subject": {"type": "user", "id": question.user},
            "action": {"name": permission.action},
            "resource": {
                "type": format!("{}:{}", permission.service, permission.resource),
                "id": question.organization,
            },
            "context": {"organization": question.organization},
        });
        writeln!(lines, "{body}").map_err(failed)?;
    }
    lines.flush().map_err(failed)
}
