//! Wire forms of OpenID Connect.

pub mod discovery;
pub mod id_token;
pub mod logout;
pub mod upstream;
pub mod userinfo;
