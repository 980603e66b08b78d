//! Why a command failed, with what to do about it.

use std::fmt;
use std::process::ExitCode;

use crate::protocol::problem::Problem;

/// A failed command: one line of what, one of how to mend it, and the exit code.
#[derive(Debug)]
pub struct CliError {
    kind: Kind,
    what: String,
    fix: Option<String>,
    details: Vec<String>,
}

/// What a script may tell apart. `check` keeps 0 and 1 for allow and deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An argument, a file or the profile: mend it and run again. 2, as for wrong flags.
    Usage,
    /// The server understood and refused. 3.
    Refused,
    /// Nothing answered. 4.
    Unreachable,
    /// Something here went wrong: a disk, a port. 5.
    Local,
}

impl CliError {
    /// An argument or a file that must change.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }

    /// Nobody answered at an address.
    pub fn unreachable(what: impl Into<String>) -> Self {
        Self::new(Kind::Unreachable, what)
    }

    /// The machine said no.
    pub fn local(what: impl Into<String>) -> Self {
        Self::new(Kind::Local, what)
    }

    /// The server's own words.
    pub fn refused(problem: &Problem) -> Self {
        let mut error = Self::new(
            Kind::Refused,
            problem
                .detail
                .clone()
                .unwrap_or_else(|| problem.title.to_string()),
        );
        error.what = format!("{} ({} {})", error.what, problem.status, problem.code);
        error.details = problem.errors.iter().map(ToString::to_string).collect();
        error.fix = match problem.status {
            401 => Some(
                "name a client: --client-id and DOORWARD_CLIENT_SECRET, or a profile that holds both"
                    .to_owned(),
            ),
            _ => None,
        };
        error
    }

    /// An answer that is none of Doorward's.
    pub fn unexpected(from: impl fmt::Display, status: u16, body: &[u8]) -> Self {
        let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
        Self::new(
            Kind::Refused,
            format!("{from} answered {status}: {}", text.trim()),
        )
    }

    fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            fix: None,
            details: Vec::new(),
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Says what of several things it is about.
    #[must_use]
    pub fn about(mut self, thing: &str) -> Self {
        self.what = format!("{thing}: {}", self.what);
        self
    }

    /// Adds each mistake that was found.
    #[must_use]
    pub fn details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// What a script may branch on.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to do about it, if that is known.
    pub fn advice(&self) -> Option<&str> {
        self.fix.as_deref()
    }

    /// Each mistake that was found.
    pub fn mistakes(&self) -> &[String] {
        &self.details
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::Usage => 2,
            Kind::Refused => 3,
            Kind::Unreachable => 4,
            Kind::Local => 5,
        })
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for CliError {}
