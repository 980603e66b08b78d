//! Why a token is refused: a closed set, so that metrics can count by it.

/// The reason. For counters and logs: whoever presented the token learns only `invalid_token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Refusal {
    /// Not three parts of base64url JSON with the claims of an access token, or far too long.
    Malformed,
    /// The `typ` header is not `at+jwt`: an ID token, for example.
    WrongType,
    /// Signed with something else than ES256, or not signed.
    Algorithm,
    /// The `kid` names no key of the copy.
    UnknownKey,
    /// The signature is not that key's.
    Signature,
    /// Issued by somebody else.
    Issuer,
    /// Meant for somebody else.
    Audience,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// Its user is suspended or was erased.
    UserInactive,
    /// Its user signed out everywhere after it was minted.
    UserSignedOut,
    /// Its client is retired.
    ClientInactive,
    /// The tokens its client had when it was minted were revoked.
    ClientRevoked,
    /// The login it came from has ended.
    SessionEnded,
    /// The grant it came from was revoked.
    GrantRevoked,
    /// There is no copy to verify by.
    NoCopy,
    /// The copy, or the keys in it, cannot be read.
    CopyUnreadable,
}

impl Refusal {
    /// All of them, in order of their number.
    pub const ALL: [Self; 17] = [
        Self::Malformed,
        Self::WrongType,
        Self::Algorithm,
        Self::UnknownKey,
        Self::Signature,
        Self::Issuer,
        Self::Audience,
        Self::Expired,
        Self::NotYetValid,
        Self::UserInactive,
        Self::UserSignedOut,
        Self::ClientInactive,
        Self::ClientRevoked,
        Self::SessionEnded,
        Self::GrantRevoked,
        Self::NoCopy,
        Self::CopyUnreadable,
    ];

    /// The word for logs and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::WrongType => "wrong_type",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::UserInactive => "user_inactive",
            Self::UserSignedOut => "user_signed_out",
            Self::ClientInactive => "client_inactive",
            Self::ClientRevoked => "client_revoked",
            Self::SessionEnded => "session_ended",
            Self::GrantRevoked => "grant_revoked",
            Self::NoCopy => "no_copy",
            Self::CopyUnreadable => "copy_unreadable",
        }
    }

    /// Whether it says nothing of the token: the sidecar cannot tell.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::NoCopy | Self::CopyUnreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_number_and_a_word_of_its_own() {
        let mut codes = std::collections::BTreeSet::new();
        for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(place, refusal as usize);
            assert!(codes.insert(refusal.code()));
        }
    }
}
