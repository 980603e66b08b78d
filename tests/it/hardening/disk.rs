//! Disks that are full or may not be written.

use serde_json::{Value, json};

use super::process::{AUTHORITY, Disk, SIDECAR, run, until};
use super::world::{Authority, Sidecar, enroll, init, verify_history};
use crate::support::directory;

#[test]
fn an_authority_on_a_read_only_disk_says_so_and_ends() {
    let Some(disk) = Disk::mount(16 * 1024) else {
        return;
    };
    let data = disk.path().join("data");
    let data = data.to_str().unwrap();
    init(data.as_ref());
    disk.make_read_only();
    let listen = [("DOORWARD_AUTHORITY__LISTEN", "127.0.0.1:0")];
    run(AUTHORITY, &["serve", "--data", data], &listen).refused(74, &["read-only"]);
    let other = disk.path().join("other");
    let other = other.to_str().unwrap();
    run(AUTHORITY, &["init", "--data", other], &[]).refused(74, &[other]);
}

#[test]
fn an_installation_on_a_full_disk_is_not_half_made() {
    let Some(disk) = Disk::mount(1024) else {
        return;
    };
    let data = disk.path().join("data");
    std::fs::create_dir(&data).unwrap();
    disk.fill();
    let arguments = ["init", "--data", data.to_str().unwrap()];
    run(AUTHORITY, &arguments, &[]).refused(74, &["full"]);
    disk.free();
    init_again(&data, &disk);
    disk.fill();
    let arguments = ["serve", "--data", data.to_str().unwrap()];
    let listen = [("DOORWARD_AUTHORITY__LISTEN", "127.0.0.1:0")];
    run(AUTHORITY, &arguments, &listen).refused(74, &["full"]);
}

/// With room it goes on from whatever was left, and shows a secret.
fn init_again(data: &std::path::Path, disk: &Disk) {
    let status = std::process::Command::new("mount")
        .args(["-o", "remount,size=16m"])
        .arg(disk.path())
        .status()
        .unwrap();
    assert!(status.success());
    assert!(init(data).starts_with("dw"));
}

fn organization(authority: &Authority, token: &str, owner: &str, slug: &str) -> u16 {
    // Long names: room is used up in a few writes.
    let body = json!({"name": format!("{slug} {}", "x".repeat(80)), "slug": slug, "owner": owner});
    let reply = authority.call(token, "POST", "/v1/organizations", &body);
    if reply.status != 201 {
        assert_eq!((reply.status, reply.code().as_str()), (507, "disk-full"));
    }
    reply.status
}

fn slugs(authority: &Authority, token: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut path = "/v1/organizations?limit=100".to_owned();
    loop {
        let page = authority
            .call(token, "GET", &path, &Value::Null)
            .expect(200);
        let items = page["items"].as_array().unwrap();
        all.extend(
            items
                .iter()
                .map(|item| item["slug"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            all.retain(|slug| slug != "system");
            all.sort();
            return all;
        };
        path = format!("/v1/organizations?limit=100&after={next}");
    }
}

#[test]
fn a_full_disk_refuses_writes_answers_reads_and_heals() {
    let Some(disk) = Disk::mount(32 * 1024) else {
        return;
    };
    let mut authority = Authority::start(&disk.path().join("data"), "");
    let token = authority.token();
    let owner = authority.user(&token, "Olga Owner");
    let mut told = vec!["before".to_owned()];
    assert_eq!(organization(&authority, &token, &owner, "before"), 201);
    disk.fill();
    let mut number = 0;
    until("a refusal for want of room", || {
        number += 1;
        let slug = format!("org-{number:05}");
        if organization(&authority, &token, &owner, &slug) == 201 {
            told.push(slug);
            // A checkpoint may have made room where a page fits in.
            disk.fill_more();
            return None;
        }
        Some(())
    });
    for _ in 0..3 {
        assert_eq!(organization(&authority, &token, &owner, "refused"), 507);
    }
    told.sort();
    assert_eq!(slugs(&authority, &token), told);
    authority.raw("GET", "/healthz", "", b"").expect(200);
    authority.token();

    disk.free();
    until("room", || {
        (organization(&authority, &token, &owner, "refused") == 201).then_some(())
    });
    told.push("refused".to_owned());
    told.sort();
    assert_eq!(slugs(&authority, &token), told);
    authority.kill();
    verify_history(&authority.store());
    authority.run();
    let token = authority.token();
    assert_eq!(slugs(&authority, &token), told);
    authority.stop();
}

#[test]
fn a_sidecar_with_a_full_disk_answers_reports_it_and_catches_up() {
    let Some(disk) = Disk::mount(32 * 1024) else {
        return;
    };
    let directory = directory();
    let mut authority = Authority::start(directory.path(), "");
    let user = authority.furnish();
    let mut sidecar = Sidecar::start(&authority, &disk.path().join("data"));
    sidecar.until(&user, "billing:invoice:read", true);
    disk.fill();
    let token = authority.token();
    let role = format!("/v1/organizations/acme/members/{user}/roles/billing/editor");
    until("a report of the full disk", || {
        for method in ["PUT", "DELETE"] {
            authority
                .call(&token, method, &role, &Value::Null)
                .expect(200);
        }
        disk.fill_more();
        let path = "/v1/feeds/authz/followers";
        let followers = authority
            .call(&token, "GET", path, &Value::Null)
            .expect(200);
        (followers[0]["error"]["kind"] == "disk_full").then_some(())
    });
    assert!(sidecar.allows(&user, "billing:invoice:read"));
    let problem = sidecar.status()["last_problem"].to_string();
    assert!(problem.contains("full"), "{problem}");
    authority
        .call(&token, "PUT", &role, &Value::Null)
        .expect(200);

    // Also after a restart, in either way.
    sidecar.kill();
    sidecar.run();
    assert!(sidecar.allows(&user, "billing:invoice:read"));
    sidecar.stop();
    disk.fill_more();
    sidecar.run();
    assert!(sidecar.allows(&user, "billing:invoice:read"));

    disk.free();
    sidecar.until(&user, "billing:invoice:write", true);
    sidecar.until_revision(authority.revision());
    sidecar.stop();
    authority.stop();
}

#[test]
fn a_sidecar_whose_disk_became_read_only_does_not_start() {
    let Some(disk) = Disk::mount(32 * 1024) else {
        return;
    };
    let directory = directory();
    let mut authority = Authority::start(directory.path(), "");
    let user = authority.furnish();
    let data = disk.path().join("data");
    let mut sidecar = Sidecar::start(&authority, &data);
    sidecar.until(&user, "billing:invoice:read", true);
    sidecar.stop();
    disk.make_read_only();
    let arguments = ["serve", "--data", data.to_str().unwrap()];
    let environment = [("DOORWARD_SIDECAR__ADDRESSES", "127.0.0.1:0")];
    run(SIDECAR, &arguments, &environment).refused(74, &[data.to_str().unwrap()]);
    authority.stop();
}

#[test]
fn a_sidecar_on_a_read_only_or_full_disk_does_not_enrol() {
    let Some(disk) = Disk::mount(64) else {
        return;
    };
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    let url = format!("http://{}", authority.address);
    let data = disk.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let token = authority.invite();
    disk.fill();
    enroll(&data, &url, &token).refused(74, &["enrolment"]);
    disk.free();
    disk.make_read_only();
    enroll(&data, &url, &token).refused(74, &["enrolment"]);
    // The join token was not used up.
    enroll(&directory.path().join("sidecar"), &url, &token).succeeded();
    let arguments = ["serve", "--data", data.to_str().unwrap()];
    run(SIDECAR, &arguments, &[]).refused(78, &["not enrolled"]);
    authority.stop();
}
