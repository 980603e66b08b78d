use std::fmt::Write as _;

use serde_json::json;

use super::*;

const GOOD: &str = r#"{
  "service": "billing",
  "version": 7,
  "permissions": {
    "invoice": {
      "read": "See invoices",
      "write": null,
      "void": { "description": "Cancel a sent invoice", "deprecated": true }
    },
    "report/monthly": { "read": {} }
  },
  "roles": {
    "clerk": {
      "description": "Writes invoices",
      "permissions": ["invoice:*", "billing:report/monthly:read", "documents:file:read"],
      "assignable_by": "invoice:write"
    },
    "reader": { "permissions": ["*:read"], "deprecated": true }
  },
  "scopes": { "billing:read": ["*:read"], "billing:all": ["*:*"] },
  "grantable_by": ["deploy"],
  "replaces": { "accountant": "clerk" }
}"#;

fn mistakes(json: &str) -> Vec<String> {
    match from_json(json.as_bytes(), None) {
        Err(ManifestError::Invalid(mistakes)) => mistakes
            .into_iter()
            .map(|mistake| mistake.pointer)
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_manifest_reads_and_its_canonical_form_reads_to_the_same() {
    let manifest = from_json(GOOD.as_bytes(), None).unwrap();
    let clerk = &manifest.declared.roles["clerk"];
    let granted: Vec<_> = clerk.permissions.iter().map(ToString::to_string).collect();
    assert_eq!(
        granted,
        [
            "billing:invoice:read",
            "billing:invoice:void",
            "billing:invoice:write",
            "billing:report/monthly:read",
            "documents:file:read"
        ]
    );
    assert_eq!(clerk.assignable_by.to_string(), "billing:invoice:write");
    let canonical = manifest.canonical_json();
    let again = from_json(canonical.as_bytes(), None).unwrap();
    assert_eq!(again, manifest);
    assert_eq!(again.canonical_json(), canonical);
}

#[test]
fn order_white_space_and_spelling_do_not_change_the_hash_and_content_does() {
    let hash = |json: &str| from_json(json.as_bytes(), None).unwrap().content_hash();
    let a = r#"{"service":"a","permissions":{"x":{"r":null,"w":"W"},"y":{"r":""}},"roles":{"q":{"permissions":["x:r","x:w"]}}}"#;
    let b = r#"{"roles":{"q":{"permissions":["x:*"],"assignable_by":"auth:member:assign","deprecated":false}},
               "permissions":{"y":{"r":{}},"x":{"w":" W ","r":{"description":null}}},"service":"a"}"#;
    assert_eq!(hash(a), hash(b));
    assert_ne!(hash(a), hash(&a.replace("\"W\"", "\"V\"")));
}

#[test]
fn every_mistake_is_reported_with_its_pointer() {
    let json = r#"{
      "service": "billing",
      "version": -1,
      "permision": {},
      "permissions": {
        "Invoice": { "read": "x" },
        "a/b": { "re ad": "x", "write": 7, "see": { "descr": "x", "deprecated": "yes" } },
        "list": []
      },
      "roles": {
        "r": { "permissions": ["a/b:none", "a/b", "other:*:*", 3, "Invoice:read"], "assignable_by": "third:x:y" },
        "no": {},
        "s": "x"
      },
      "scopes": { "doorward:admin": [], "openid": ["a/b:write"], "f": ["other:a:b"] },
      "grantable_by": ["billing", 5, "Ä"],
      "replaces": { "r": "gone" }
    }"#;
    let mut found = mistakes(json);
    found.sort();
    let mut expected = vec![
        "/version",
        "/permision",
        "/permissions/Invoice",
        "/permissions/a~1b/re ad",
        "/permissions/a~1b/write",
        "/permissions/a~1b/see/descr",
        "/permissions/a~1b/see/deprecated",
        "/permissions/list",
        "/roles/r/permissions/0",
        "/roles/r/permissions/1",
        "/roles/r/permissions/2",
        "/roles/r/permissions/3",
        "/roles/r/assignable_by",
        "/roles/no/permissions",
        "/roles/s",
        "/scopes/doorward:admin",
        "/scopes/doorward:admin",
        "/scopes/openid",
        "/scopes/f/0",
        "/grantable_by/0",
        "/grantable_by/1",
        "/grantable_by/2",
        "/replaces/r",
        "/replaces/r",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_mistake_says_what_was_wrong_and_what_is_allowed() {
    let Err(ManifestError::Invalid(mistakes)) =
        from_json(br#"{"service":"Billing","permissions":{}}"#, None)
    else {
        panic!("accepted");
    };
    assert!(mistakes[0].detail.contains("`Billing`"));
    assert_eq!(mistakes[0].allowed.as_deref(), Some(ServiceName::ALLOWED));
}

#[test]
fn a_key_that_stands_twice_is_refused_wherever_it_stands() {
    let json = r#"{"service":"a","service":"a","permissions":{"x":{"r":"1","r":"2"},"x":{}},"roles":{"q":{"permissions":[],"permissions":[]}}}"#;
    assert_eq!(
        mistakes(json),
        [
            "/service",
            "/permissions/x/r",
            "/permissions/x",
            "/roles/q/permissions"
        ]
    );
}

#[test]
fn a_manifest_that_speaks_for_another_service_is_refused_whole() {
    let expected: ServiceName = "documents".parse().unwrap();
    let Err(ManifestError::Invalid(mistakes)) = from_json(GOOD.as_bytes(), Some(&expected)) else {
        panic!("accepted");
    };
    assert_eq!(mistakes[0].pointer, "/service");
    // A resource cannot smuggle another service in: `:` is in no name.
    assert_eq!(
        self::mistakes(r#"{"service":"a","permissions":{"other:thing":{"read":null}}}"#),
        ["/permissions/other:thing"]
    );
}

#[test]
fn resources_that_cedar_cannot_tell_apart_are_refused() {
    let json = r#"{"service":"a","permissions":{"x-y":{"r":null},"x_y":{"r":null}}}"#;
    assert_eq!(mistakes(json), ["/permissions/x_y"]);
}

#[test]
fn what_is_no_json_is_told_by_line_and_column() {
    for bytes in [
        &b"{\n \"service\": }"[..],
        b"",
        b"\xFF\xFE",
        b"{\"service\":\"\xFF\"}",
        b"{} x",
        b"{\"a\":",
    ] {
        let Err(ManifestError::Malformed(detail)) = from_json(bytes, None) else {
            panic!("{bytes:?} was read");
        };
        assert!(detail.contains("line"), "{detail}");
    }
    assert_eq!(mistakes("[]"), [""]);
    assert_eq!(mistakes("null"), [""]);
}

#[test]
fn deep_nesting_is_refused_and_never_overflows() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let inside = |depth: usize| {
        format!(
            r#"{{"service":"a","permissions":{{}},"x":{}}}"#,
            nested(depth)
        )
    };
    assert_eq!(mistakes(&inside(limits::MAX_DEPTH - 1)), ["/x"]);
    assert_eq!(mistakes(&inside(limits::MAX_DEPTH)).len(), 2);
    assert_eq!(mistakes(&inside(100_000)).len(), 2);
}

/// A manifest with this many permissions and roles; each role grants `grants` of them by a wildcard.
fn large(permissions: usize, roles: usize, grants: usize) -> String {
    let mut json = String::from(r#"{"service":"big","permissions":{"all":{"#);
    for number in 0..permissions {
        let comma = if number == 0 { "" } else { "," };
        let (open, resource) = if number == grants {
            ("}, ", "\"rest\":{")
        } else {
            (comma, "")
        };
        write!(json, "{open}{resource}\"a{number}\":null").unwrap();
    }
    json.push_str("}},\"roles\":{");
    for number in 0..roles {
        let comma = if number == 0 { "" } else { "," };
        write!(json, r#"{comma}"r{number}":{{"permissions":["all:*"]}}"#).unwrap();
    }
    json.push_str("}}");
    json
}

#[test]
fn the_limits_hold_at_their_boundary() {
    let max = limits::MAX_PERMISSIONS;
    let manifest = from_json(large(max, limits::MAX_ROLES, 250).as_bytes(), None).unwrap();
    assert_eq!(manifest.declared.permissions.len(), max);
    assert_eq!(manifest.declared.roles.len(), limits::MAX_ROLES);
    assert_eq!(mistakes(&large(max + 1, 1, 250)), ["/permissions"]);
    assert_eq!(mistakes(&large(10, limits::MAX_ROLES + 1, 5)), ["/roles"]);
    assert_eq!(mistakes(&large(max, limits::MAX_ROLES, 251)), ["/roles"]);

    let padded = |size: usize| {
        let mut json = String::from(r#"{"service":"a","permissions":{}}"#);
        json.push_str(&" ".repeat(size - json.len()));
        from_json(json.as_bytes(), None)
    };
    assert!(padded(limits::MAX_BYTES).is_ok());
    assert!(matches!(
        padded(limits::MAX_BYTES + 1),
        Err(ManifestError::TooLarge { .. })
    ));
}

#[test]
fn an_answer_lists_a_bounded_number_of_mistakes() {
    let mut json = String::from(r#"{"service":"a","permissions":{"#);
    for number in 0..1000 {
        write!(json, "\"BAD{number}\":{{}},").unwrap();
    }
    json.push_str("\"x\":{}}}");
    let found = mistakes(&json);
    assert_eq!(found.len(), MAX_MISTAKES + 1);
    let Err(ManifestError::Invalid(list)) = from_json(json.as_bytes(), None) else {
        panic!("accepted");
    };
    assert_eq!(list.last().unwrap().detail, "and 900 more mistakes");
}

#[test]
fn yaml_and_toml_read_into_the_same_manifest() {
    let json = r#"{"service":"a","version":3,"permissions":{"x":{"r":"R","w":{"deprecated":true}}},"roles":{"q":{"permissions":["x:r"]}}}"#;
    let toml = "service = 'a'\nversion = 3\n[permissions.x]\nr = 'R'\nw = { deprecated = true }\n[roles.q]\npermissions = ['x:r']\n";
    let expected = from_json(json.as_bytes(), None).unwrap();
    let read = from_deserializer(toml::Deserializer::parse(toml).unwrap(), None).unwrap();
    assert_eq!(read, expected);
    assert_eq!(
        from_value(&serde_json::from_str(json).unwrap(), None).unwrap(),
        expected
    );
}

#[cfg(feature = "cli")]
#[test]
fn a_yaml_key_that_stands_twice_is_refused_too() {
    let yaml = "service: a\npermissions:\n  x:\n    r: one\n    r: two\n";
    let Err(ManifestError::Invalid(mistakes)) =
        from_deserializer(serde_norway::Deserializer::from_str(yaml), None)
    else {
        panic!("accepted");
    };
    assert_eq!(mistakes[0].pointer, "/permissions/x/r");
}

#[test]
fn a_scope_may_only_name_the_services_own_permissions() {
    let json = json!({
        "service": "a",
        "permissions": { "x": { "r": null } },
        "scopes": { "s": ["b:x:r"] },
    });
    let Err(ManifestError::Invalid(mistakes)) = from_value(&json, None) else {
        panic!("accepted");
    };
    assert_eq!(mistakes[0].pointer, "/scopes/s/0");
}

#[test]
fn the_published_json_schema_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/manifest.schema.json");
    let wanted = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == wanted,
        "{path} is stale: run the tests with UPDATE_GOLDEN=1"
    );
}

proptest::proptest! {
    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = from_json(&bytes, None);
    }
}

#[test]
fn a_long_key_with_many_mistakes_below_it_is_not_repeated_for_each() {
    let key = "k".repeat(1_000_000);
    let mut members = String::new();
    for number in 0..50_000 {
        let _ = write!(members, "\"a{number}\":1,\"a{number}\":1,");
    }
    let members = members.trim_end_matches(',');
    for document in [
        format!(r#"{{"service":"a","permissions":{{"{key}":{{{members}}}}}}}"#),
        format!(r#"{{"service":"a","permissions":{{}},"{key}":1,"{key}":2}}"#),
    ] {
        let Err(ManifestError::Invalid(mistakes)) = from_json(document.as_bytes(), None) else {
            panic!("it holds mistakes");
        };
        let told = serde_json::to_string(&mistakes).unwrap();
        assert!(told.len() < 100_000, "{} bytes", told.len());
    }
}
