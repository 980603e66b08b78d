//! Every path that has one meaning, and the one method that it takes. The doors of proxies and the
//! paths of gates are judged apart: there the method is the original request's.

use http::Method;

macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident = $method:ident $path:literal,)*) => {
        /// A path and its method.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Endpoint {
            $($(#[$doc])* $name,)*
        }

        impl Endpoint {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The endpoint of a path.
            pub fn find(path: &str) -> Option<Self> {
                match path {
                    $($path => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its path. The metadata's is another one where `public_url` has a path.
            pub const fn path(self) -> &'static str {
                match self {
                    $(Self::$name => $path,)*
                }
            }

            /// The method that it takes.
            pub const fn method(self) -> Method {
                match self {
                    $(Self::$name => Method::$method,)*
                }
            }
        }
    };
}

endpoints! {
    /// One decision.
    Evaluation = POST "/access/v1/evaluation",
    /// Many.
    Evaluations = POST "/access/v1/evaluations",
    /// One decision, by words in a query.
    Check = GET "/v1/check",
    /// One decision, and why.
    Explain = POST "/v1/explain",
    /// One decision, whenever it changes.
    Watch = POST "/v1/watch",
    /// Who may.
    SearchSubject = POST "/access/v1/search/subject",
    /// On what.
    SearchResource = POST "/access/v1/search/resource",
    /// What.
    SearchAction = POST "/access/v1/search/action",
    /// Where, on which terms.
    Plan = POST "/v1/plan",
    /// AuthZEN's metadata.
    Metadata = GET "/.well-known/authzen-configuration",
    /// The headers of the doors.
    DoorHeaders = GET "/forward-auth",
    /// How the sidecar is.
    Status = GET "/v1/status",
    /// The same in numbers.
    Metrics = GET "/metrics",
    /// Whether the process answers.
    Live = GET "/healthz",
    /// Whether there are facts to decide by.
    Ready = GET "/readyz",
}
