use bytes::Bytes;

use super::super::messages::{
    AttributeContext, CheckRequest, Entry, HeaderMap as RawHeaders, HeaderValue as RawHeader,
    Request,
};
use super::*;

fn told(http: HttpRequest) -> Result<Told, ToldError> {
    let request = CheckRequest {
        attributes: Some(AttributeContext {
            request: Some(Request { http: Some(http) }),
        }),
    };
    Told::decode(&request.encode_to_vec())
}

fn entries(entries: &[(&str, &str)]) -> Vec<Entry> {
    let entry = |(key, value): &(&str, &str)| Entry {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    entries.iter().map(entry).collect()
}

fn http() -> HttpRequest {
    HttpRequest {
        method: "PUT".to_owned(),
        path: "/a?b".to_owned(),
        host: "app.example:8080".to_owned(),
        headers: entries(&[
            (":method", "PUT"),
            (":path", "/a?b"),
            (":authority", "app.example:8080"),
            (":scheme", "http"),
            ("authorization", "Bearer x"),
        ]),
        ..HttpRequest::default()
    }
}

fn raw(headers: &[(&str, &str, &'static [u8])]) -> HttpRequest {
    let header = |(key, value, raw): &(&str, &str, &'static [u8])| RawHeader {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
        raw_value: Bytes::from_static(raw),
    };
    HttpRequest {
        headers: Vec::new(),
        header_map: Some(RawHeaders {
            headers: headers.iter().map(header).collect(),
        }),
        ..http()
    }
}

#[test]
fn a_message_tells_method_host_path_and_headers() {
    let told = told(http()).unwrap();
    assert_eq!((told.method.as_str(), &*told.target), ("PUT", "/a?b"));
    assert_eq!(told.headers.len(), 2);
    assert_eq!(told.headers["host"], "app.example:8080");
    assert_eq!(told.headers["authorization"], "Bearer x");
}

#[test]
fn raw_headers_keep_what_stood_twice() {
    let told = told(raw(&[
        (":path", "", b"/a?b"),
        ("authorization", "", b"one"),
        ("authorization", "", b"two"),
        ("x-latin", "", b"\xe9"),
        ("x-empty", "", b""),
    ]))
    .unwrap();
    assert_eq!(told.headers.get_all("authorization").iter().count(), 2);
    assert_eq!(told.headers["x-latin"].as_bytes(), b"\xe9");
    assert_eq!(told.headers["x-empty"], "");
}

#[test]
fn a_message_that_contradicts_itself_or_tells_nothing_is_refused() {
    let with = |change: &dyn Fn(&mut HttpRequest)| {
        let mut http = http();
        change(&mut http);
        told(http).unwrap_err()
    };
    let add =
        |name: &str, value: &str| with(&|http| http.headers.extend(entries(&[(name, value)])));
    for (error, wanted) in [
        (add(":path", "/health"), ToldError::Contradiction(":path")),
        (add(":method", "GET"), ToldError::Contradiction(":method")),
        (
            add(":authority", "evil"),
            ToldError::Contradiction(":authority"),
        ),
        (add("Host", "evil"), ToldError::Contradiction("host")),
        (add("a b", "x"), ToldError::Header),
        (add("", "x"), ToldError::Header),
        (add("x", "a\r\nb"), ToldError::Header),
        (with(&|http| http.query = "a".to_owned()), ToldError::Apart),
        (
            with(&|http| http.fragment = "a".to_owned()),
            ToldError::Apart,
        ),
        (
            with(&|http| http.method = String::new()),
            ToldError::Contradiction(":method"),
        ),
        (
            with(&|http| http.host = "a\n".to_owned()),
            ToldError::Header,
        ),
        (
            with(&|http| http.header_map = raw(&[("x", "", b"y")]).header_map),
            ToldError::BothMaps,
        ),
        (
            told(raw(&[("x", "y", b"z")])).unwrap_err(),
            ToldError::Header,
        ),
        (told(HttpRequest::default()).unwrap_err(), ToldError::Method),
        (Told::decode(b"").unwrap_err(), ToldError::NoRequest),
        (Told::decode(b"\xff\xff").unwrap_err(), ToldError::Message),
    ] {
        assert_eq!(error, wanted);
    }
    // A name that stands twice in the map of the wire.
    let mut twice = http();
    twice
        .headers
        .extend(entries(&[("authorization", "Bearer y")]));
    let twice = told(twice).unwrap();
    assert_eq!(twice.headers.get_all("authorization").iter().count(), 2);
}
