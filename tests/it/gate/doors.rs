//! The doors, with cookies.

use doorward::protocol::forward_auth::Dialect;

use super::world::Gated;

const PAGE: &str = "sec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_people_on_the_way_to_a_page_are_sent_to_log_in() {
    let gated = Gated::start().await;
    let bad = "cookie: __Host-doorward-gate=nonsense\r\n";
    for dialect in Dialect::HTTP {
        let status = if dialect == Dialect::Nginx { 401 } else { 302 };
        for (about, headers, sent) in [
            ("GET app.test/me", PAGE.to_owned(), true),
            (
                "GET app.test/me",
                "accept: text/html,*/*;q=0.8\r\n".to_owned(),
                true,
            ),
            ("GET app.test/me", format!("{PAGE}{bad}"), true),
            ("GET app.test/o/acme/invoices", PAGE.to_owned(), true),
            ("GET app.test/me", String::new(), false),
            ("GET app.test/me", bad.to_owned(), false),
            (
                "GET app.test/me",
                "accept: application/json\r\n".to_owned(),
                false,
            ),
            (
                "GET app.test/me",
                "sec-fetch-mode: cors\r\nsec-fetch-dest: empty\r\n".to_owned(),
                false,
            ),
            ("POST app.test/me", PAGE.to_owned(), false),
            (
                "GET app.test/me",
                format!("{PAGE}authorization: Bearer x\r\n"),
                false,
            ),
        ] {
            let asked = gated.ask(dialect, about, &headers).await;
            let wanted = if sent { status } else { 401 };
            assert_eq!(asked.status.as_u16(), wanted, "{dialect} {about} {headers}");
            assert_eq!(
                asked.header("location").is_some(),
                sent,
                "{dialect} {about} {headers}"
            );
            assert_eq!(asked.header("x-auth-user"), None);
        }
        // Nobody is sent away from what is open, or to what no login opens.
        let open = gated.ask(dialect, "GET app.test/health", PAGE).await;
        open.expect(200);
        let nothing = gated.ask(dialect, "GET app.test/nothing", PAGE).await;
        assert_eq!(nothing.expect(403).header("location"), None);
    }
    // A host without a gate.
    let plain = gated.ask(Dialect::Plain, "GET alone.test/me", PAGE).await;
    assert_eq!(plain.expect(401).header("location"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_credentials_are_none() {
    let gated = Gated::start().await;
    let ada = gated.signed_in("ada").await;
    let (value, one) = (ada.session().unwrap(), ada.cookie_header());
    let user = ada.at_authority.as_ref().unwrap().user;
    let token = gated.world.app.token(user).await;
    let bearer = format!("authorization: Bearer {token}\r\n");
    for dialect in Dialect::HTTP {
        let about = "GET app.test/me";
        gated.ask(dialect, about, &one).await.expect(200);
        gated.ask(dialect, about, &bearer).await.expect(200);
        for headers in [
            format!("{one}{bearer}"),
            format!("{one}{one}"),
            format!("cookie: __Host-doorward-gate={value}; __Host-doorward-gate={value}\r\n"),
            format!("cookie: __Host-doorward-gate={value}, __Host-doorward-gate={value}\r\n"),
            format!("cookie: a=b,__Host-doorward-gate={value}\r\n"),
            format!("{one}authorization: Basic eDp5\r\n"),
            format!("{one}authorization: \r\n"),
        ] {
            let asked = gated.ask(dialect, about, &format!("{PAGE}{headers}")).await;
            let wanted = if dialect == Dialect::Nginx { 403 } else { 400 };
            assert_eq!(asked.status.as_u16(), wanted, "{dialect} {headers}");
            assert_eq!(asked.header("location"), None);
        }
        // Where nothing is asked for, nothing is read.
        let open = gated
            .ask(dialect, "GET app.test/health", &format!("{one}{bearer}"))
            .await;
        open.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reserved_path_is_never_the_apps() {
    let gated = Gated::start().await;
    let ada = gated.signed_in("ada").await;
    for path in [
        "/.doorward",
        "/.doorward/",
        "/.doorward/callback?code=1&state=2",
    ] {
        let asked = gated
            .navigate(Dialect::Caddy, &format!("GET app.test{path}"), &ada)
            .await;
        assert_eq!(
            asked.expect(403).header("doorward-reason"),
            Some("reserved"),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_is_visited_by_the_name_of_its_own_host_alone() {
    let gated = Gated::start().await;
    let nobody = super::world::Person {
        at_authority: None,
        cookies: std::collections::BTreeMap::new(),
    };
    for (url, status) in [
        ("https://app.test/.doorward/login", 303),
        ("https://APP.test:443/.doorward/login", 303),
        ("https://third.test:8443/gate/here/login", 303),
        ("https://third.test:8443/.doorward/login", 421),
        ("https://app.test/gate/here/login", 421),
        ("https://evil.test/.doorward/login", 421),
        ("https://localhost/.doorward/login", 404),
        ("https://app.test/.doorward/loginx", 404),
        ("https://app.test/.doorward/", 404),
    ] {
        let answer = gated.look(&nobody, url, "GET", "").await;
        assert_eq!(answer.status.as_u16(), status, "{url}");
    }
    for (name, method, allow) in [
        ("login", "POST", "GET"),
        ("callback", "PUT", "GET"),
        ("sign-out", "DELETE", "GET, POST"),
    ] {
        let url = format!("https://app.test/.doorward/{name}");
        let answer = gated.look(&nobody, &url, method, "").await.expect(405);
        assert_eq!(answer.header("allow"), Some(allow));
    }
    let style = gated
        .look(&nobody, "https://app.test/.doorward/style.css", "GET", "")
        .await
        .expect(200);
    assert_eq!(
        style.header("content-type"),
        Some("text/css; charset=utf-8")
    );
}
