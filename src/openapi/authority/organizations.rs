//! `/v1/organizations`

use crate::openapi::operation::{Operation, of};
use crate::protocol::invitations::{CreateInvitation, CreatedInvitation, InvitationView};
use crate::protocol::organizations::{
    AddMember, Changed, CreateOrganization, Gone, MemberView, OrganizationView, Page, PageQuery,
    PutMember, UpdateOrganization,
};

use super::{delete, get, patch, post, put};

/// What a path with an organization in it may be answered beside.
const NAMED: &[u16] = &[308, 404];

pub(super) fn operations() -> Vec<Operation> {
    [organizations(), members(), invitations()].concat()
}

fn organizations() -> Vec<Operation> {
    const ORGANIZATIONS: &str = "/v1/organizations";
    const ORGANIZATION: &str = "/v1/organizations/{organization}";
    vec![
        get(
            ORGANIZATIONS,
            "listOrganizations",
            "Organizations that the caller sees, in order of id.",
        )
        .query::<PageQuery>()
        .shows(
            200,
            "A page of organizations.",
            of::<Page<OrganizationView>>(),
        ),
        post(
            ORGANIZATIONS,
            "createOrganization",
            "Founds an organization.",
        )
        .json::<CreateOrganization>()
        .created::<Changed<OrganizationView>>("The organization."),
        get(ORGANIZATION, "showOrganization", "One organization.")
            .shows(200, "The organization.", of::<OrganizationView>())
            .may(NAMED),
        patch(
            ORGANIZATION,
            "updateOrganization",
            "Renames an organization, or gives it another slug.",
        )
        .json::<UpdateOrganization>()
        .changed::<Changed<OrganizationView>>("The organization.")
        .may(NAMED),
        delete(
            ORGANIZATION,
            "deleteOrganization",
            "Deletes an organization. Its slugs stay reserved.",
        )
        .changed::<Changed<Gone>>("It is gone.")
        .may(NAMED),
    ]
}

fn members() -> Vec<Operation> {
    const MEMBERS: &str = "/v1/organizations/{organization}/members";
    const MEMBER: &str = "/v1/organizations/{organization}/members/{user}";
    const ROLE: &str = "/v1/organizations/{organization}/members/{user}/roles/{service}/{role}";
    vec![
        get(
            MEMBERS,
            "listMembers",
            "An organization's members, in order of joining.",
        )
        .query::<PageQuery>()
        .shows(200, "A page of members.", of::<Page<MemberView>>())
        .may(NAMED),
        post(MEMBERS, "addMember", "Makes a user a member.")
            .json::<AddMember>()
            .created::<Changed<MemberView>>("The member.")
            .changed::<Changed<MemberView>>("The user was just this member before.")
            .may(NAMED),
        get(MEMBER, "showMember", "One member.")
            .shows(200, "The member.", of::<MemberView>())
            .may(NAMED),
        put(
            MEMBER,
            "putMember",
            "Makes a user a member with this primary role, whether or not it was one.",
        )
        .json::<PutMember>()
        .created::<Changed<MemberView>>("The new member.")
        .changed::<Changed<MemberView>>("The member.")
        .may(NAMED),
        delete(MEMBER, "removeMember", "Ends a membership.")
            .changed::<Changed<Gone>>("It is gone.")
            .may(NAMED),
        put(ROLE, "giveRole", "Gives a member a further role.")
            .changed::<Changed<MemberView>>("The member.")
            .may(NAMED),
        delete(ROLE, "takeRole", "Takes a role from a member.")
            .changed::<Changed<MemberView>>("The member.")
            .may(NAMED),
    ]
}

fn invitations() -> Vec<Operation> {
    const INVITATIONS: &str = "/v1/organizations/{organization}/invitations";
    const INVITATION: &str = "/v1/organizations/{organization}/invitations/{invitation}";
    vec![
        get(
            INVITATIONS,
            "listInvitations",
            "Open invitations, in the order they were made.",
        )
        .query::<PageQuery>()
        .shows(200, "A page of invitations.", of::<Page<InvitationView>>())
        .may(NAMED),
        post(
            INVITATIONS,
            "createInvitation",
            "Invites somebody. The link is in the answer, this once.",
        )
        .json::<CreateInvitation>()
        .once::<CreatedInvitation>(201, "The invitation and its link.")
        .may(NAMED),
        delete(INVITATION, "revokeInvitation", "Takes an invitation back.")
            .changed::<Changed<Gone>>("It is gone.")
            .may(NAMED),
    ]
}
