//! Why a decision came out as it did: a closed set, so that metrics can count by it.

/// The reason of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Why {
    /// The roles held decide it, either way.
    Roles,
    /// Hand-written policies had a say, either way.
    Policies,
    /// The user is not a member of the organization.
    NotMember,
    /// The user is suspended.
    Suspended,
    /// The user was erased.
    Deleted,
    /// The request names no organization.
    OrganizationMissing,
    /// The request names an organization by a slug that nobody has.
    OrganizationUnknown,
    /// The subject is of a type that is not mapped to users.
    SubjectType,
    /// The subject's id is not a user's id.
    SubjectId,
    /// No service declares such a permission.
    PermissionUnknown,
    /// The facts are staler than the request or the listener allows, or staleness is unknown.
    Stale,
    /// The revision asked for did not arrive in time.
    NotYetApplied,
    /// The revision asked for is of another epoch.
    UnknownEpoch,
    /// There is no copy yet.
    NoCopy,
    /// The copy cannot be read.
    CopyUnreadable,
    /// Policies changed under the question, and those that go with its facts are not there yet.
    Overtaken,
    /// The question could not be asked (inside a batch).
    BadItem,
    /// The token's scopes do not name the permission.
    Scope,
    /// The token is bound to another organization.
    OtherOrganization,
    /// A client asks for itself, and its scopes name the permission.
    ClientScopes,
    /// A client asks for itself, and hand-written policies might have a say.
    PoliciesJudgeMembers,
    /// The resource is registered in another organization.
    ResourceElsewhere,
}

impl Why {
    /// All of them, in order of their number.
    pub const ALL: [Self; 22] = [
        Self::Roles,
        Self::Policies,
        Self::NotMember,
        Self::Suspended,
        Self::Deleted,
        Self::OrganizationMissing,
        Self::OrganizationUnknown,
        Self::SubjectType,
        Self::SubjectId,
        Self::PermissionUnknown,
        Self::Stale,
        Self::NotYetApplied,
        Self::UnknownEpoch,
        Self::NoCopy,
        Self::CopyUnreadable,
        Self::Overtaken,
        Self::BadItem,
        Self::Scope,
        Self::OtherOrganization,
        Self::ClientScopes,
        Self::PoliciesJudgeMembers,
        Self::ResourceElsewhere,
    ];

    /// The word for programs and for metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Roles => "roles",
            Self::Policies => "policies",
            Self::NotMember => "not_member",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
            Self::OrganizationMissing => "organization_missing",
            Self::OrganizationUnknown => "organization_unknown",
            Self::SubjectType => "subject_type",
            Self::SubjectId => "subject_id",
            Self::PermissionUnknown => "permission_unknown",
            Self::Stale => "stale",
            Self::NotYetApplied => "not_yet_applied",
            Self::UnknownEpoch => "unknown_epoch",
            Self::NoCopy => "no_copy",
            Self::CopyUnreadable => "copy_unreadable",
            Self::Overtaken => "overtaken",
            Self::BadItem => "bad_item",
            Self::Scope => "scope",
            Self::OtherOrganization => "other_organization",
            Self::ClientScopes => "client_scopes",
            Self::PoliciesJudgeMembers => "policies_judge_members",
            Self::ResourceElsewhere => "resource_elsewhere",
        }
    }

    /// The sentence for people.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Roles => "the roles held decide this",
            Self::Policies => "hand-written policies decide this",
            Self::NotMember => "the user is not a member of this organization",
            Self::Suspended => "the user is suspended",
            Self::Deleted => "the user was deleted",
            Self::OrganizationMissing => {
                "no organization is named: set `context.organization` to its id or slug"
            }
            Self::OrganizationUnknown => "no organization has this slug",
            Self::SubjectType => "the subject's type is not one that means a user here",
            Self::SubjectId => "the subject's id is not a user id: a hyphenated UUID is wanted",
            Self::PermissionUnknown => "no service declares this permission",
            Self::Stale => {
                "the sidecar's facts are older than allowed, or it cannot tell how old they are"
            }
            Self::NotYetApplied => {
                "the revision asked for has not arrived here yet: ask again shortly"
            }
            Self::UnknownEpoch => {
                "the write that the freshness token tells of is not part of this sidecar's history, \
                 and may be lost: ask without the token"
            }
            Self::NoCopy => "the sidecar has no copy of the facts yet",
            Self::CopyUnreadable => "the sidecar's copy cannot be read",
            Self::Overtaken => {
                "policies are changing and those for the newest facts are not there yet: ask again"
            }
            Self::BadItem => "the question cannot be asked",
            Self::Scope => "no scope of the token names this permission",
            Self::OtherOrganization => "the token is bound to another organization",
            Self::ClientScopes => "the scopes of the client's own token decide this",
            Self::PoliciesJudgeMembers => {
                "hand-written policies may have a say here and they judge members: a client that \
                 asks for itself is none"
            }
            Self::ResourceElsewhere => {
                "the resource is registered in another organization than the one named"
            }
        }
    }

    /// Whether an answer says it unasked: whatever is not plainly about who may do what.
    pub const fn is_told(self) -> bool {
        !matches!(
            self,
            Self::Roles
                | Self::Policies
                | Self::NotMember
                | Self::Suspended
                | Self::Deleted
                | Self::BadItem
                | Self::Scope
                | Self::OtherOrganization
                | Self::ClientScopes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_number_and_a_word_of_its_own() {
        let mut codes = std::collections::BTreeSet::new();
        for (place, why) in Why::ALL.into_iter().enumerate() {
            assert_eq!(place, why as usize);
            assert!(codes.insert(why.code()));
        }
    }
}
