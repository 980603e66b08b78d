//! Programs with credentials, and the identity providers: `/v1/clients`, `/v1/registration-tokens`,
//! `/v1/sidecars`, `/v1/providers`.

use schemars::json_schema;

use crate::authority::http::json::PlanQuery;
use crate::openapi::operation::{Operation, SchemaOf, of};
use crate::protocol::clients::{AppApplied, AppDocument, AppPlan, AppView};
use crate::protocol::credentials::{
    ClientView, ClientWithSecret, CreateClient, CreateJoinToken, Enroll, Enrolled, JoinTokenView,
    RotateSecret, SidecarView,
};
use crate::protocol::organizations::{Changed, Gone, Page, PageQuery};
use crate::protocol::providers::{ProviderApplied, ProviderDocument, ProviderPlan, ProviderView};
use crate::protocol::registration_tokens::{
    CreateRegistrationToken, CreatedRegistrationToken, RegistrationTokenView,
};

use super::{delete, get, post, put};

pub(super) fn operations() -> Vec<Operation> {
    [clients(), registration_tokens(), sidecars(), providers()].concat()
}

fn clients() -> Vec<Operation> {
    const CLIENTS: &str = "/v1/clients";
    const CLIENT: &str = "/v1/clients/{client}";
    let applied: SchemaOf = |generator| {
        let plan = generator.subschema_for::<AppPlan>();
        let applied = generator.subschema_for::<AppApplied>();
        json_schema!({ "anyOf": [plan, applied] })
    };
    vec![
        get(CLIENTS, "listClients", "Clients of every kind.")
            .query::<PageQuery>()
            .shows(200, "A page of clients.", of::<Page<ClientView>>()),
        post(
            CLIENTS,
            "createClient",
            "Makes a client of an operator or of a service.",
        )
        .json::<CreateClient>()
        .once::<ClientWithSecret>(201, "The client, and its secret this once."),
        get(CLIENT, "showClient", "An app's registration.")
            .shows(200, "The registration.", of::<AppView>())
            .may(&[404]),
        put(
            CLIENT,
            "putClient",
            "Makes or changes an app, or shows what that would change.",
        )
        .query::<PlanQuery>()
        .json::<AppDocument>()
        .shows(
            200,
            "What changed; with `dry_run`, what would change.",
            applied,
        ),
        delete(
            CLIENT,
            "retireClient",
            "Ends a client's tokens and credentials.",
        )
        .changed::<Changed<ClientView>>("The client.")
        .may(&[404]),
        post(
            "/v1/clients/{client}/secret",
            "rotateClientSecret",
            "Gives a client a new secret.",
        )
        .json::<RotateSecret>()
        .once::<ClientWithSecret>(200, "The client, and its secret this once.")
        .may(&[404]),
    ]
}

fn registration_tokens() -> Vec<Operation> {
    const TOKENS: &str = "/v1/registration-tokens";
    vec![
        get(
            TOKENS,
            "listRegistrationTokens",
            "Initial access tokens that have not expired.",
        )
        .query::<PageQuery>()
        .shows(
            200,
            "A page of tokens.",
            of::<Page<RegistrationTokenView>>(),
        ),
        post(
            TOKENS,
            "createRegistrationToken",
            "Lets clients register themselves.",
        )
        .json::<CreateRegistrationToken>()
        .once::<CreatedRegistrationToken>(201, "What it is, and the token this once."),
        delete(
            "/v1/registration-tokens/{token}",
            "revokeRegistrationToken",
            "Lets nobody register with it any more.",
        )
        .changed::<Changed<Gone>>("It is gone.")
        .may(&[404]),
    ]
}

fn sidecars() -> Vec<Operation> {
    const SIDECAR: &str = "/v1/sidecars/{sidecar}";
    vec![
        get("/v1/sidecars", "listSidecars", "Enrolled sidecars.")
            .query::<PageQuery>()
            .shows(200, "A page of sidecars.", of::<Page<SidecarView>>()),
        post(
            "/v1/sidecars/join-tokens",
            "createJoinToken",
            "Lets one sidecar enrol.",
        )
        .json::<CreateJoinToken>()
        .once::<JoinTokenView>(201, "The join token, this once."),
        post(
            "/v1/sidecars/enroll",
            "enrollSidecar",
            "Enrols a sidecar. The join token is the credential.",
        )
        .secured(&[])
        .json::<Enroll>()
        .once::<Enrolled>(201, "The sidecar's credentials, this once.")
        .may(&[429]),
        get(SIDECAR, "showSidecar", "One sidecar.")
            .shows(200, "The sidecar.", of::<SidecarView>())
            .may(&[404]),
        delete(SIDECAR, "revokeSidecar", "Ends a sidecar's credentials.")
            .changed::<Changed<Gone>>("It is out.")
            .may(&[404]),
    ]
}

fn providers() -> Vec<Operation> {
    const PROVIDER: &str = "/v1/providers/{provider}";
    let applied: SchemaOf = |generator| {
        let plan = generator.subschema_for::<ProviderPlan>();
        let applied = generator.subschema_for::<Changed<ProviderApplied>>();
        json_schema!({ "anyOf": [plan, applied] })
    };
    vec![
        get(
            "/v1/providers",
            "listProviders",
            "Identity providers; there are few.",
        )
        .shows(200, "All of them.", of::<Page<ProviderView>>()),
        get(PROVIDER, "showProvider", "One provider.")
            .shows(200, "The provider.", of::<ProviderView>())
            .may(&[404]),
        put(
            PROVIDER,
            "putProvider",
            "Declares a provider, or shows what that would change.",
        )
        .query::<PlanQuery>()
        .json::<ProviderDocument>()
        .shows(
            200,
            "What changed; with `dry_run`, what would change.",
            applied,
        ),
        delete(
            PROVIDER,
            "retireProvider",
            "Lets nobody log in through it any more.",
        )
        .changed::<Changed<ProviderView>>("The provider.")
        .may(&[404]),
    ]
}
