//! `/v1/users`

use crate::authority::http::login::ProviderTokenView;
use crate::openapi::operation::{Operation, of};
use crate::protocol::organizations::{Changed, CreateUser, Page, UserView};
use crate::protocol::users::{UserExport, UsersQuery};

use super::{delete, get, post};

pub(super) fn operations() -> Vec<Operation> {
    const USERS: &str = "/v1/users";
    const USER: &str = "/v1/users/{user}";
    vec![
        get(
            USERS,
            "listUsers",
            "Users, all of them or those that `search` finds.",
        )
        .query::<UsersQuery>()
        .shows(200, "A page of users.", of::<Page<UserView>>()),
        post(
            USERS,
            "createUser",
            "Makes a user known before the first login.",
        )
        .json::<CreateUser>()
        .created::<Changed<UserView>>("The user."),
        get(USER, "showUser", "One user.")
            .shows(200, "The user.", of::<UserView>())
            .may(&[404]),
        delete(
            USER,
            "eraseUser",
            "Erases a user's personal data. The id stays.",
        )
        .changed::<Changed<UserView>>("What is left of the user.")
        .may(&[404]),
        post(
            "/v1/users/{user}/suspend",
            "suspendUser",
            "Denies the user everything until restored.",
        )
        .changed::<Changed<UserView>>("The user.")
        .may(&[404]),
        post(
            "/v1/users/{user}/restore",
            "restoreUser",
            "Ends a suspension.",
        )
        .changed::<Changed<UserView>>("The user.")
        .may(&[404]),
        post(
            "/v1/users/{user}/sign-out",
            "signOutUser",
            "Ends the user's sessions and tokens everywhere.",
        )
        .changed::<Changed<UserView>>("The user.")
        .may(&[404]),
        post(
            "/v1/users/{user}/export",
            "exportUser",
            "Everything that is held on a user. Audited.",
        )
        .once::<UserExport>(200, "What is held.")
        .may(&[404]),
        get(
            "/v1/users/{user}/provider-tokens/{provider}",
            "showProviderToken",
            "A token by which to call an identity provider's API for a user.",
        )
        .once::<ProviderTokenView>(200, "The token.")
        .may(&[404, 409]),
    ]
}
