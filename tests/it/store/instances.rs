//! Registered instances as rows, and what of them travels.

use doorward::domain::{InstanceId, OrganizationId, ResourceName, ServiceName};
use doorward::protocol::feed::{Cell, Op};
use doorward::store::instances::{Registered, Shown};
use doorward::store::replicated::RESOURCE_INSTANCES;
use doorward::store::{StoreError, instances};

use super::bench::{Bench, NOW, add_organization, on_both_engines};

on_both_engines! {
    a_batch_of_instances_is_one_frame_in_the_order_of_keys,
    an_instance_that_stays_as_it_is_makes_no_frame,
    an_organization_takes_its_instances_with_it_frame_included,
    a_resource_takes_its_instances_with_it_and_no_others,
    instances_of_an_organization_that_is_gone_are_refused,
    pages_are_in_order_of_bytes_and_have_every_instance_once,
    a_thousand_instances_are_put_and_removed_at_once,
}

fn service() -> ServiceName {
    "documents".parse().unwrap()
}

fn resource(name: &str) -> ResourceName {
    name.parse().unwrap()
}

fn row(kind: &str, id: &str, organization: u128) -> (ResourceName, InstanceId, Registered) {
    let place = OrganizationId::from_u128(organization);
    (
        resource(kind),
        id.parse().unwrap(),
        (place, "{}".to_owned()),
    )
}

fn put(bench: &Bench, rows: &[(ResourceName, InstanceId, Registered)]) -> Result<bool, StoreError> {
    bench
        .write(|tx| instances::put(tx, &service(), rows.to_vec(), NOW))
        .map(|written| written.changed)
}

fn world(bench: &Bench) {
    bench.put(|tx| {
        add_organization(tx, 1, "one")?;
        add_organization(tx, 2, "two")
    });
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn a_batch_of_instances_is_one_frame_in_the_order_of_keys(bench: &Bench) {
    world(bench);
    let before = bench.head().position.revision;
    let rows = [
        row("file", "ü", 1),
        row("file", "z", 2),
        row("album", "z", 1),
    ];
    assert!(put(bench, &rows).unwrap());
    assert_eq!(bench.head().position.revision, before.next());
    let expected = [("album", "z", 1_u128), ("file", "z", 2), ("file", "ü", 1)];
    let expected = expected.map(|(kind, id, organization)| Op::Put {
        table: RESOURCE_INSTANCES,
        cells: vec![
            text("documents"),
            text(kind),
            text(id),
            Cell::Bytes(organization.to_be_bytes().to_vec()),
            text("{}"),
        ],
    });
    assert_eq!(bench.last_ops(), expected);
    bench.verify_history();
}

fn an_instance_that_stays_as_it_is_makes_no_frame(bench: &Bench) {
    world(bench);
    assert!(put(bench, &[row("file", "1", 1)]).unwrap());
    assert!(!put(bench, &[row("file", "1", 1)]).unwrap());
    assert!(put(bench, &[row("file", "1", 2)]).unwrap());
    assert_eq!(bench.last_ops().len(), 1);
}

fn an_organization_takes_its_instances_with_it_frame_included(bench: &Bench) {
    world(bench);
    put(bench, &[row("file", "1", 1), row("file", "2", 2)]).unwrap();
    bench.put(|tx| doorward::store::organizations::delete(tx, OrganizationId::from_u128(1)));
    let gone = Op::Delete {
        table: RESOURCE_INSTANCES,
        key: vec![text("documents"), text("file"), text("1")],
    };
    assert!(bench.last_ops().contains(&gone), "{:?}", bench.last_ops());
    assert_eq!(bench.count("resource_instances"), 1);
    super::histories::copy_equals_store(bench);
}

fn a_resource_takes_its_instances_with_it_and_no_others(bench: &Bench) {
    world(bench);
    put(
        bench,
        &[
            row("file", "1", 1),
            row("file", "2", 2),
            row("album", "1", 1),
        ],
    )
    .unwrap();
    let gone = bench.put(|tx| instances::delete_all_of(tx, &service(), &resource("file")));
    assert_eq!(gone.value, 2);
    assert_eq!(bench.last_ops().len(), 2);
    assert_eq!(bench.count("resource_instances"), 1);
    super::histories::copy_equals_store(bench);
}

fn instances_of_an_organization_that_is_gone_are_refused(bench: &Bench) {
    world(bench);
    let refused = put(bench, &[row("file", "1", 1), row("file", "2", 9)]).unwrap_err();
    assert_eq!(refused, StoreError::ForeignKey);
    assert_eq!(bench.count("resource_instances"), 0);
}

fn pages_are_in_order_of_bytes_and_have_every_instance_once(bench: &Bench) {
    world(bench);
    let ids = ["a", "Z", "ä", "a-b", "a b", "文", "10", "9", "🗎"];
    let mut expected: Vec<(String, String)> = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        let kind = if place % 2 == 0 { "file" } else { "album" };
        put(bench, &[row(kind, id, 1 + (place as u128 % 2))]).unwrap();
        expected.push((kind.to_owned(), (*id).to_owned()));
    }
    expected.sort();
    let walk = |shown: Shown| {
        let (mut found, mut shown) = (Vec::new(), shown);
        loop {
            let page = bench
                .store
                .read_blocking(|tx| instances::page(tx, &service(), &shown, 2))
                .unwrap();
            let Some(last) = page.last() else {
                return found;
            };
            shown.after = Some((last.key.resource.clone(), last.key.id.clone()));
            found.extend(
                page.iter()
                    .map(|row| (row.key.resource.to_string(), row.key.id.to_string())),
            );
        }
    };
    assert_eq!(walk(Shown::default()), expected);
    let only = |kind: &str| {
        expected
            .iter()
            .filter(|(found, _)| found == kind)
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        walk(Shown {
            resource: Some(resource("file")),
            ..Shown::default()
        }),
        only("file")
    );
    assert_eq!(
        walk(Shown {
            organization: Some(OrganizationId::from_u128(2)),
            ..Shown::default()
        }),
        only("album")
    );
}

fn a_thousand_instances_are_put_and_removed_at_once(bench: &Bench) {
    world(bench);
    let rows: Vec<_> = (0..1000).map(|n| row("file", &format!("{n}"), 1)).collect();
    assert!(put(bench, &rows).unwrap());
    assert_eq!(bench.last_ops().len(), 1000);
    let counts = bench
        .store
        .read_blocking(|tx| {
            let asked = [1, 2, 3].map(OrganizationId::from_u128);
            instances::counts(tx, &service(), asked)
        })
        .unwrap();
    let counts: Vec<u64> = counts.into_values().collect();
    assert_eq!(
        counts,
        [1000, 0],
        "an organization that is not there has no count"
    );
    bench.put(|tx| instances::delete(tx, &service(), &resource("file"), rows.iter().map(|r| &r.1)));
    assert_eq!(bench.last_ops().len(), 1000);
    assert_eq!(bench.count("resource_instances"), 0);
    bench.verify_history();
}
