//! How names are spelled where only an identifier fits: in policies.

/// Words that Cedar's grammar keeps for itself somewhere.
pub const RESERVED: &[&str] = &[
    "true",
    "false",
    "if",
    "then",
    "else",
    "in",
    "is",
    "like",
    "has",
    "permit",
    "forbid",
    "when",
    "unless",
    "principal",
    "action",
    "resource",
    "context",
    "entity",
    "namespace",
    "type",
    "tags",
];

/// A service's or resource's name as an identifier: `-`, `.` and `/` become `_`, a leading digit
/// gets a `_` before it and a reserved word a `_` after it.
///
/// Two resources may become one: a manifest that declares both is refused, for a policy could not
/// tell them apart. Two services cannot: their names hold no `_` and end in letters or digits.
pub fn identifier(name: &str) -> String {
    let mut identifier = String::with_capacity(name.len() + 1);
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        identifier.push('_');
    }
    identifier.extend(
        name.chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }),
    );
    if RESERVED.contains(&identifier.as_str()) {
        identifier.push('_');
    }
    identifier
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::ServiceName;

    #[test]
    fn different_services_have_different_identifiers() {
        let names = [
            "a-b", "a-1b", "a1-b", "1a", "11a", "1-1a", "a--b", "in", "type",
        ];
        let services: BTreeSet<ServiceName> =
            names.iter().map(|name| name.parse().unwrap()).collect();
        let identifiers: BTreeSet<String> = services
            .iter()
            .map(|service| identifier(service.as_str()))
            .collect();
        assert_eq!(services.len(), names.len());
        assert_eq!(identifiers.len(), names.len());
        assert!("a_b".parse::<ServiceName>().is_err());
    }
}
