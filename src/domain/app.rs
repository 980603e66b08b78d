//! Apps: clients that people log in through.

/// What ends an app's refresh tokens besides their own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshBinding {
    /// They end with the login session they came from.
    Session,
    /// They outlive the session.
    Standalone,
}

impl RefreshBinding {
    /// The text in rows and in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Standalone => "standalone",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "session" => Some(Self::Session),
            "standalone" => Some(Self::Standalone),
            _ => None,
        }
    }
}
