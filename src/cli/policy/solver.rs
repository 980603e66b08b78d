//! Which solver is asked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::super::error::CliError;
use crate::policy::prove::{Program, ProgramKind, Solver};
use crate::runtime::config::Environment;

#[derive(Debug, Args)]
pub(super) struct SolverArgs {
    /// The solver's program, cvc5 or z3; else the variables CVC5 and Z3, else what the path holds
    #[arg(long, value_name = "FILE")]
    solver: Option<PathBuf>,
    /// How many seconds it may think about one question: after that, the answer is "undecided"
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: u64,
}

impl SolverArgs {
    /// Finds the solver and tries it out.
    ///
    /// # Errors
    ///
    /// There is none, or it is none; with how to get one.
    pub(super) async fn start(&self) -> Result<Solver, CliError> {
        let environment = Environment::of_process();
        let named = |name: &str| environment.get(name).map(PathBuf::from);
        let found = self
            .solver
            .clone()
            .map(|path| (kind_of(&path), path))
            .or_else(|| named("CVC5").map(|path| (ProgramKind::Cvc5, path)))
            .or_else(|| named("Z3").map(|path| (ProgramKind::Z3, path)))
            .or_else(|| {
                let path = environment.get("PATH")?;
                on_path(path, "cvc5")
                    .map(|path| (ProgramKind::Cvc5, path))
                    .or_else(|| on_path(path, "z3").map(|path| (ProgramKind::Z3, path)))
            });
        let advice = "pip install z3-solver (it ships the program z3), or name one: --solver, \
                      CVC5=/path/to/cvc5 or Z3=/path/to/z3";
        let Some((kind, path)) = found else {
            return Err(CliError::usage("there is no solver").fix(advice));
        };
        let mut solver = Solver::new(Program {
            path,
            kind,
            limit: Duration::from_secs(self.timeout),
        });
        solver
            .check()
            .await
            .map_err(|error| CliError::usage(error).fix(advice))?;
        Ok(solver)
    }
}

/// By the name of the program: what is not called z3 is taken for cvc5.
fn kind_of(path: &Path) -> ProgramKind {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if name.starts_with("z3") {
        ProgramKind::Z3
    } else {
        ProgramKind::Cvc5
    }
}

fn on_path(path: &str, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
