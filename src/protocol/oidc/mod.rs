//! Wire forms of OpenID Connect.

pub mod id_token;
pub mod userinfo;
pub mod upstream;
