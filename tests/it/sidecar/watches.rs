//! Watches: the answer at once, and again whenever it changes; the same as by asking again and again.

use std::fmt::Write as _;
use std::time::Duration;

use doorward::domain::Secret;
use doorward::runtime::Clock;
use doorward::sidecar::callers::{Ask, CallerConfig};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::*;

/// An event of a stream; a comment has no name.
#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

/// A watch's reader.
struct Reader {
    stream: TcpStream,
    buffer: String,
}

fn request(headers: &str, body: &str) -> String {
    format!(
        "POST /v1/watch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Running {
    async fn watch(&self, headers: &str, question: &Value) -> Reader {
        let address = self.sidecar.bound()[0].tcp().unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = request(headers, &question.to_string());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reader = Reader {
            stream,
            buffer: String::new(),
        };
        let head = reader.until("\r\n\r\n").await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("text/event-stream"), "{head}");
        reader
    }
}

impl Reader {
    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some((part, rest)) = self.buffer.split_once(end) {
                let (part, rest) = (part.to_owned(), rest.to_owned());
                self.buffer = rest;
                return Some(part);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => {
                    let text = std::str::from_utf8(&bytes[..read]).unwrap();
                    self.buffer.push_str(text);
                }
            }
        }
    }

    /// The next event; `None` at the end of the stream.
    async fn event(&mut self) -> Option<Event> {
        // A chunk of the body: its size, then it.
        let size = self.until("\r\n").await?;
        if size == "0" {
            return None;
        }
        let chunk = self.until("\n\n\r\n").await?;
        let field = |name: &str| {
            chunk
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .unwrap_or_default()
        };
        Some(Event {
            name: field("event").to_owned(),
            id: field("id").to_owned(),
            data: serde_json::from_str(field("data")).unwrap_or_default(),
        })
    }

    /// The next decision: whether it allows, and its event.
    async fn decision(&mut self) -> (bool, Event) {
        loop {
            let event = self.event().await.expect("the stream goes on");
            if event.name == "decision" {
                return (event.data["decision"].as_bool().unwrap(), event);
            }
        }
    }
}

#[tokio::test]
async fn a_watch_tells_the_answer_at_once_and_when_a_role_is_taken_and_given_back() {
    let mut running = Running::start().await;
    let mut reader = running.watch("", &question("acme", 1, "write")).await;
    let (allowed, event) = reader.decision().await;
    assert!(allowed);
    assert_eq!(event.data["context"]["revision"], 1);
    assert!(event.id.starts_with("dw1."), "{event:?}");
    running.apply(vec![no_member(1, 1)]);
    let (allowed, event) = reader.decision().await;
    assert!(!allowed);
    assert_eq!(event.data["context"]["revision"], 2);
    // Nothing of this one is news.
    running.apply(vec![member(2, 2, 1)]);
    running.apply(vec![member(1, 1, 2)]);
    let (allowed, event) = reader.decision().await;
    assert!(allowed);
    assert_eq!(event.data["context"]["revision"], 4);
    running.apply(vec![user_state(1, "suspended")]);
    assert!(!reader.decision().await.0);
}

#[tokio::test]
async fn a_watch_tells_when_the_authority_is_lost_and_heard_again() {
    let running = Running::start().await;
    let mut reader = running.watch("", &question("acme", 1, "write")).await;
    let state = running.sidecar.state();
    let mut link = async || loop {
        let event = reader.event().await.unwrap();
        if event.name == "link" {
            return event.data["connected"].as_bool().unwrap();
        }
    };
    assert!(!link().await);
    let boot = Duration::from_hours(1);
    state.hear(state.view().revision(), boot).unwrap();
    assert!(link().await);
    state.lose("gone".to_owned());
    assert!(!link().await);
}

#[tokio::test]
async fn a_watch_that_bounds_staleness_denies_while_it_is_unknown() {
    let running = Running::start().await;
    let headers = "doorward-max-staleness: 5s\r\n";
    let mut reader = running.watch(headers, &question("acme", 1, "write")).await;
    let (allowed, event) = reader.decision().await;
    assert!(!allowed);
    assert_eq!(event.data["context"]["reason"]["code"], "stale");
    let state = running.sidecar.state();
    let boot = Duration::from_hours(1);
    state.hear(state.view().revision(), boot).unwrap();
    assert!(reader.decision().await.0);
}

#[tokio::test]
async fn whoever_comes_back_is_answered_by_facts_no_older_than_what_they_saw() {
    let mut running = Running::start().await;
    let ask = question("acme", 1, "write");
    let mut reader = running.watch("", &ask).await;
    let (_, event) = reader.decision().await;
    let ahead = format!("{}3", &event.id[..event.id.len() - 1]);
    let headers = format!("last-event-id: {ahead}\r\n");
    let mut reader = running.watch(&headers, &ask).await;
    let (allowed, event) = reader.decision().await;
    assert!(!allowed);
    assert_eq!(event.data["context"]["reason"]["code"], "not_yet_applied");
    running.apply(vec![member(2, 2, 1)]);
    running.apply(vec![member(2, 2, 2)]);
    assert!(reader.decision().await.0);
    // One of another history, or of nobody's, is no bar.
    for foreign in [
        "dw1.authz.00000000-0000-0000-0000-0000000000ff.9",
        "17",
        "nonsense",
    ] {
        let headers = format!("last-event-id: {foreign}\r\n");
        let mut reader = running.watch(&headers, &ask).await;
        assert!(reader.decision().await.0, "{foreign}");
    }
}

#[tokio::test]
async fn a_question_that_cannot_be_asked_is_refused_and_not_watched() {
    let running = Running::start().await;
    for (body, status) in [("{", 400), ("{}", 400), ("", 400)] {
        let reply = running.post("/v1/watch", body).await;
        assert_eq!(reply.status, status, "{reply:?}");
    }
    assert_eq!(running.get("/v1/watch").await.status, 405);
    let metrics = running.get_unix("/metrics").await.body;
    assert!(metrics.contains("doorward_sidecar_watches 0"), "{metrics}");
}

#[tokio::test]
async fn a_caller_watches_what_it_may_ask_and_as_much_as_it_may() {
    let running = Running::with(|config| {
        config.watch.most_per_caller = 2;
        config.callers = [("other", "billing"), ("docs", "docs")]
            .map(|(name, service)| CallerConfig {
                name: name.to_owned(),
                credential: Some(Secret::new(format!("secret of {name}"))),
                uid: None,
                may: vec![Ask::Check],
                services: vec![service.parse().unwrap()],
            })
            .to_vec();
    })
    .await;
    let ask = question("acme", 1, "write");
    let of = |name: &str| format!("authorization: Bearer secret of {name}\r\n");
    let reply = running
        .post_with("/v1/watch", &of("other"), &ask.to_string())
        .await;
    assert_eq!(reply.status, 403, "{reply:?}");
    let mut first = running.watch(&of("docs"), &ask).await;
    let _second = running.watch(&of("docs"), &ask).await;
    let reply = running
        .post_with("/v1/watch", &of("docs"), &ask.to_string())
        .await;
    assert_eq!(reply.status, 429, "{reply:?}");
    assert_eq!(reply.json()["code"], "too-many-watches");
    // Others have places of their own, and one that is given back is there again.
    let _anonymous = running.watch("", &ask).await;
    assert!(first.decision().await.0);
    drop(first);
    loop {
        let metrics = running.get_unix("/metrics").await.body;
        if metrics.contains("doorward_sidecar_watches 2") {
            break;
        }
        tokio::task::yield_now().await;
    }
    running.watch(&of("docs"), &ask).await;
}

#[tokio::test]
async fn a_stop_ends_streams_with_a_word() {
    let running = Running::start().await;
    let mut reader = running.watch("", &question("acme", 1, "write")).await;
    assert!(reader.decision().await.0);
    let tasks = running.tasks.clone();
    let stopping = async move { tasks.shutdown(Duration::from_secs(20)).await };
    let reading = async {
        let mut last = String::new();
        while let Some(event) = reader.event().await {
            last = event.name;
        }
        last
    };
    let (stopped, last) = tokio::join!(stopping, reading);
    assert_eq!((stopped, last.as_str()), (Ok(()), "end"));
}

#[tokio::test]
async fn a_watch_that_was_told_stale_is_told_when_facts_are_new_again() {
    let running = Running::start().await;
    let (state, clock) = (running.sidecar.state(), &running.clock);
    let hear = || {
        let revision = state.view().revision();
        state.hear(revision, clock.since_boot()).unwrap();
    };
    hear();
    let headers = "doorward-max-staleness: 300ms\r\n";
    let mut reader = running.watch(headers, &question("acme", 1, "write")).await;
    assert!(reader.decision().await.0);
    clock.advance(Duration::from_secs(1));
    let (allowed, event) = reader.decision().await;
    assert!(!allowed);
    assert_eq!(event.data["context"]["reason"]["code"], "stale");
    // The authority was heard all the time, so this is no news of the link.
    hear();
    assert!(reader.decision().await.0);
}

#[tokio::test]
async fn a_sign_of_life_comes_however_often_facts_change() {
    let mut running = Running::with(|config| {
        config.watch.heartbeat = Duration::from_millis(50);
    })
    .await;
    let mut reader = running.watch("", &question("acme", 1, "write")).await;
    // What does not concern it, again and again, until there is a comment.
    let mut role = 1;
    loop {
        role = 3 - role;
        running.apply(vec![member(2, 2, role)]);
        let next = tokio::time::timeout(Duration::from_millis(5), reader.event()).await;
        if next.is_ok_and(|event| event.unwrap().name.is_empty()) {
            return;
        }
    }
}

#[tokio::test]
async fn what_stands_behind_a_watch_does_not_silence_it() {
    let mut running = Running::start().await;
    let mut reader = running.watch("", &question("acme", 1, "write")).await;
    assert!(reader.decision().await.0);
    reader.stream.write_all(b"\r\nGET /he").await.unwrap();
    running.apply(vec![no_member(1, 1)]);
    assert!(!reader.decision().await.0);
}

#[tokio::test]
async fn whoever_leaves_a_byte_behind_and_goes_gives_the_place_back() {
    let running = Running::with(|config| {
        config.watch.heartbeat = Duration::from_millis(50);
    })
    .await;
    let mut reader = running.watch("", &question("acme", 1, "write")).await;
    reader.stream.write_all(b"X").await.unwrap();
    drop(reader);
    while !running
        .get_unix("/metrics")
        .await
        .body
        .contains("doorward_sidecar_watches 0")
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_reader_that_never_reads_is_cut_off() {
    let mut running = Running::start().await;
    let mut stream = tokio::net::UnixStream::connect(&running.socket)
        .await
        .unwrap();
    let request = request("", &question("acme", 1, "write").to_string());
    stream.write_all(request.as_bytes()).await.unwrap();
    let watches = async |running: &Running, wanted: &str| {
        let metrics = running.get_unix("/metrics").await.body;
        metrics.contains(&format!("doorward_sidecar_watches {wanted}"))
    };
    while !watches(&running, "1").await {}
    // More than the socket and the connection's own buffer take.
    for round in 0..20_000 {
        running.apply(vec![if round % 2 == 0 {
            no_member(1, 1)
        } else {
            member(1, 1, 2)
        }]);
        if round % 16 == 0 && watches(&running, "0").await {
            return;
        }
    }
    panic!("it is still there");
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }

    fn id(&mut self, bound: u64) -> u128 {
        u128::from(self.below(bound)) + 1
    }

    fn op(&mut self) -> doorward::protocol::feed::Op {
        let (o, u, r) = (self.id(2), self.id(3), self.id(2));
        match self.below(7) {
            0 | 1 => member(o, u, r),
            2 => no_member(o, u),
            3 => further(o, u, r),
            4 => grant(r, self.id(3)),
            5 => ungrant(r, self.id(3)),
            _ => user_state(
                u,
                if self.below(2) == 0 {
                    "suspended"
                } else {
                    "active"
                },
            ),
        }
    }
}

/// After each change of a random history, everybody asks: what a watch told last is the answer, and
/// it tells only what is another answer than before.
#[tokio::test]
async fn what_a_watch_told_last_is_what_asking_says_on_random_histories() {
    let mut told = 0;
    for seed in 0..6 {
        let mut random = Random(seed);
        let mut running = Running::start().await;
        let mut watches = Vec::new();
        for u in 1..=3 {
            for action in ["read", "write", "publish"] {
                let o = if (u + seed) % 2 == 0 {
                    "acme"
                } else {
                    "globex"
                };
                let ask = question(o, u128::from(u), action);
                let mut reader = running.watch("", &ask).await;
                let known = reader.decision().await.0;
                watches.push((ask, reader, known));
            }
        }
        for step in 0..40 {
            let ops = (0..=random.below(2)).map(|_| random.op()).collect();
            running.apply(ops);
            for (ask, reader, known) in &mut watches {
                let body = ask.to_string();
                let asked = running.post("/access/v1/evaluation", &body).await;
                let asked = asked.json()["decision"].as_bool().unwrap();
                if asked != *known {
                    *known = reader.decision().await.0;
                    told += 1;
                }
                assert_eq!(*known, asked, "{seed}.{step}: {ask}");
            }
        }
        // Nothing was told that was not asked for above: the rest of each stream is its end.
        let tasks = running.tasks.clone();
        let stopping = async move { tasks.shutdown(Duration::from_secs(20)).await };
        let reading = async {
            let mut rest = String::new();
            for (_, reader, _) in &mut watches {
                while let Some(event) = reader.event().await {
                    if event.name == "decision" {
                        write!(rest, "{event:?}").unwrap();
                    }
                }
            }
            rest
        };
        let (_, rest) = tokio::join!(stopping, reading);
        assert_eq!(rest, "", "{seed}");
    }
    assert!(told > 50, "{told}");
}
