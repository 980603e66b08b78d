//! Queries and forms, and what is made of them.

use std::collections::BTreeMap;

use doorward::protocol::oauth::Form;
use doorward::protocol::oauth::authorize::{AuthorizationRequest, Parameters};
use doorward::protocol::oidc::upstream::{Callback, Outcome};

use super::{Verdict, assert_hidden, verdict};

/// The most parameters that are read.
const PARAMETERS_MAX: usize = 64;

/// The parameters of a form, by the URL standard, by hand.
pub(super) fn decoded(body: &[u8]) -> Vec<(String, String)> {
    body.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let end = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = match end {
                Some(end) => (&pair[..end], &pair[end + 1..]),
                None => (pair, &[][..]),
            };
            (percent_decoded(name), percent_decoded(value))
        })
        .collect()
}

fn percent_decoded(bytes: &[u8]) -> String {
    let digit = |index: usize| {
        bytes
            .get(index)
            .and_then(|byte| char::from(*byte).to_digit(16))
    };
    let (mut out, mut index) = (Vec::new(), 0);
    while let Some(byte) = bytes.get(index) {
        index += 1;
        match (byte, digit(index), digit(index + 1)) {
            (b'+', ..) => out.push(b' '),
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap());
                index += 2;
            }
            (byte, ..) => out.push(*byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What was sent with a value, by name.
pub(super) fn sent(body: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut sent: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in decoded(body)
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
    {
        sent.entry(name).or_default().push(value);
    }
    sent
}

fn encoded(sent: &BTreeMap<String, Vec<String>>) -> String {
    let mut serializer = form_urlencoded::Serializer::new(String::new());
    for (name, values) in sent {
        for value in values {
            serializer.append_pair(name, value);
        }
    }
    serializer.finish()
}

/// A form or a query as it comes.
pub fn forms(data: &[u8]) -> Verdict {
    let sent = sent(data);
    let too_many = decoded(data).len() > PARAMETERS_MAX;
    let twice = sent
        .iter()
        .any(|(name, values)| name != "resource" && values.len() > 1);
    let form = Form::parse(data);
    assert_eq!(form.is_err(), too_many || twice, "{sent:?}");
    if let Ok(form) = form {
        let printed = format!("{form:?}");
        let names: Vec<&str> = sent.keys().map(String::as_str).collect();
        for value in sent.values().flatten() {
            assert_hidden(&printed, value, &names);
        }
        assert_form_holds(form, &sent);
        // Another encoder's form of the same means the same.
        assert_form_holds(Form::parse(encoded(&sent).as_bytes()).unwrap(), &sent);
    }
    let parameters = Parameters::parse(data);
    assert_eq!(parameters.is_err(), too_many, "{sent:?}");
    if let Ok(parameters) = parameters {
        assert_eq!(parameters.any_repeated(), twice, "{sent:?}");
        for (name, values) in &sent {
            assert_eq!(parameters.all(name), values);
            assert_eq!(parameters.one(name).is_err(), values.len() > 1);
            assert!(parameters.has(name));
        }
        let again = Parameters::parse(encoded(&sent).as_bytes()).unwrap();
        assert!(
            sent.keys()
                .all(|name| again.all(name) == parameters.all(name))
        );
    }
    verdict((too_many, twice, sent.len().min(4)))
}

fn assert_form_holds(mut form: Form, sent: &BTreeMap<String, Vec<String>>) {
    for (name, values) in sent.iter().filter(|(name, _)| *name != "resource") {
        let taken = form.take(name).expect("it was sent");
        assert_eq!([taken.to_string()].as_slice(), values.as_slice());
        assert!(form.take(name).is_none(), "it was taken");
    }
    let resources = sent.get("resource").cloned().unwrap_or_default();
    assert_eq!(form.take_resources(), resources);
}

/// The query of an authorization request.
pub fn authorization_requests(data: &[u8]) -> Verdict {
    let Ok(parameters) = Parameters::parse(data) else {
        return 0;
    };
    let client = "app".parse().unwrap();
    let read = AuthorizationRequest::read(&parameters, client, "https://a.example/".to_owned());
    let sent = sent(data);
    let one = |name: &str| sent.get(name).and_then(|values| values.first()).cloned();
    match read {
        Ok(request) => {
            assert!(
                sent.iter()
                    .all(|(name, values)| name == "resource" || values.len() == 1)
            );
            assert_eq!(one("response_type").as_deref(), Some("code"));
            assert_eq!(one("code_challenge_method").as_deref(), Some("S256"));
            assert_eq!(one("code_challenge"), Some(request.code_challenge.clone()));
            assert_eq!(request.code_challenge.len(), 43);
            assert_eq!(request.state, one("state"));
            assert_eq!(request.nonce, one("nonce"));
            assert_eq!(request.scope, one("scope"));
            assert!(one("request").is_none() && one("request_uri").is_none());
            let prompt = request.prompt;
            assert!(!prompt.none || !(prompt.login || prompt.consent || prompt.select_account));
            assert!(request.resources.iter().all(|one| !one.contains('#')));
            // It is sealed and comes back the same.
            let json = serde_json::to_string(&request).unwrap();
            let back: AuthorizationRequest = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&back).unwrap(), json);
            verdict((prompt, request.response_mode, request.max_age.is_some()))
        }
        // The words are ours, whatever was sent.
        Err(error) => verdict(error),
    }
}

/// The query that a browser brings back from a provider.
pub fn callbacks(data: &[u8]) -> Verdict {
    let Ok(query) = std::str::from_utf8(data) else {
        return 0;
    };
    let pairs = decoded(data);
    let of = |name: &str| -> Vec<&str> {
        let named = pairs.iter().filter(|(found, _)| found == name);
        named.map(|(_, value)| value.as_str()).collect()
    };
    match Callback::parse(query) {
        Ok(callback) => {
            assert_eq!(of("state"), [callback.state.as_str()]);
            assert!(!callback.state.is_empty());
            let (code, error) = match &callback.outcome {
                Outcome::Code(code) => (vec![code.as_str()], vec![]),
                Outcome::Error(error) => (vec![], vec![error.as_str()]),
            };
            assert_eq!((of("code"), of("error")), (code, error));
            assert_eq!(of("iss"), callback.iss.iter().collect::<Vec<_>>());
            let issuer = "https://idp.example";
            if callback.check_issuer(issuer, true).is_ok() {
                assert_eq!(callback.iss.as_deref(), Some(issuer));
            }
            if callback.check_issuer(issuer, false).is_ok() {
                assert!(callback.iss.is_none_or(|iss| iss == issuer));
            }
            verdict(callback.outcome == Outcome::Error(String::new()))
        }
        Err(error) => verdict(error),
    }
}
