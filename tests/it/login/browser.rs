//! A browser, as far as logins need one: it keeps cookies, reads forms and goes where it is sent.

use std::collections::BTreeMap;

use crate::support::app::{Call, Reply, TestApp};

/// One visitor.
#[derive(Clone)]
pub struct Browser<'a> {
    app: &'a TestApp,
    pub cookies: BTreeMap<String, String>,
    /// What a proxy on the way writes down, header and value.
    pub forwarded: Option<(&'static str, String)>,
}

impl<'a> Browser<'a> {
    pub fn new(app: &'a TestApp) -> Self {
        Self {
            app,
            cookies: BTreeMap::new(),
            forwarded: None,
        }
    }

    fn by_way_of_proxy<'c>(&self, call: Call<'c>) -> Call<'c> {
        match &self.forwarded {
            Some((name, value)) => call.header(name, value),
            None => call,
        }
    }

    fn cookie_header(&self) -> String {
        self.cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// A page of the authority's, by its path or by its whole URL.
    pub async fn get(&mut self, url: &str) -> Reply {
        let call = self.app.get(self.path(url)).header("user-agent", "Test/1");
        let call = self.by_way_of_proxy(call);
        let reply = match self.cookie_header() {
            cookies if cookies.is_empty() => call.send().await,
            cookies => call.header("cookie", &cookies).send().await,
        };
        self.keep(reply)
    }

    /// Sends a form.
    pub async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Reply {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut call = self
            .app
            .post(self.path(url))
            .header("origin", self.app.authority.config.issuer.as_str())
            .header("sec-fetch-site", "same-origin");
        call = self.by_way_of_proxy(call);
        let cookies = self.cookie_header();
        if !cookies.is_empty() {
            call = call.header("cookie", &cookies);
        }
        let reply = call.bytes("application/x-www-form-urlencoded", body).await;
        self.keep(reply)
    }

    fn path(&self, url: &str) -> String {
        let issuer = self.app.authority.config.issuer.as_str();
        url.strip_prefix(issuer).unwrap_or(url).to_owned()
    }

    fn keep(&mut self, reply: Reply) -> Reply {
        for value in reply.headers.get_all("set-cookie") {
            let text = value.to_str().unwrap();
            let (pair, attributes) = text.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(name.starts_with("__Host-"), "{text}");
            for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(
                    attributes.contains(attribute),
                    "{attribute} is not in {text}"
                );
            }
            assert!(!attributes.contains("Domain"), "{text}");
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        reply
    }

    /// The login's page.
    pub async fn sign_in_page(&mut self, path: &str) -> SignIn {
        let reply = self.get(path).await.expect(200);
        let html = reply.body.as_str().unwrap();
        SignIn {
            request: field(html, "request"),
            csrf: field(html, "csrf"),
            html: html.to_owned(),
        }
    }

    /// Presses a provider's button, and tells where that leads.
    pub async fn choose(&mut self, page: &SignIn, provider: &str) -> Reply {
        let form = [
            ("request", page.request.as_str()),
            ("csrf", page.csrf.as_str()),
        ];
        self.post(&format!("/login/{provider}"), &form).await
    }

    /// From a login's path to the URL of the provider.
    pub async fn press_through(&mut self, path: &str, provider: &str) -> String {
        let page = self.sign_in_page(path).await;
        self.choose(&page, provider)
            .await
            .expect(303)
            .header("location")
            .to_owned()
    }

    /// The session's cookie.
    pub fn session(&self) -> Option<&str> {
        self.cookies.get("__Host-doorward").map(String::as_str)
    }
}

/// What a login's page holds.
pub struct SignIn {
    pub request: String,
    pub csrf: String,
    pub html: String,
}

/// The value of a hidden field.
pub fn field(html: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let from = html
        .find(&start)
        .unwrap_or_else(|| panic!("no field `{name}` in {html}"))
        + start.len();
    let end = html[from..].find('"').unwrap() + from;
    html[from..end].to_owned()
}

/// The parameters of a URL.
pub fn query(url: &str) -> BTreeMap<String, String> {
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}
