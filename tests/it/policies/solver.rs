//! The solver that tests ask, if there is one.

use std::path::PathBuf;
use std::time::Duration;

use doorward::policy::prove::{Program, ProgramKind, Solver};

/// The solver that `test.sh` installed, or the one that `CVC5` or `Z3` names.
///
/// # Panics
///
/// Without one, where `DOORWARD_REQUIRE_SOLVER` is set: then skipping would be silence.
pub fn program(limit: Duration) -> Option<Program> {
    let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/solver/bin/z3");
    let found = named("CVC5")
        .map(|path| (path, ProgramKind::Cvc5))
        .or_else(|| named("Z3").map(|path| (path, ProgramKind::Z3)))
        .unwrap_or_else(|| (PathBuf::from(installed), ProgramKind::Z3));
    if !found.0.exists() {
        assert!(
            std::env::var_os("DOORWARD_REQUIRE_SOLVER").is_none(),
            "DOORWARD_REQUIRE_SOLVER is set, and {} is not there",
            found.0.display()
        );
        #[expect(clippy::print_stderr, reason = "skipped in sight")]
        {
            eprintln!("SKIPPED: no solver (./test.sh installs one)");
        }
        return None;
    }
    let (path, kind) = found;
    Some(Program { path, kind, limit })
}

pub fn solver() -> Option<Solver> {
    program(Duration::from_mins(1)).map(Solver::new)
}
