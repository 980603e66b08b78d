//! Requests as proxies tell them.

use doorward::protocol::ext_authz::Told;
use doorward::protocol::forward_auth::{Dialect, Original, read};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{Verdict, first_line, verdict};

/// A dialect's name; method and target, with a space between; then a header in each line.
pub fn forward_auth(data: &[u8]) -> Verdict {
    let (name, data) = first_line(data);
    let (request, data) = first_line(data);
    let Some(dialect) = Dialect::ALL
        .into_iter()
        .find(|one| one.name().as_bytes() == name)
    else {
        return 0;
    };
    let Ok(request) = std::str::from_utf8(request) else {
        return 1;
    };
    let (method, target) = request.split_once(' ').unwrap_or((request, ""));
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return 2;
    };
    let headers = headers(data);
    let outcome = read(dialect, &method, target, &headers);
    if let Ok(original) = &outcome {
        check(dialect, (&method, target), &headers, original);
    }
    verdict(outcome.map(|original| {
        (
            original.preflight.is_some(),
            original.path.segments().count(),
        )
    }))
}

/// A message of Envoy's, or what a stranger makes of one.
pub fn ext_authz(data: &[u8]) -> Verdict {
    let told = match Told::decode(data) {
        Ok(told) => told,
        Err(error) => return verdict(error),
    };
    // What the request is found by was said in its own field, once.
    assert_eq!(told.headers.get_all("host").iter().count(), 1);
    let contains = |text: &[u8]| data.windows(text.len().max(1)).any(|part| part == text);
    assert!(told.target.is_empty() || contains(told.target.as_bytes()));
    for (name, value) in &told.headers {
        assert!(!name.as_str().starts_with(':'));
        assert!(value.is_empty() || contains(value.as_bytes()));
    }
    let dialect = Dialect::EnvoyGrpc;
    let outcome = read(dialect, &told.method, &told.target, &told.headers);
    if let Ok(original) = &outcome {
        let asked = (&told.method, &*told.target);
        check(dialect, asked, &told.headers, original);
    }
    verdict(outcome.map(|original| original.path.segments().count()))
}

fn headers(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// What is believed was said once, by the dialect's own headers, and no reading of the path leads
/// elsewhere.
fn check(
    dialect: Dialect,
    (method, target): (&Method, &str),
    headers: &HeaderMap,
    original: &Original<'_>,
) {
    let prefix = match dialect {
        Dialect::Nginx => "x-original-",
        Dialect::Traefik | Dialect::Caddy | Dialect::Haproxy => "x-forwarded-",
        Dialect::Envoy | Dialect::EnvoyGrpc => "",
        Dialect::Plain => "doorward-",
    };
    let only = |name: &str| {
        let mut values = headers.get_all(format!("{prefix}{name}")).iter();
        let value = values.next().unwrap().to_str().unwrap();
        assert!(values.next().is_none(), "{name} stands twice");
        value
    };
    let host = only("host");
    let (told_method, uri) = if matches!(dialect, Dialect::Envoy | Dialect::EnvoyGrpc) {
        (method.as_str(), target)
    } else {
        (only("method"), only("uri"))
    };
    assert_eq!(original.method, told_method);
    assert!(host.to_ascii_lowercase().starts_with(&*original.host));
    assert!(headers.get_all("authorization").iter().count() <= 1);
    for wrong in ["x-original-url", "x-rewrite-url", "x-http-method-override"] {
        assert!(!headers.contains_key(wrong), "{wrong}");
    }
    for name in headers.keys().map(HeaderName::as_str) {
        assert!(!matches!(
            name,
            "x_auth_user" | "x_auth_org" | "x_forwarded_uri"
        ));
    }
    let told = original.path.as_str();
    let sent = uri.split(['?', '#']).next().unwrap();
    // Another decoder, any number of times, with `\` as `/` and without parameters.
    let mut bytes = sent.as_bytes().to_vec();
    for _ in 0..4 {
        bytes = percent_decoded(&bytes);
        let lax = String::from_utf8(bytes.clone()).unwrap().replace('\\', "/");
        let mut walked: Vec<&str> = Vec::new();
        for segment in lax.split('/') {
            match segment.split(';').next().unwrap() {
                "" | "." => {}
                ".." => drop(walked.pop()),
                plain => walked.push(plain),
            }
        }
        assert_eq!(format!("/{}", walked.join("/")), told, "{uri}");
    }
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut out = Vec::new();
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let encoded = match (first, tail) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match encoded {
            Some((high, low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap());
                rest = &tail[2..];
            }
            None => out.push(*first),
        }
    }
    out
}
