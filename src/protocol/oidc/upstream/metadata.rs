//! Discovery documents (OpenID Connect Discovery 1.0 §3).

use serde::Deserialize;

/// What a provider publishes about itself, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProviderMetadata {
    /// Who it says it is.
    pub issuer: String,
    /// Where browsers are sent.
    pub authorization_endpoint: String,
    /// Where codes are redeemed.
    pub token_endpoint: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where more is said of users.
    #[serde(default)]
    pub userinfo_endpoint: Option<String>,
    /// Whether its answers name it (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
    /// The PKCE methods it knows, if it says.
    #[serde(default)]
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// What it lets clients ask for, if it says.
    #[serde(default)]
    pub scopes_supported: Option<Vec<String>>,
}

/// Why a discovery document is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// It is somebody else's.
    #[error("the discovery document names another issuer")]
    Issuer,
    /// It says that it knows no S256.
    #[error("the provider does not support PKCE with S256")]
    Pkce,
}

impl ProviderMetadata {
    /// Where a provider publishes it.
    pub fn url(issuer: &str) -> String {
        let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
        format!("{issuer}/.well-known/openid-configuration")
    }

    /// Whether it is the one that was asked for.
    ///
    /// # Errors
    ///
    /// [`MetadataError`]. Providers that say nothing of PKCE get it all the same: OAuth ignores
    /// parameters that are not known.
    pub fn check(&self, issuer: &str) -> Result<(), MetadataError> {
        if self.issuer != issuer {
            return Err(MetadataError::Issuer);
        }
        match &self.code_challenge_methods_supported {
            Some(methods) if !methods.iter().any(|method| method == "S256") => {
                Err(MetadataError::Pkce)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(issuer: &str, methods: Option<&[&str]>) -> ProviderMetadata {
        serde_json::from_value(serde_json::json!({
            "issuer": issuer,
            "authorization_endpoint": "https://idp.example/a",
            "token_endpoint": "https://idp.example/t",
            "jwks_uri": "https://idp.example/k",
            "code_challenge_methods_supported": methods,
            "what_else": 1,
        }))
        .unwrap()
    }

    #[test]
    fn a_document_counts_for_its_own_issuer_to_the_letter() {
        let issuer = "https://idp.example";
        assert_eq!(document(issuer, None).check(issuer), Ok(()));
        assert_eq!(
            document(issuer, Some(&["plain", "S256"])).check(issuer),
            Ok(())
        );
        for (found, methods, wanted) in [
            ("https://idp.example/", None, MetadataError::Issuer),
            ("https://evil.example", None, MetadataError::Issuer),
            (issuer, Some(&["plain"][..]), MetadataError::Pkce),
        ] {
            assert_eq!(document(found, methods).check(issuer), Err(wanted));
        }
    }

    #[test]
    fn the_document_lies_below_the_issuer_with_or_without_a_slash() {
        let wanted = "https://idp.example/a/.well-known/openid-configuration";
        assert_eq!(ProviderMetadata::url("https://idp.example/a"), wanted);
        assert_eq!(ProviderMetadata::url("https://idp.example/a/"), wanted);
    }
}
