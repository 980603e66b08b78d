use proptest::prelude::*;

use super::*;

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn read(text: &str) -> Result<AuthorizationRequest, AuthorizeError> {
    AuthorizationRequest::read(
        &Parameters::parse(text.as_bytes()).unwrap(),
        "app".parse().unwrap(),
        "https://app.example/cb".to_owned(),
    )
}

fn least() -> String {
    format!("response_type=code&code_challenge={CHALLENGE}&code_challenge_method=S256")
}

#[test]
fn everything_that_is_known_is_read() {
    let request = read(&format!(
        "{}&scope=openid+profile&state=a%20b&nonce=n&prompt=login+consent&max_age=10&login_hint=ada\
         &id_token_hint=e.y.J&acr_values=high++low&ui_locales=de+en&resource=https://b&resource=https://a\
         &organization=acme&provider=google&dpop_jkt={CHALLENGE}&response_mode=form_post&display=page\
         &claims=%7B%7D&unknown=1&empty=&empty=",
        least()
    ))
    .unwrap();
    assert_eq!(request.scopes().unwrap().to_string(), "openid profile");
    assert_eq!(request.state.as_deref(), Some("a b"));
    assert_eq!(request.nonce.as_deref(), Some("n"));
    assert!(request.prompt.login && request.prompt.consent && !request.prompt.none);
    assert_eq!(request.max_age, Some(10));
    assert_eq!(request.login_hint.as_deref(), Some("ada"));
    assert_eq!(request.id_token_hint.as_deref(), Some("e.y.J"));
    assert_eq!(request.acr_values, ["high", "low"]);
    assert_eq!(request.ui_locales.as_deref(), Some("de en"));
    assert_eq!(request.resources, ["https://a", "https://b"]);
    assert_eq!(request.organization.as_deref(), Some("acme"));
    assert_eq!(request.provider.as_deref(), Some("google"));
    assert_eq!(request.dpop_jkt.as_deref(), Some(CHALLENGE));
    assert_eq!(request.response_mode, ResponseMode::FormPost);

    let json = serde_json::to_string(&request).unwrap();
    assert_eq!(
        serde_json::from_str::<AuthorizationRequest>(&json).unwrap(),
        request
    );
}

#[test]
fn the_least_is_a_response_type_and_a_challenge() {
    let request = read(&least()).unwrap();
    assert_eq!(request.scopes(), None);
    assert_eq!(request.prompt, Prompt::default());
    let json = serde_json::to_string(&request).unwrap();
    assert!(!json.contains("null"), "{json}");
}

#[test]
fn what_is_wrong_is_told_by_its_code() {
    use AuthorizeErrorCode::{
        InvalidRequest, InvalidScope, InvalidTarget, RegistrationNotSupported, RequestNotSupported,
        RequestUriNotSupported, UnsupportedResponseType,
    };
    let ok = least();
    let challenge = format!("code_challenge={CHALLENGE}");
    for (text, wanted) in [
        (
            challenge.clone() + "&code_challenge_method=S256",
            InvalidRequest,
        ),
        (ok.replace("=code&", "=token&"), UnsupportedResponseType),
        (
            ok.replace("=code&", "=code+id_token&"),
            UnsupportedResponseType,
        ),
        (ok.replace(&challenge, "a=b"), InvalidRequest),
        (ok.replace("S256", "plain"), InvalidRequest),
        (
            ok.replace("&code_challenge_method=S256", ""),
            InvalidRequest,
        ),
        (ok.replace(CHALLENGE, "short"), InvalidRequest),
        (
            ok.replace(CHALLENGE, &CHALLENGE.replace('-', "+")),
            InvalidRequest,
        ),
        (ok.clone() + "&scope=a&scope=a", InvalidRequest),
        (ok.clone() + "&unknown=a&unknown=b", InvalidRequest),
        (ok.clone() + "&state=a&state=b", InvalidRequest),
        (ok.clone() + "&state=%00", InvalidRequest),
        (ok.clone() + "&state=" + &"a".repeat(1025), InvalidRequest),
        (ok.clone() + "&nonce=" + &"a".repeat(1025), InvalidRequest),
        (ok.clone() + "&scope=%22", InvalidScope),
        (ok.clone() + "&prompt=none+login", InvalidRequest),
        (ok.clone() + "&prompt=create", InvalidRequest),
        (ok.clone() + "&max_age=-1", InvalidRequest),
        (ok.clone() + "&max_age=1.5", InvalidRequest),
        (ok.clone() + "&max_age=99999999999", InvalidRequest),
        (ok.clone() + "&response_mode=fragment", InvalidRequest),
        (ok.clone() + "&dpop_jkt=abc", InvalidRequest),
        (ok.clone() + "&resource=/api", InvalidTarget),
        (ok.clone() + "&resource=https://a%23b", InvalidTarget),
        (ok.clone() + "&request=e.y.J", RequestNotSupported),
        (
            ok.clone() + "&request_uri=https://a",
            RequestUriNotSupported,
        ),
        (ok + "&registration=%7B%7D", RegistrationNotSupported),
    ] {
        assert_eq!(
            read(&text).map_err(|error| error.code),
            Err(wanted),
            "{text}"
        );
    }
}

#[test]
fn a_state_is_echoed_only_if_it_is_one() {
    let echo = |text: &str| echoed_state(&Parameters::parse(text.as_bytes()).unwrap());
    assert_eq!(echo("state=a&scope=x&scope=y").as_deref(), Some("a"));
    assert_eq!(echo("state=a&state=b"), None);
    assert_eq!(echo("state=%0d%0a"), None);
}

#[test]
fn a_request_beyond_all_bounds_is_not_read() {
    assert!(Parameters::parse(&vec![b'a'; 16 * 1024]).is_ok());
    assert!(Parameters::parse(&vec![b'a'; 16 * 1024 + 1]).is_err());
    assert!(Parameters::parse("a=b&".repeat(64).as_bytes()).is_ok());
    assert!(Parameters::parse("a=b&".repeat(65).as_bytes()).is_err());
}

#[test]
fn values_are_not_printed() {
    let parameters = Parameters::parse(b"client_secret=s3cret").unwrap();
    assert_eq!(format!("{parameters:?}"), r#"{"client_secret"}"#);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        if let Ok(parameters) = Parameters::parse(&bytes) {
            let client = "app".parse().unwrap();
            let _ = AuthorizationRequest::read(&parameters, client, String::new());
            let _ = (echoed_state(&parameters), response_mode(&parameters));
        }
    }

    #[test]
    fn any_state_nonce_and_hint_come_back_as_they_were_sent(
        state in "[ -~]{1,200}",
        nonce in "\\PC{1,50}",
        hint in "\\PC{1,50}",
    ) {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let request = read(&format!(
            "{}&state={}&nonce={}&login_hint={}",
            least(), encode(&state), encode(&nonce), encode(&hint)
        )).unwrap();
        prop_assert_eq!(request.state, Some(state));
        prop_assert_eq!(request.nonce, Some(nonce));
        prop_assert_eq!(request.login_hint, Some(hint));
    }

    #[test]
    fn a_descriptions_characters_are_those_of_the_rfc(extra in "(&[a-z_]{1,12}=[a-z%+0-9]{0,8}){0,4}") {
        if let Err(error) = read(&(least() + &extra)) {
            prop_assert!(error.description.bytes().all(|byte| (0x20..=0x7E).contains(&byte)
                && byte != b'"' && byte != b'\\'));
        }
    }
}
