//! A sign-in through the gate behind each proxy, as shipped.

use doorward::protocol::forward_auth::Dialect;

use super::app;
use super::proxy::{Answer, Proxy, free, is_there};
use crate::gate::world::{Gated, Person, Setup};

const PAGE: &str = "sec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\naccept: text/html\r\n";
const ORIGIN: &str = "https://app.example";
const GATE: &str = "[gate.app]\nhosts = ['https://app.example']\nclient_id = 'gate'\n\
                    client_secret_file = 'FOLDER/secret'\nkeys_file = 'FOLDER/keys'\n\
                    authority = 'http://AUTHORITY'\n";

struct Behind {
    dialect: Dialect,
    proxy: Proxy,
    gated: Gated,
}

impl Behind {
    async fn start(dialect: Dialect) -> Option<Self> {
        if !is_there(dialect) {
            return None;
        }
        let (sidecar, app) = (free(), app::start().await);
        let routes = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/proxies/routes.toml");
        let gated = Gated::with(Setup {
            address: sidecar.to_string(),
            routes: std::fs::read_to_string(routes).unwrap(),
            gates: GATE.to_owned(),
        })
        .await;
        let proxy = Proxy::start(dialect, sidecar, app).await;
        Some(Self {
            dialect,
            proxy,
            gated,
        })
    }

    /// A visit of the browser's to an address of the app's host; its cookies are kept.
    async fn visit(&self, person: &mut Person, url: &str) -> Answer {
        let path = url.strip_prefix(ORIGIN).unwrap();
        let headers = format!("{PAGE}{}", person.cookie_header());
        let answer = self.proxy.get(&format!("GET {path}"), &headers).await;
        for line in answer.text.lines() {
            if let Some((name, text)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("set-cookie")
            {
                let (name, value) = text.split_once(';').unwrap().0.split_once('=').unwrap();
                if text.contains("Max-Age=0;") {
                    person.cookies.remove(name);
                } else {
                    person.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        answer
    }

    /// That an answer sends the browser on, and where.
    #[track_caller]
    fn sent_on(&self, answer: &Answer, status: u16) -> String {
        assert_eq!(answer.status, status, "{answer:?}\n{}", self.proxy.log());
        assert!(answer.app().is_none(), "{answer:?}");
        let (name, value) = answer
            .text
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("location"))
            .unwrap_or_else(|| panic!("it leads nowhere: {answer:?}"));
        assert!(!name.is_empty());
        value.trim().to_owned()
    }

    async fn run(self) {
        let mut ada = self.gated.person("ada").await;
        let asked = self.visit(&mut ada, &format!("{ORIGIN}/me?tab=1")).await;
        let login = self.sent_on(&asked, 302);
        assert_eq!(
            login,
            format!("{ORIGIN}/.doorward/login?return_to=%2Fme%3Ftab%3D1")
        );
        let begun = self.visit(&mut ada, &login).await;
        let authorize = self.sent_on(&begun, 303);
        let back = self.gated.authorize(&ada, &authorize).await;
        let done = self.visit(&mut ada, &back).await;
        assert_eq!(self.sent_on(&done, 303), format!("{ORIGIN}/me?tab=1"));
        assert!(
            ada.session().is_some() && ada.attempts().is_empty(),
            "{done:?}"
        );

        ada.cookies.insert("theme".to_owned(), "dark".to_owned());
        let inside = self.visit(&mut ada, &format!("{ORIGIN}/me?tab=1")).await;
        let user = ada.at_authority.as_ref().unwrap().user.to_string();
        assert_eq!(inside.app_header("x-auth-user"), [user]);
        let cookies = inside.app_header("cookie").join("; ");
        assert!(cookies.contains("theme=dark"), "{cookies}");
        let strips = !matches!(self.dialect, Dialect::Traefik | Dialect::Envoy);
        assert_eq!(
            cookies.contains("__host-doorward-gate"),
            !strips,
            "{cookies}"
        );

        self.others(&ada).await;
        // The session ends: the next page is a sign-in again.
        let browser = ada.at_authority.clone().unwrap();
        self.gated.end_session(&browser).await;
        let out = self.visit(&mut ada, &format!("{ORIGIN}/me")).await;
        self.sent_on(&out, 302);
        let stray = format!("{ORIGIN}/.doorward/callback?state=x&code=y");
        let page = self.visit(&mut ada, &stray).await;
        assert_eq!(page.status, 400);
        assert!(page.text.contains("Try again"), "{page:?}");
    }

    /// What is no person on the way to a page.
    async fn others(&self, ada: &Person) {
        let script = "sec-fetch-mode: cors\r\nsec-fetch-dest: empty\r\n";
        let refused = self.proxy.get("GET /me", script).await;
        assert_eq!(refused.status, 401, "{refused:?}");
        let lower = refused.text.to_ascii_lowercase();
        assert!(lower.contains("www-authenticate: bearer"), "{lower}");
        assert!(!lower.contains("\nlocation:"), "{lower}");
        let mine = format!("{script}{}", ada.cookie_header());
        assert_eq!(self.proxy.get("GET /me", &mine).await.status, 200);
        let two = format!("{mine}authorization: Bearer x\r\n");
        let two = self.proxy.get("GET /me", &two).await;
        let malformed = if self.dialect == Dialect::Nginx {
            403
        } else {
            400
        };
        assert_eq!(two.status, malformed, "{two:?}");
        let twice = format!("{}{}", ada.cookie_header(), ada.cookie_header());
        let twice = self.proxy.get("GET /me", &twice).await;
        assert!(twice.app().is_none(), "{twice:?}");
        for spelling in [
            "/.doorward/../me",
            "/x/../.doorward/callback?code=1",
            "/.doorward%2fcallback",
            "//.doorward/callback",
            "/.doorward",
        ] {
            let answer = self.proxy.get(&format!("GET {spelling}"), &mine).await;
            let app = answer.app().unwrap_or_default();
            assert!(!app.contains(".doorward"), "{spelling}: {answer:?}");
        }
    }
}

macro_rules! sign_ins {
    ($($name:ident: $dialect:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            if let Some(behind) = Behind::start(Dialect::$dialect).await {
                behind.run().await;
            }
        }
    )*};
}

sign_ins! {
    people_log_in_through_the_gate_behind_nginx: Nginx
    people_log_in_through_the_gate_behind_traefik: Traefik
    people_log_in_through_the_gate_behind_caddy: Caddy
    people_log_in_through_the_gate_behind_haproxy: Haproxy
    people_log_in_through_the_gate_behind_envoy: Envoy
}
