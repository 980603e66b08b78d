//! The external solver: a process that answers one question at a time.

use std::path::PathBuf;
use std::time::Duration;

use cedar_policy_symcc::err::{Error, SolverError};
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env};
use serde::Serialize;
use tokio::process::Command;

use super::z3::{Bridge, OPTIONS};

/// How much longer than its limit a solver may take before it is ended: it knows the limit itself.
const GRACE: Duration = Duration::from_secs(5);

/// Which solver a program is: they take their limit in different words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramKind {
    /// cvc5.
    Cvc5,
    /// Z3.
    Z3,
}

/// A solver's program, and how long it may think about one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// Which one it is.
    pub kind: ProgramKind,
    /// The limit for one question.
    pub limit: Duration,
}

impl Program {
    fn command(&self) -> Command {
        let limit = self.limit.as_millis();
        let mut command = Command::new(&self.path);
        match self.kind {
            ProgramKind::Cvc5 => command
                .args(["--lang", "smt"])
                .arg(format!("--tlimit-per={limit}")),
            ProgramKind::Z3 => command
                .args(["-smt2", "-in"])
                .args(OPTIONS)
                .arg(format!("-t:{limit}")),
        };
        command.kill_on_drop(true);
        command
    }
}

/// What a question came to. `E` is what stands against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer<E> {
    /// It holds for every request.
    Proved,
    /// It does not hold for this one, which the evaluator confirmed.
    Disproved {
        /// The request.
        example: E,
    },
    /// Nobody knows.
    Undecided {
        /// Why not.
        why: String,
    },
    /// The solver's example is none to the evaluator: a bug, to be reported.
    Contradiction {
        /// Both sides' words.
        what: String,
    },
}

/// What the solver says, before the evaluator was asked.
pub(super) enum Reply {
    Holds,
    Fails(Box<Env>),
    Unknown(String),
}

/// A solver that is started when it is first asked, and again after it died.
#[derive(Debug)]
pub struct Solver {
    program: Program,
    running: Option<CedarSymCompiler<Bridge>>,
    asked: u64,
}

/// What is asked about two compiled sets of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// What the first allows, the second allows.
    Implies,
    /// Nothing is allowed by both.
    Disjoint,
}

impl Solver {
    /// A solver, not started yet.
    pub fn new(program: Program) -> Self {
        Self {
            program,
            running: None,
            asked: 0,
        }
    }

    /// How many questions it was asked.
    pub const fn asked(&self) -> u64 {
        self.asked
    }

    /// Starts the program and asks it whether truth holds.
    ///
    /// # Errors
    ///
    /// What is wrong with the program.
    pub async fn check(&mut self) -> Result<(), String> {
        use cedar_policy_symcc::solver::{Decision, Solver as _};
        let path = self.program.path.display().to_string();
        let limit = self.program.limit + GRACE;
        let failed = |error: SolverError| format!("`{path}` is no solver: {}", in_full(&error));
        let compiler = self
            .started()
            .map_err(|error| format!("`{path}`: {error}"))?;
        let asked = tokio::time::timeout(limit, compiler.solver_mut().check_sat()).await;
        match asked {
            Ok(Ok(Decision::Sat)) => Ok(()),
            Ok(Ok(other)) => Err(format!("`{path}` says {other:?} to nothing at all")),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Err(format!("`{path}` does not answer")),
        }
    }

    fn started(&mut self) -> Result<&mut CedarSymCompiler<Bridge>, String> {
        if self.running.is_none() {
            let process = LocalSolver::from_command(&mut self.program.command())
                .map_err(|error| in_full(&error))?;
            let solver = match self.program.kind {
                ProgramKind::Cvc5 => Bridge::Cvc5(process),
                ProgramKind::Z3 => Bridge::Z3 {
                    process,
                    script: Vec::new(),
                },
            };
            self.running = Some(CedarSymCompiler::new(solver).map_err(|error| in_full(&error))?);
        }
        self.running
            .as_mut()
            .ok_or_else(|| "the solver is not running".to_owned())
    }

    /// Asks about two sets that were compiled for one environment.
    pub(super) async fn ask(
        &mut self,
        relation: Relation,
        left: &CompiledPolicySet,
        right: &CompiledPolicySet,
    ) -> Reply {
        self.asked += 1;
        let limit = self.program.limit + GRACE;
        let compiler = match self.started() {
            Ok(compiler) => compiler,
            Err(error) => return Reply::Unknown(format!("the solver does not start: {error}")),
        };
        let question = async {
            match relation {
                Relation::Implies => {
                    compiler
                        .check_implies_with_counterexample_opt(left, right)
                        .await
                }
                Relation::Disjoint => {
                    compiler
                        .check_disjoint_with_counterexample_opt(left, right)
                        .await
                }
            }
        };
        let answer = tokio::time::timeout(limit, question).await;
        self.understand(answer)
    }

    /// Whether a policy can fail on a request. `None` means that nobody knows.
    pub(super) async fn may_fail(&mut self, policy: &CompiledPolicy) -> Option<bool> {
        self.asked += 1;
        let limit = self.program.limit + GRACE;
        let compiler = self.started().ok()?;
        let asked = tokio::time::timeout(limit, compiler.check_never_errors_opt(policy)).await;
        if let Ok(Ok(never)) = asked {
            return Some(!never);
        }
        self.running = None;
        None
    }

    fn understand(
        &mut self,
        answer: Result<Result<Option<Env>, Error>, tokio::time::error::Elapsed>,
    ) -> Reply {
        match answer {
            Ok(Ok(None)) => Reply::Holds,
            Ok(Ok(Some(env))) => Reply::Fails(Box::new(env)),
            Ok(Err(Error::SolverUnknown)) | Err(_) => {
                self.running = None;
                Reply::Unknown(format!(
                    "the solver had no answer within {} s",
                    self.program.limit.as_secs_f32()
                ))
            }
            Ok(Err(error)) => {
                // It may have died, or stand in the middle of an answer.
                self.running = None;
                Reply::Unknown(in_full(&error))
            }
        }
    }
}

/// An error with its causes.
pub(super) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}
