use super::*;

fn map(headers: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    map
}

fn told(
    dialect: Dialect,
    target: &str,
    headers: &[(&'static str, &str)],
) -> Result<(String, String, String), ReadError> {
    let headers = map(headers);
    let original = read(dialect, &Method::PUT, target, &headers)?;
    Ok((
        original.method.to_owned(),
        original.host.into_owned(),
        original.path.as_str().to_owned(),
    ))
}

const NGINX: [(&str, &str); 3] = [
    ("x-original-method", "POST"),
    ("x-original-host", "App.example:8443"),
    ("x-original-uri", "/a/b?c"),
];

const FORWARDED: [(&str, &str); 3] = [
    ("x-forwarded-method", "POST"),
    ("x-forwarded-host", "app.example"),
    ("x-forwarded-uri", "/a/b?c"),
];

const PLAIN: [(&str, &str); 3] = [
    ("doorward-method", "POST"),
    ("doorward-host", "app.example"),
    ("doorward-uri", "/a/b?c"),
];

fn own(dialect: Dialect) -> Vec<(&'static str, &'static str)> {
    match dialect {
        Dialect::Nginx => NGINX.to_vec(),
        Dialect::Traefik | Dialect::Caddy | Dialect::Haproxy => FORWARDED.to_vec(),
        Dialect::Envoy | Dialect::EnvoyGrpc => vec![("host", "app.example")],
        Dialect::Plain => PLAIN.to_vec(),
    }
}

#[test]
fn each_dialect_reads_its_own_headers() {
    for dialect in Dialect::ALL {
        let method = if matches!(dialect, Dialect::Envoy | Dialect::EnvoyGrpc) {
            "PUT"
        } else {
            "POST"
        };
        let wanted = (
            method.to_owned(),
            "app.example".to_owned(),
            "/a/b".to_owned(),
        );
        assert_eq!(
            told(dialect, "/a/b?c", &own(dialect)),
            Ok(wanted),
            "{dialect}"
        );
    }
}

#[test]
fn a_header_that_is_missing_is_never_made_up() {
    for dialect in Dialect::ALL {
        let headers = own(dialect);
        for left_out in 0..headers.len() {
            let mut some = headers.clone();
            let (name, _) = some.remove(left_out);
            let refused = told(dialect, "/a", &some);
            assert_eq!(refused, Err(ReadError::Missing(name)), "{dialect}");
        }
    }
}

#[test]
fn a_header_that_stands_twice_is_refused() {
    for dialect in Dialect::ALL {
        let mut names: Vec<_> = own(dialect).iter().map(|(name, _)| *name).collect();
        names.extend([
            "authorization",
            "dpop",
            "origin",
            "access-control-request-method",
        ]);
        for name in names {
            let mut headers = own(dialect);
            headers.retain(|(other, _)| *other != name);
            headers.extend([(name, "/x"), (name, "/x")]);
            let refused = told(dialect, "/a", &headers);
            assert_eq!(refused, Err(ReadError::Twice(name)), "{dialect}");
        }
    }
}

#[test]
fn headers_of_another_dialect_and_those_that_steer_apps_are_refused() {
    for dialect in Dialect::ALL {
        let own = own(dialect);
        for name in STEERING_HEADERS {
            if own.iter().any(|(mine, _)| *mine == name) {
                continue;
            }
            let mut headers = own.clone();
            headers.push((name, "/public"));
            assert_eq!(told(dialect, "/a", &headers), Err(ReadError::Foreign(name)));
        }
    }
}

#[test]
fn twins_with_underscores_are_refused() {
    for (twin, of) in [
        ("x_auth_user", "x-auth-user"),
        ("x-auth_org", "x-auth-org"),
        ("x_forwarded_uri", "x-forwarded-uri"),
        ("x_forwarded_host", "x-forwarded-host"),
        ("x-original_uri", "x-original-uri"),
    ] {
        for dialect in Dialect::ALL {
            let mut headers = own(dialect);
            headers.push((twin, "x"));
            assert_eq!(told(dialect, "/a", &headers), Err(ReadError::Twin(of)));
        }
    }
    let mut headers = NGINX.to_vec();
    headers.extend([("x_other", "x"), ("x-auth-user", "spoofed")]);
    assert!(told(Dialect::Nginx, "/", &headers).is_ok());
}

#[test]
fn a_connection_header_may_not_take_away_what_the_decision_rests_on() {
    for (value, outcome) in [
        ("keep-alive, Upgrade", None),
        ("close", None),
        ("close, X-Auth-User", Some("x-auth-user")),
        ("authorization", Some("authorization")),
        ("keep-alive, DPoP", Some("dpop")),
        ("X-Forwarded-Uri", Some("x-forwarded-uri")),
    ] {
        let mut headers = FORWARDED.to_vec();
        headers.push(("connection", value));
        let refused = told(Dialect::Traefik, "/", &headers).err();
        assert_eq!(refused, outcome.map(ReadError::HopByHop), "{value}");
    }
}

#[test]
fn a_preflight_is_options_with_its_two_headers_and_without_credentials() {
    let asked = |method: &str, further: &[(&'static str, &str)]| {
        let mut headers = vec![
            ("doorward-method", method),
            ("doorward-host", "app.example"),
            ("doorward-uri", "/"),
        ];
        headers.extend_from_slice(further);
        let headers = map(&headers);
        let original = read(Dialect::Plain, &Method::GET, "", &headers).unwrap();
        original.preflight.map(str::to_owned)
    };
    let both = [
        ("origin", "https://a"),
        ("access-control-request-method", "PUT"),
    ];
    assert_eq!(asked("OPTIONS", &both).as_deref(), Some("PUT"));
    assert_eq!(asked("GET", &both), None);
    assert_eq!(asked("OPTIONS", &both[..1]), None);
    assert_eq!(asked("OPTIONS", &both[1..]), None);
    let with = [both[0], both[1], ("authorization", "Bearer x")];
    assert_eq!(asked("OPTIONS", &with), None);
}

#[test]
fn a_method_a_host_and_a_path_are_what_they_should_be() {
    for (method, host, uri, error) in [
        ("", "a", "/", ReadError::Malformed("doorward-method")),
        (
            "GET POST",
            "a",
            "/",
            ReadError::Malformed("doorward-method"),
        ),
        ("GET", "a,b", "/", ReadError::Host(HostError)),
        ("GET", "a", "*", ReadError::Path(PathError::Form)),
        ("GET", "a", "http://b/", ReadError::Path(PathError::Form)),
    ] {
        let headers = [
            ("doorward-method", method),
            ("doorward-host", host),
            ("doorward-uri", uri),
        ];
        assert_eq!(told(Dialect::Plain, "", &headers), Err(error));
    }
}
