//! Every key, once.

use super::Text;

macro_rules! keys {
    ($($key:ident,)*) => {
        /// What one language says.
        #[derive(Debug)]
        pub(in crate::authority::http::pages) struct Words {
            $(pub(in crate::authority::http::pages) $key: Text,)*
        }

        #[cfg(test)]
        impl Words {
            /// Each key with its text.
            pub(super) fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($key), self.$key.as_str()),)*]
            }
        }
    };
}

keys! {
    sign_in,
    sign_in_to,
    sign_in_text,
    again_title,
    again_text,
    again_text_plain,
    link_title,
    link_text,
    continue_with,
    demo_note,
    demo_title,
    demo_text,
    demo_as,
    no_providers,
    cancel,
    notice_cancelled,
    notice_provider_failed,
    notice_expired,
    notice_session_ended,
    consent_title,
    consent_host,
    consent_scopes,
    consent_granted,
    consent_organization,
    consent_destination,
    consent_destination_app,
    consent_later,
    unverified,
    switch_account,
    allow,
    deny,
    website,
    privacy_policy,
    terms,
    scope_openid,
    scope_profile,
    scope_email,
    scope_offline,
    scope_organizations,
    scope_more,
    for_developers,
    request_id,
    error_code,
    try_again,
    to_account,
    bad_request_title,
    bad_request_text,
    unknown_app_title,
    unknown_app_text,
    not_found_title,
    not_found_text,
    suspended_title,
    suspended_text,
    not_allowed_title,
    not_allowed_text,
    proof_needed_title,
    proof_needed_text,
    proof_untold_title,
    proof_untold_text,
    already_linked_title,
    already_linked_text,
    link_needed_title,
    link_needed_text,
    form_expired_title,
    form_expired_text,
    expired_title,
    expired_text,
    provider_failed_title,
    provider_failed_text,
    too_many_title,
    too_many_text,
    unavailable_title,
    unavailable_text,
    internal_title,
    internal_text,
    signed_out_title,
    signed_out_text,
    signed_out_by,
    sign_in_again,
    logout_title,
    logout_text,
    logout_by,
    sign_out,
    stay,
    form_post_title,
    form_post_text,
    form_post_button,
    account_title,
    skip,
    profile,
    profile_text,
    organizations,
    providers,
    providers_text,
    last_used,
    remove,
    remove_provider,
    only_provider,
    add_provider,
    sessions,
    sessions_text,
    this_browser,
    session_started,
    session_seen,
    session_by,
    session_end,
    session_end_label,
    sessions_end_others,
    unknown_device,
    browser_on,
    apps,
    apps_text,
    no_apps,
    app_since,
    app_revoke,
    app_revoke_label,
    done_linked,
    done_unlinked,
    done_session_ended,
    done_others_ended,
    done_app_revoked,
    last_provider,
    not_linked,
    sessions_end_all,
    device_title,
    device_text,
    device_code,
    device_hint,
    device_next,
    device_unknown,
    device_too_many,
    device_confirm_title,
    device_confirm_text,
    device_warning,
    device_allow,
    device_allowed_title,
    device_allowed_text,
    device_denied_title,
    device_denied_text,
    invitation_title,
    invitation_text,
    invitation_role,
    invitation_until,
    invitation_sign_in,
    invitation_accept,
    invitation_decline,
    done_joined,
    gives_roles,
    first_apps,
    more_apps,
    declined_title,
    declined_text,
    invitation_gone_title,
    invitation_gone_text,
    invitation_other_title,
    invitation_other_text,
    invitation_member_title,
    invitation_member_text,
    just_now,
    minute_ago,
    minutes_ago,
    hour_ago,
    hours_ago,
    day_ago,
    days_ago,
    error_detail,
    help,
}

#[cfg(test)]
mod tests {
    use crate::authority::http::pages::Locale;

    /// Texts that are the same in both languages.
    const SAME: [&str; 3] = ["website", "error_code", "device_code"];

    #[test]
    fn every_language_says_everything() {
        for locale in Locale::ALL {
            for (key, text) in locale.words().all() {
                assert!(!text.trim().is_empty(), "{locale:?} {key}");
                assert_eq!(text.trim(), text, "{locale:?} {key}");
            }
        }
    }

    #[test]
    fn a_name_has_a_place_in_every_language_or_in_none() {
        for locale in Locale::ALL {
            let english = Locale::En.words().all();
            for ((key, theirs), (_, ours)) in locale.words().all().iter().zip(&english) {
                for place in ["{}", "{2}"] {
                    let count = theirs.matches(place).count();
                    assert_eq!(count, ours.matches(place).count(), "{locale:?} {key}");
                    assert!(count <= 1, "{locale:?} {key}");
                }
            }
        }
    }

    #[test]
    fn german_is_not_english() {
        let english = Locale::En.words().all();
        for ((key, german), (_, english)) in Locale::De.words().all().iter().zip(&english) {
            assert_eq!(german == english, SAME.contains(key), "{key}");
        }
    }
}
