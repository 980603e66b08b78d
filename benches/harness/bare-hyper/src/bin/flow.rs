//! flow: code flows of people who are logged in, again and again, as fast as a server goes.
//!
//! flow JOB.json [--conns N] [--secs S]
//! JOB: {"address": "127.0.0.1:1", "authorize": "/path?query", "cookies": ["a=1; b=2", …],
//!       "token": "/path", "authorization": "Basic …" or "", "body": "grant_type=…&code="}
//! Each connection is one person's: GET authorize with the cookie, take `code` from the redirect,
//! POST body + code, expect 200 and an `access_token`. Never sleeps, so that the server pays for no
//! wake-up. Prints one JSON line. A panic is how it says that a job or an answer is wrong: it has no
//! other use than to be run by a script that looks at its exit code.
use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Job { address: String, authorize: String, cookies: Vec<String>, token: String, authorization: String, body: String }

/// The one answer to `request`: head and body.
async fn ask(stream: &mut TcpStream, buffer: &mut Vec<u8>, request: &str) -> (String, String) {
    stream.write_all(request.as_bytes()).await.unwrap();
    buffer.clear();
    loop {
        assert!(stream.read_buf(buffer).await.unwrap() > 0, "the server hung up");
        let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let length: usize = header(&head, "content-length").map_or(0, |value| value.parse().unwrap());
        if buffer.len() >= end + 4 + length {
            return (head, String::from_utf8_lossy(&buffer[end + 4..]).into_owned());
        }
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

async fn flow(job: &Job, cookie: &str, stream: &mut TcpStream, buffer: &mut Vec<u8>) {
    let request = format!("GET {} HTTP/1.1\r\nhost: {}\r\naccept: text/html\r\ncookie: {cookie}\r\n\r\n", job.authorize, job.address);
    let (head, body) = ask(stream, buffer, &request).await;
    let location = header(&head, "location").unwrap_or_else(|| panic!("no redirect: {head}\n{body}"));
    let code = location.split(['?', '&']).find_map(|pair| pair.strip_prefix("code=")).unwrap_or_else(|| panic!("no code: {location}"));
    let body = format!("{}{code}", job.body);
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\n{}content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        job.token, job.address, job.authorization, body.len());
    let (head, body) = ask(stream, buffer, &request).await;
    assert!(head.starts_with("HTTP/1.1 200") && body.contains("\"access_token\""), "{head}\n{body}");
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let text = std::fs::read_to_string(arguments.next().expect("a job")).unwrap();
    let (mut conns, mut secs) = (8_usize, 3.0_f64);
    while let Some(key) = arguments.next() {
        let value = arguments.next().expect("a value");
        match key.as_str() {
            "--conns" => conns = value.parse().unwrap(),
            "--secs" => secs = value.parse().unwrap(),
            key => panic!("unknown {key}"),
        }
    }
    assert!(secs <= 120.0 && conns <= 1024, "bounded load only");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let field = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned();
    let job = Arc::new(Job {
        address: field("address"), authorize: field("authorize"), token: field("token"), authorization: match field("authorization").as_str() { "" => String::new(), value => format!("authorization: {value}\r\n") }, body: field("body"),
        cookies: json["cookies"].as_array().unwrap().iter().map(|cookie| cookie.as_str().unwrap().to_owned()).collect(),
    });
    assert!(job.address.starts_with("127."), "loopback only");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let count = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + Duration::from_secs_f64(secs);
    runtime.block_on(local.run_until(async {
        tokio::task::spawn_local(async { loop { tokio::task::yield_now().await } });
        let people: Vec<_> = (0..conns).map(|number| {
            let (job, count) = (job.clone(), count.clone());
            tokio::task::spawn_local(async move {
                let mut stream = TcpStream::connect(&job.address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let mut buffer = Vec::with_capacity(16 * 1024);
                let cookie = &job.cookies[number % job.cookies.len()];
                while Instant::now() < end {
                    flow(&job, cookie, &mut stream, &mut buffer).await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        }).collect();
        for person in people { person.await.unwrap(); }
    }));
    println!("{{\"ok\":{},\"bad\":0}}", count.load(Ordering::Relaxed));
}
