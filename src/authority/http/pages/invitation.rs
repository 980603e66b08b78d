//! The page on which people join an organization that invited them.

use askama::Template;
use http::StatusCode;

use crate::authority::brand::Brand;
use crate::domain::Timestamp;

use super::consent::AccountCard;
use super::frame::Frame;
use super::html::Html;
use super::locale::Locale;
use super::moment::Moment;

/// `/invitation`, in one of its states.
#[derive(Debug, Clone)]
pub enum InvitationPage {
    /// The invitation is shown, with the buttons `decision=accept` and `decision=decline`.
    Offer {
        /// The token for the hidden field `csrf`.
        csrf: String,
        /// The organization.
        organization: String,
        /// The role that comes with it, as its service names it.
        role: String,
        /// Until when it can be accepted.
        expires_at: Timestamp,
        /// Who is signed in; nobody yet: the button leads to sign-in first.
        account: Option<AccountCard>,
    },
    /// It was declined.
    Declined,
    /// It cannot be accepted.
    Refused {
        /// Why.
        reason: InvitationRefusal,
        /// Who is signed in.
        account: Option<AccountCard>,
    },
}

/// Why an invitation cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationRefusal {
    /// There is none by that link, or not any more.
    Gone,
    /// It is for another address.
    OtherAddress,
    /// They are a member already.
    Member,
}

impl InvitationRefusal {
    /// The status of the page that says it.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Gone => StatusCode::NOT_FOUND,
            Self::OtherAddress => StatusCode::FORBIDDEN,
            Self::Member => StatusCode::CONFLICT,
        }
    }
}

#[derive(Template)]
#[template(path = "invitation.html")]
struct View<'a> {
    frame: Frame<'a>,
    page: &'a InvitationPage,
    locale: Locale,
}

impl View<'_> {
    fn title(&self) -> String {
        let words = self.frame.words;
        match self.page {
            InvitationPage::Offer { organization, .. } => {
                words.invitation_title.plain(organization)
            }
            InvitationPage::Declined => words.declined_title.to_string(),
            InvitationPage::Refused { reason, .. } => match reason {
                InvitationRefusal::Gone => words.invitation_gone_title.to_string(),
                InvitationRefusal::OtherAddress => words.invitation_other_title.to_string(),
                InvitationRefusal::Member => words.invitation_member_title.to_string(),
            },
        }
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "templates pass references"
    )]
    const fn refusal_text(&self, reason: &InvitationRefusal) -> &'static str {
        match reason {
            InvitationRefusal::Gone => self.frame.words.invitation_gone_text.as_str(),
            InvitationRefusal::OtherAddress => self.frame.words.invitation_other_text.as_str(),
            InvitationRefusal::Member => self.frame.words.invitation_member_text.as_str(),
        }
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "templates pass references"
    )]
    fn exact(&self, at: &Timestamp) -> Moment {
        Moment::exact(*at, self.locale)
    }
}

impl InvitationPage {
    /// The page.
    pub fn render(&self, locale: Locale, brand: &Brand) -> Html {
        let view = View {
            frame: Frame::new(locale, brand),
            page: self,
            locale,
        };
        let avatar = match self {
            Self::Offer { account, .. } | Self::Refused { account, .. } => account
                .as_ref()
                .and_then(|account| account.avatar_url.as_deref()),
            Self::Declined => None,
        };
        Html::of(&view, locale)
            .with_images(brand.logo_uri())
            .with_images(avatar)
            .alone()
    }
}
