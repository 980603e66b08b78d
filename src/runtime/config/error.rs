//! What is wrong with a configuration, all of it at once.

use std::fmt;

use crate::runtime::files::FileError;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key (`tokens.access`) or the environment variable.
    pub key: String,
    /// What is wrong and what is wanted.
    pub message: String,
}

/// Why there is no configuration. The process ends with [`crate::runtime::Exit::Config`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there.
    #[error("there is no configuration file `{path}`")]
    Missing {
        /// The file.
        path: String,
    },
    /// The file cannot be read.
    #[error("the configuration cannot be read")]
    Unreadable(#[from] FileError),
    /// The file is not TOML.
    #[error("`{path}` is not TOML:\n{message}")]
    Syntax {
        /// The file.
        path: String,
        /// Line, column and what was expected.
        message: String,
    },
    /// The keys or values are wrong.
    #[error("{}", Listed(.origin, .mistakes))]
    Mistakes {
        /// The file, or what stands for it.
        origin: String,
        /// Each of them.
        mistakes: Vec<Mistake>,
    },
}

struct Listed<'a>(&'a str, &'a [Mistake]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(origin, mistakes) = self;
        let count = mistakes.len();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        write!(f, "{count} {noun} in {origin}:")?;
        for mistake in *mistakes {
            write!(f, "\n  {}: {}", mistake.key, mistake.message)?;
        }
        Ok(())
    }
}
