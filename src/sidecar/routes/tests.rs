use std::fmt::Write as _;

use super::*;
use crate::protocol::forward_auth::CanonicalPath;
use crate::sidecar::routes::Unmatched;

fn found(table: &RouteTable, request: &str) -> Result<String, Unmatched> {
    let (method, url) = request.split_once(' ').unwrap();
    let (host, path) = url.split_at(url.find('/').unwrap());
    let path = CanonicalPath::parse(path).unwrap();
    let found = table.find(method, host, &path)?;
    Ok(match found.subdomain {
        Some(subdomain) => format!("{}@{subdomain}", found.route.name),
        None => found.route.name.to_string(),
    })
}

/// Public routes by `name hosts methods path`.
fn table(routes: &[(&str, &str, &str, &str)]) -> Result<RouteTable, RoutesError> {
    let quoted = |text: &str| {
        let parts: Vec<String> = text.split(' ').map(|part| format!("{part:?}")).collect();
        parts.join(", ")
    };
    let mut text = String::new();
    for (name, hosts, methods, path) in routes {
        let methods = match *methods {
            "" => String::new(),
            methods => format!("methods = [{}]\n", quoted(methods)),
        };
        let _ = write!(
            text,
            "[[route]]\nname = {name:?}\nhosts = [{}]\n{methods}path = {path:?}\npublic = true\n",
            quoted(hosts)
        );
    }
    parse(&text)
}

#[test]
fn the_most_specific_path_decides_whatever_the_order_of_the_file() {
    let mut routes = vec![
        ("root", "a.test", "", "/"),
        ("all", "a.test", "", "/{rest...}"),
        ("list", "a.test", "", "/x"),
        ("one", "a.test", "", "/x/{id}"),
        ("new", "a.test", "", "/x/new"),
        ("below", "a.test", "", "/x/{id}/y/{rest...}"),
        ("other", "a.test", "", "/{any}/new/z"),
    ];
    for _ in 0..routes.len() {
        let table = table(&routes).unwrap();
        for (request, wanted) in [
            ("GET a.test/", "root"),
            ("GET a.test/x", "list"),
            ("GET a.test/x/", "list"),
            ("GET a.test/x/7", "one"),
            ("GET a.test/x/new", "new"),
            ("GET a.test/x/7/y", "below"),
            ("GET a.test/x/7/y/1/2", "below"),
            ("GET a.test/x/7/z", "all"),
            // The literal `x` leads nowhere, so the capture is taken.
            ("GET a.test/x/new/z", "other"),
            ("GET a.test/q/new/z", "other"),
            ("GET a.test/X", "all"),
        ] {
            assert_eq!(found(&table, request).as_deref(), Ok(wanted), "{request}");
        }
        routes.rotate_left(1);
    }
}

#[test]
fn a_method_that_the_most_specific_path_does_not_list_falls_to_no_other_route() {
    let table = table(&[
        ("admin", "a.test", "GET", "/admin"),
        ("all", "a.test", "", "/{rest...}"),
        ("post", "a.test", "POST", "/admin"),
    ])
    .unwrap();
    assert_eq!(found(&table, "HEAD a.test/admin").as_deref(), Ok("admin"));
    assert_eq!(found(&table, "POST a.test/admin").as_deref(), Ok("post"));
    for method in ["PUT", "get", "TRACE", "PROPFIND"] {
        let denied = found(&table, &format!("{method} a.test/admin"));
        let named = vec!["admin".into(), "post".into()];
        assert_eq!(denied, Err(Unmatched::Method(named)), "{method}");
    }
}

#[test]
fn only_the_routes_of_the_most_specific_host_are_looked_at() {
    let table = table(&[
        ("exact", "app.a.test", "", "/x"),
        ("wild", "*.a.test", "", "/{rest...}"),
        ("any", "*", "", "/{rest...}"),
    ])
    .unwrap();
    for (request, wanted) in [
        ("GET app.a.test/x", Ok("exact")),
        ("GET app.a.test/y", Err(Unmatched::Path)),
        ("GET acme.a.test/y", Ok("wild@acme")),
        ("GET a.b.a.test/y", Ok("any")),
        ("GET a.test/y", Ok("any")),
        ("GET [::1]/y", Ok("any")),
    ] {
        assert_eq!(
            found(&table, request),
            wanted.map(str::to_owned),
            "{request}"
        );
    }
    let none = parse("").unwrap();
    assert_eq!(found(&none, "GET a.test/"), Err(Unmatched::Host));
}

#[test]
fn two_routes_that_a_request_fits_equally_well_are_refused_by_name() {
    let clash = |one: (&str, &str, &str), other: (&str, &str, &str)| {
        let routes = [
            ("one", one.0, one.1, one.2),
            ("other", other.0, other.1, other.2),
        ];
        table(&routes).err().map(|error| error.to_string())
    };
    for (one, other) in [
        (("a.test", "", "/x"), ("a.test", "GET", "/x")),
        (("a.test", "GET", "/x"), ("a.test", "HEAD", "/x")),
        (("a.test", "", "/{a}"), ("b.test a.test", "", "/{b}")),
        (("*.a.test", "", "/{a...}"), ("*.a.test", "", "/{b...}")),
        (("*", "", "/x"), ("*", "", "/x/")),
    ] {
        let error = clash(one, other).unwrap();
        assert!(
            error.contains("`one`") && error.contains("`other`"),
            "{error}"
        );
    }
    assert_eq!(
        clash(("a.test", "GET", "/x"), ("a.test", "PUT", "/x")),
        None
    );
    assert_eq!(clash(("a.test", "", "/x"), ("*.test", "", "/x")), None);
}

#[test]
fn case_is_told_apart_unless_the_file_says_that_the_app_does_not() {
    let text = |ignore: bool| {
        format!(
            "ignore_case = {ignore}\n[[route]]\nname = \"admin\"\nhosts = [\"*\"]\n\
             path = \"/Admin/{{id}}\"\nsigned_in = true\n"
        )
    };
    let strict = parse(&text(false)).unwrap();
    assert_eq!(found(&strict, "GET a/admin/X"), Err(Unmatched::Path));
    let lax = parse(&text(true)).unwrap();
    assert_eq!(found(&lax, "GET a/aDMIN/X").as_deref(), Ok("admin"));
    assert!(lax.needs_tokens());
}

/// A route of one permission, with fields added or replaced.
fn with(fields: &[(&str, &str)]) -> Result<RouteTable, RoutesError> {
    let mut all = vec![
        ("name", "\"r\""),
        ("hosts", "[\"*.a.test\"]"),
        ("path", "\"/o/{org}/{rest...}\""),
        ("permission", "\"docs:page:read\""),
        ("organization", "\"capture:org\""),
    ];
    for (field, value) in fields {
        all.retain(|(other, _)| other != field);
        if !value.is_empty() {
            all.push((field, value));
        }
    }
    let lines: Vec<String> = all.iter().map(|(f, v)| format!("{f} = {v}")).collect();
    parse(&format!("[[route]]\n{}\n", lines.join("\n")))
}

#[test]
fn every_field_is_checked_and_named() {
    for (fields, named) in [
        (&[("name", "\"\"")][..], "name"),
        (&[("hosts", "[]")], "hosts"),
        (&[("hosts", "[\"a.test:80\"]")], "hosts"),
        (&[("hosts", "[\"a.test.\"]")], "hosts"),
        (&[("hosts", "[\"**.test\"]")], "hosts"),
        (&[("hosts", "[\"a.test\", \"A.test\"]")], "hosts"),
        (&[("methods", "[]")], "methods"),
        (&[("methods", "[\"get\"]")], "methods"),
        (&[("path", "\"o\"")], "path"),
        (&[("permission", "\"docs:page\"")], "permission"),
        (&[("permission", "")], "permission"),
        (&[("public", "true")], "permission"),
        (&[("public", "true"), ("permission", "")], "organization"),
        (&[("organization", "")], "organization"),
        (&[("organization", "\"acme\"")], "organization"),
        (&[("organization", "\"capture:nope\"")], "organization"),
        (&[("organization", "\"constant:A B\"")], "organization"),
        (&[("organization", "\"header:x_org\"")], "organization"),
        (
            &[("organization", "\"subdomain\""), ("hosts", "[\"a.test\"]")],
            "organization",
        ),
        (&[("resource_id", "\"nope\"")], "resource_id"),
        (&[("deny_beyond", "\"soon\"")], "deny_beyond"),
        (&[("origin", "\"https://a/b\"")], "origin"),
        (
            &[("origin", "\"https://{host}\""), ("hosts", "[\"*\"]")],
            "origin",
        ),
        (&[("colour", "1")], "colour"),
        (&[("hosts", "")], "hosts"),
    ] {
        let error = with(fields).unwrap_err().to_string();
        assert!(error.contains(&format!("`{named}`")), "{fields:?}: {error}");
    }
    for (fields, source) in [
        (&[][..], "Capture"),
        (&[("organization", "\"subdomain\"")], "Subdomain"),
        (&[("organization", "\"header:X-Org\"")], "Header"),
        (&[("organization", "\"claim\"")], "Claim"),
        (&[("organization", "\"constant:acme\"")], "Constant"),
    ] {
        let table = with(fields).unwrap();
        let Access::Permission(wanted) = &table.routes()[0].access else {
            panic!("a permission is wanted");
        };
        assert_eq!(&*wanted.resource_type, "docs:page");
        assert!(format!("{:?}", wanted.organization).starts_with(source));
    }
}

#[test]
fn every_mistake_of_a_file_is_told_at_once() {
    let error = parse(
        "[[route]]\nname = \"a\"\nhosts = []\npath = \"/\"\npublic = true\n\
         [[route]]\nname = \"a\"\nhosts = [\"*\"]\npath = \"/%41\"\npublic = true\n",
    );
    let Err(RoutesError::Mistakes(mistakes)) = error else {
        panic!("mistakes are wanted");
    };
    let fields: Vec<_> = mistakes.iter().map(|mistake| mistake.field).collect();
    assert_eq!(fields, ["hosts", "name", "path"]);
}
