//! Exit codes of the daemons (after `sysexits.h`), so that scripts and supervisors can tell a typo
//! from a full disk.

use std::process::{ExitCode, Termination};

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Success,
    /// 1: it could not start or go on: a port in use, a store that is not there.
    Failed,
    /// 64: unknown arguments.
    Usage,
    /// 74: a file could not be read or written: a read-only directory, a full disk.
    Io,
    /// 78: the configuration is missing or wrong.
    Config,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 64,
            Self::Io => 74,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.into()
    }
}
