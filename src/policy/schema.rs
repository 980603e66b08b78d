//! The Cedar schema of what services declared, for validation and for the stock Cedar tools.
//!
//! Four types are always there (`schema/doorward.cedarschema`); every resource type adds one, in
//! its organization, with the attributes an operator declared, all optional: a caller may or may
//! not send them, and strict validation then makes every policy ask `has` first.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::domain::identifier::identifier;

use super::attributes::{Attributes, Declared};
use super::compile::Compiled;

/// The Cedar entity type of a resource type: `<service>::<resource>`, both as [`identifier`]s.
pub(super) fn resource_type_name(service: &str, resource: &str) -> String {
    format!("{}::{}", identifier(service), identifier(resource))
}

/// The schema's text.
pub(super) fn render(compiled: &Compiled, attributes: &Attributes) -> String {
    let mut text = String::with_capacity(1024 + 160 * compiled.actions.len());
    render_static(&mut text, attributes);
    render_resource_types(&mut text, compiled, attributes);
    for role in &compiled.roles {
        _ = writeln!(text, "action \"{}\";", role.name);
    }
    for action in &compiled.actions {
        _ = write!(text, "action \"{}\"", action.key);
        let mut groups = action
            .granting
            .iter()
            .filter_map(|index| compiled.roles.get(*index as usize))
            .peekable();
        if groups.peek().is_some() {
            let names: Vec<String> = groups.map(|role| format!("\"{}\"", role.name)).collect();
            _ = write!(text, " in [{}]", names.join(", "));
        }
        _ = writeln!(
            text,
            " appliesTo {{ principal: [Membership], resource: [{}], context: RequestContext }};",
            action.resource_type
        );
    }
    text
}

/// What is there before any service declares anything.
fn render_static(text: &mut String, attributes: &Attributes) {
    text.push_str(
        "// A tenant.\n\
         entity Organization;\n\
         // A person.\n\
         entity User;\n\
         // A role that a service declares: \"service/role\".\n\
         entity Role;\n\
         // One user in one organization, with the roles held there: \"<organization>/<user>\".\n\
         // The principal of every request.\n\
         entity Membership in [Role] {\n  organization: Organization,\n  user: User,\n",
    );
    render_attributes(text, &attributes.subject, "  ");
    text.push_str("};\n// What a request says about itself.\ntype RequestContext = {\n");
    render_attributes(text, &attributes.context, "  ");
    if !attributes.action.is_empty() {
        text.push_str("  action?: {\n");
        render_attributes(text, &attributes.action, "    ");
        text.push_str("  },\n");
    }
    text.push_str("};\n");
}

fn render_resource_types(text: &mut String, compiled: &Compiled, attributes: &Attributes) {
    // Merged by Cedar name: facts that collide still make a schema, though no manifest brings them.
    let mut types: BTreeMap<&str, BTreeMap<&str, BTreeMap<String, Declared>>> = BTreeMap::new();
    let names: Vec<String> = compiled
        .actions
        .iter()
        .map(|action| action.resource_type.to_string())
        .collect();
    for (action, type_name) in compiled.actions.iter().zip(&names) {
        let Some((namespace, name)) = type_name.split_once("::") else {
            continue;
        };
        let declared = types.entry(namespace).or_default().entry(name).or_default();
        if let Some(more) = attributes.of_resource(&action.key.service, &action.key.resource) {
            declared.extend(more.iter().map(|(name, one)| (name.clone(), *one)));
        }
    }
    for (namespace, entities) in types {
        _ = writeln!(text, "namespace {namespace} {{");
        for (name, declared) in entities {
            if declared.is_empty() {
                _ = writeln!(text, "  entity {name} in [Organization];");
                continue;
            }
            _ = writeln!(text, "  entity {name} in [Organization] {{");
            render_attributes(text, &declared, "    ");
            text.push_str("  };\n");
        }
        text.push_str("}\n");
    }
}

fn render_attributes(text: &mut String, declared: &BTreeMap<String, Declared>, indent: &str) {
    for (name, one) in declared {
        _ = writeln!(text, "{indent}\"{name}\"?: {},", one.schema_text());
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::{EntityTypeName, Schema};

    use super::super::compile::{PolicyFacts, compile, role_policy_text};
    use super::*;
    use crate::domain::identifier::RESERVED;

    #[test]
    fn any_resource_name_becomes_an_entity_type_that_cedar_and_its_schema_take() {
        let mut facts = PolicyFacts::default();
        let odd = RESERVED
            .iter()
            .copied()
            .chain(["deployments.apps/scale", "3d-model", "a_b", "x", "string"])
            .chain(["set", "bool", "ipaddr", "datetime", "user", "role"]);
        for (n, name) in (0..).zip(odd) {
            for key in [format!("{name}:x:read"), format!("svc-1:{name}:read")] {
                let Ok(key) = key.parse() else { continue };
                facts
                    .permissions
                    .push((crate::domain::PermissionId::from_u128(n), key));
            }
        }
        facts.permissions.sort_by(|a, b| a.1.cmp(&b.1));
        facts.permissions.dedup_by(|a, b| a.1 == b.1);
        let compiled = compile(&facts, None, role_policy_text).unwrap();
        for action in &compiled.actions {
            let name = action.resource_type.to_string();
            assert!(name.parse::<EntityTypeName>().is_ok(), "{name}");
        }
        let text = render(&compiled, &Attributes::default());
        let (_schema, _) =
            Schema::from_cedarschema_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    }

    #[test]
    fn the_static_part_is_the_one_in_the_schema_folder() {
        let compiled = compile(&PolicyFacts::default(), None, role_policy_text).unwrap();
        let text = render(&compiled, &Attributes::default());
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/doorward.cedarschema");
        #[expect(clippy::disallowed_methods, reason = "a switch of the tests' own")]
        if std::env::var("UPDATE_GOLDEN").is_ok() {
            std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
        let (_schema, _) = Schema::from_cedarschema_str(&text).unwrap();
    }
}
