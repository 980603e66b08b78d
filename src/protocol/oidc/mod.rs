//! Wire forms of OpenID Connect.

pub mod id_token;
pub mod upstream;
pub mod userinfo;
