//! What to try first: requests to paste, with the ids of this very installation.

use serde_json::json;

use super::super::output::Output;
use super::super::profile::ProfileFile;
use super::daemons::Places;

/// Shows where everything is and what to paste.
pub(super) fn show(places: &Places, profile: &ProfileFile, kept: bool, output: Output) {
    let authority = profile.authority.as_deref().unwrap_or_default();
    let sidecar = profile.sidecar.as_deref().unwrap_or_default();
    let value = json!({
        "authority": authority,
        "sidecar": sidecar,
        "sidecar_socket": profile.sidecar_socket,
        "profile": places.profile(),
        "users": profile.users,
    });
    output.event(&value, |_| text(places, profile, kept));
}

fn text(places: &Places, profile: &ProfileFile, kept: bool) -> String {
    let authority = profile.authority.as_deref().unwrap_or_default();
    let sidecar = profile.sidecar.as_deref().unwrap_or_default();
    let bob = profile
        .users
        .get("bob")
        .map(ToString::to_string)
        .unwrap_or_default();
    let body = |permission: &str| {
        let (resource, action) = permission.rsplit_once(':').unwrap_or((permission, ""));
        json!({
            "subject": {"type": "user", "id": bob},
            "action": {"name": action},
            "resource": {"type": resource, "id": "*"},
            "context": {"organization": "acme"},
        })
    };
    let ask = |permission: &str| {
        format!(
            "curl -s {sidecar}/access/v1/evaluation -H 'Content-Type: application/json' \\\n       \
             -d '{}'",
            body(permission)
        )
    };
    let token = format!(
        "TOKEN=$(curl -s {authority}/oauth2/token -u \"operator:$(cat {})\" \\\n       \
         -d grant_type=client_credentials | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')",
        places.secret().display()
    );
    let role = format!("{authority}/v1/organizations/acme/members/{bob}/roles/billing/clerk");
    let revoke = format!("curl -s -X DELETE {role} -H \"Authorization: Bearer $TOKEN\"");
    let grant = format!("curl -s -X PUT {role} -H \"Authorization: Bearer $TOKEN\"");
    let check = format!(
        "curl -s '{sidecar}/v1/check?user={bob}&organization=acme&permission=billing:invoice:send'"
    );
    let place = if kept {
        "kept"
    } else {
        "temporary: --data DIR keeps it"
    };
    format!(
        "\
Doorward runs.
  authority  {authority}
  sidecar    {sidecar}{socket}
  data       {data} ({place})

Bob is a clerk at acme. May he send an invoice? (yes)
  {send}

May he void one? (no)
  {void}

Take the role from him, and ask again, the short way: (no)
  {token}
  {revoke}
  {check}

Give it back: (yes)
  {grant}
  {check}

The same with the command, in another terminal:
  export DOORWARD_PROFILE={profile}
  doorward check bob acme billing:invoice:send
  doorward explain bob acme billing:invoice:void
  doorward member revoke acme bob billing/clerk
  doorward status

Log in as Alice, Bob or Carol, with the demo provider that is built in for this:
  {authority}/login

Here: a + Enter stops or starts the authority (the sidecar goes on answering), Ctrl-C ends both.
",
        socket = profile
            .sidecar_socket
            .as_deref()
            .map_or_else(String::new, |socket| format!("  {socket}")),
        data = places.data.display(),
        send = ask("billing:invoice:send"),
        void = ask("billing:invoice:void"),
        profile = places.profile().display(),
    )
}
