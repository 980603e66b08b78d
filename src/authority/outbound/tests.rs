use std::time::Duration;

use http::HeaderMap;

use super::*;

fn outbound(allowed: &[&str]) -> Outbound {
    Outbound::new(OutboundConfig {
        allow_hosts: allowed.iter().map(|host| host.parse().unwrap()).collect(),
        timeout: Duration::from_millis(300),
        ..OutboundConfig::default()
    })
    .unwrap()
}

#[test]
fn only_addresses_of_the_public_internet_are_public() {
    for public in [
        "1.1.1.1",
        "8.8.8.8",
        "193.0.0.1",
        "2606:4700::1111",
        "2a00::1",
    ] {
        assert!(is_public(public.parse().unwrap()), "{public}");
    }
    for private in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "::8.8.8.8",
        "64:ff9b::a00:1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::1",
    ] {
        assert!(!is_public(private.parse().unwrap()), "{private}");
    }
}

#[test]
fn a_url_without_tls_or_with_a_private_address_is_refused_unless_its_host_is_allowed() {
    let outbound = outbound(&["127.0.0.1:9000", "idp.internal", "[::1]"]);
    for good in [
        "https://idp.example/x",
        "http://127.0.0.1:9000/x",
        "http://idp.internal:8080",
        "https://[::1]/",
    ] {
        assert_eq!(outbound.check_url(good), Ok(()), "{good}");
    }
    for private in [
        "https://127.0.0.1/",
        "https://127.0.0.1:9001/",
        "https://10.1.2.3/",
        "https://[fd00::1]/",
        "https://[::ffff:127.0.0.1]/",
    ] {
        assert_eq!(
            outbound.check_url(private),
            Err(OutboundError::Private),
            "{private}"
        );
    }
    for bad in [
        "",
        "/x",
        "http://idp.example/",
        "http://127.0.0.1:9001/",
        "ftp://idp.internal/",
        "https://user@idp.example/",
        "https://idp.example:0/",
        "https://idp.example:99999/",
        "https://idp.example:+443/",
        "https://user:pw@127.0.0.1:9000/",
        "https://idp.example/#x",
    ] {
        assert!(
            matches!(outbound.check_url(bad), Err(OutboundError::Url(_))),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_refused_after_it_was_resolved() {
    let refused = outbound(&[])
        .get("https://localhost:1/", HeaderMap::new())
        .await;
    assert_eq!(refused.unwrap_err(), OutboundError::Private);
    // Numbers in other spellings never become loopback unseen.
    for url in [
        "https://127.1:1/",
        "https://2130706433:1/",
        "https://0x7f000001:1/",
    ] {
        let refused = outbound(&[]).get(url, HeaderMap::new()).await.unwrap_err();
        assert!(
            !matches!(refused, OutboundError::Status(_) | OutboundError::Timeout),
            "{url}: {refused}"
        );
    }
    let tried = outbound(&["localhost"])
        .get("http://localhost:1/", HeaderMap::new())
        .await;
    assert!(
        matches!(tried, Err(OutboundError::Unreachable(_))),
        "{tried:?}"
    );
}
