//! `kill -9` between commit and answer: an honest client repeats what it asked and goes on.
//!
//! A refresh can be repeated: the same token gives the same successor for a short while, also by the
//! next process. A code cannot: nobody can tell its second use from a theft, so the grant ends, and
//! the client, which is told `invalid_grant`, sends the browser through `/oauth2/authorize` again.
//! The login session is still there, so the user sees no page.

mod relay;

use std::collections::HashSet;
use std::mem::discriminant;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use doorward::crypto::digest::token_digest;
use doorward::domain::user::{User, UserState};
use doorward::domain::{PlainToken, Secret, SessionId, UserId};
use doorward::runtime::{Clock, Entropy, SystemClock, SystemEntropy};
use doorward::store::sessions::{self, NewSession, Session};
use doorward::store::{Store, StoreConfig, StoreError, apps, grants, refresh_tokens, users};
use rustix::process::Pid;
use serde_json::Value;

use self::relay::{Fate, Relay};
use super::process::{AUTHORITY, Process, run, until};
use super::wire::{At, Reply, exchange, request};
use crate::oauth::world as oauth;

/// Each of the three fates of a code meets each of a first refresh.
const ROUNDS: usize = 9;
const TOGETHER: usize = 50;

/// Whether a message is as long as its head says.
fn is_whole(message: &[u8]) -> bool {
    let Some(end) = message.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
        .unwrap_or(0);
    message.len() - end - 4 == length
}

/// An authority that is killed and started again, with the app `board` and a user who is logged in.
struct Place {
    process: Option<Process>,
    config: PathBuf,
    log: PathBuf,
    store: StoreConfig,
    address: SocketAddr,
    session: SessionId,
    cookie: String,
    _directory: tempfile::TempDir,
}

impl Place {
    fn start(postgres: Option<&str>) -> Self {
        let directory = crate::support::directory();
        let path = |name: &str| directory.path().join(name);
        let section = postgres.map_or_else(String::new, |url| {
            std::fs::write(path("url"), url).unwrap();
            let file = path("url");
            format!("[store]\npostgres_url_file = '{}'\n", file.display())
        });
        // Long enough for the slowest machine to start again.
        let text = format!(
            "data = '{}'\nlisten = ['127.0.0.1:0']\n[lifetimes]\nrefresh_reuse = '5m'\n\
             code = '10m'\n{section}",
            path("data").display(),
        );
        let config = path("authority.toml");
        std::fs::write(&config, text).unwrap();
        let arguments = ["init", "--config", config.to_str().unwrap()];
        run(AUTHORITY, &arguments, &[]).succeeded();
        let store = match postgres {
            None => StoreConfig::Sqlite {
                path: path("data/doorward.db"),
            },
            Some(url) => StoreConfig::Postgres {
                url: Secret::new(url.to_owned()),
                max_connections: 4,
            },
        };
        let (session, cookie) = furnish(&open(&store));
        let mut place = Self {
            process: None,
            log: path("authority.log"),
            address: "127.0.0.1:0".parse().unwrap(),
            config,
            store,
            session,
            cookie,
            _directory: directory,
        };
        place.run();
        place
    }

    fn run(&mut self) {
        let from = std::fs::metadata(&self.log).map_or(0, |file| file.len());
        let arguments = ["serve", "--config", self.config.to_str().unwrap()];
        let mut process = Process::start(AUTHORITY, &arguments, &self.log);
        let line = process.line(usize::try_from(from).unwrap(), "listening address=");
        let (_, address) = line.split_once("http://").unwrap();
        self.address = address.trim().parse().unwrap();
        self.process = Some(process);
    }

    fn pid(&self) -> Pid {
        self.process.as_ref().expect("the authority runs").pid()
    }
}

fn open(config: &StoreConfig) -> Store {
    let entropy = Arc::new(SystemEntropy::default());
    Store::open(config, Arc::new(SystemClock), entropy).unwrap()
}

/// The app and a login; gives the session and its cookie.
fn furnish(store: &Store) -> (SessionId, String) {
    let (now, entropy) = (SystemClock.now(), SystemEntropy::default());
    let user = User {
        id: UserId::mint(now, entropy.id_bits()),
        email: "ada@example.com".to_owned(),
        display_name: "Ada".to_owned(),
        avatar_url: None,
        state: UserState::Active,
        token_epoch: 0,
        created_at: now,
        updated_at: now,
    };
    let id = SessionId::mint(now, entropy.id_bits());
    let token = PlainToken::from_random("dws_", entropy.token_bits());
    let day = Duration::from_hours(24);
    let new = NewSession {
        session: Session {
            id,
            user_id: user.id,
            created_at: now,
            expires_at: now.plus(day),
            provider: "demo".to_owned(),
            upstream_subject: "ada".to_owned(),
            upstream_sid: None,
            authenticated_at: now,
            amr: vec!["pwd".to_owned()],
            acr: None,
            user_agent: None,
            address: None,
            last_seen_at: now,
            idle_expires_at: now.plus(day),
        },
        digest: token_digest(&token),
    };
    store
        .write_blocking::<_, StoreError>(|tx| {
            apps::insert(tx, &oauth::board(), Some(oauth::digest(oauth::SECRET)), now)?;
            users::insert(tx, &user)?;
            sessions::insert(tx, &new)
        })
        .unwrap();
    (id, format!("__Host-doorward={}", token.expose()))
}

/// What came of a request on the unsafe way.
enum Heard {
    Answer(Reply),
    Nothing,
}

/// A client that is told to go to the authority by the relay, and repeats what was not answered.
struct Client {
    place: Place,
    relay: Relay,
    random: SystemEntropy,
    /// How long the authority takes to answer.
    usual: Duration,
    killed: usize,
}

impl Client {
    fn new(place: Place) -> Self {
        Self {
            relay: Relay::start(place.address),
            place,
            random: SystemEntropy::default(),
            usual: Duration::from_millis(10),
            killed: 0,
        }
    }

    /// The three things that may happen, in turn.
    fn fate(&self, number: usize) -> Fate {
        let pid = self.place.pid();
        match number % 3 {
            0 => Fate::Swallow(pid),
            1 => {
                let part = u32::from(self.random.id_bits()[0]);
                Fate::Kill(pid, self.usual * part / 160)
            }
            _ => Fate::Pass,
        }
    }

    /// Starts the authority again if it was killed.
    fn recover(&mut self, fate: Fate) {
        if matches!(fate, Fate::Pass) {
            return;
        }
        self.place.process.take().expect("it ran").kill();
        self.killed += 1;
        self.place.run();
        self.relay.lead_to(self.place.address);
        self.relay.decide(Fate::Pass);
    }

    /// Asks once.
    fn ask(&mut self, form: &str, fate: Fate) -> Heard {
        self.relay.decide(fate);
        let begin = SystemClock.since_boot();
        let heard = post(self.relay.address, form);
        if matches!(fate, Fate::Pass) {
            self.usual = SystemClock.since_boot().saturating_sub(begin);
        }
        self.recover(fate);
        heard.map_or(Heard::Nothing, Heard::Answer)
    }

    /// Asks until there is an answer; tells whether the first attempt had none.
    fn persist(&mut self, form: &str, fate: Fate) -> (Reply, bool) {
        match self.ask(form, fate) {
            Heard::Answer(reply) => (reply, false),
            Heard::Nothing => match self.ask(form, Fate::Pass) {
                Heard::Answer(reply) => (reply, true),
                Heard::Nothing => panic!("a running authority answers"),
            },
        }
    }

    /// A code, by the browser: no page, since the user is logged in.
    fn code(&self) -> String {
        let path = format!("/oauth2/authorize?{}", oauth::request(&[]));
        let headers = format!("cookie: {}\r\n", self.place.cookie);
        let bytes = request("GET", &path, &headers, b"");
        let reply = exchange(At::Tcp(self.place.address), &bytes).unwrap();
        reply.expect_status(303);
        let location = reply.header("location").unwrap();
        let (_, query) = location.split_once('?').unwrap();
        let parameters = oauth::parameters(query);
        parameters.get("code").expect("a code").clone()
    }

    /// The status that a bearer of the token is answered with.
    fn status_of(&self, access_token: &str) -> u16 {
        let headers = format!("authorization: Bearer {access_token}\r\n");
        let bytes = request("GET", "/oauth2/userinfo", &headers, b"");
        exchange(At::Tcp(self.place.address), &bytes)
            .unwrap()
            .status
    }
}

/// A request of the token endpoint; `None` unless the whole answer came.
fn post(to: SocketAddr, form: &str) -> Option<Reply> {
    let basic = BASE64.encode(format!("board:{}", oauth::SECRET).as_bytes());
    let headers = format!(
        "authorization: Basic {basic}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
    );
    let bytes = request("POST", "/oauth2/token", &headers, form.as_bytes());
    let reply = exchange(At::Tcp(to), &bytes)?;
    let length: usize = reply.header("content-length")?.parse().ok()?;
    (reply.body.len() == length).then_some(reply)
}

fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().expect(name).to_owned()
}

/// The body of the one answer that was swallowed.
fn swallowed(relay: &Relay) -> Option<Value> {
    let answers = relay.swallowed();
    assert!(answers.len() <= 1);
    let answer = answers.first()?;
    assert!(is_whole(answer), "the authority had answered");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    serde_json::from_slice(&answer[end + 4..]).ok()
}

fn redeem_form(code: &str) -> String {
    oauth::encode(&[
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", oauth::CALLBACK),
        ("code_verifier", oauth::VERIFIER),
    ])
}

fn refresh_form(token: &str) -> String {
    oauth::encode(&[("grant_type", "refresh_token"), ("refresh_token", token)])
}

/// Redeems a code, through whatever happens. A code whose answer got lost is a code that was used:
/// the second use ends all that came of the first, and the next code is there without a page.
fn log_in(client: &mut Client, fate: Fate) -> (Value, bool) {
    let (reply, again) = client.persist(&redeem_form(&client.code()), fate);
    let lost = swallowed(&client.relay);
    if reply.status == 200 {
        assert!(lost.is_none(), "a code gave two answers");
        return (reply.json(), false);
    }
    assert!(again, "{:#}", reply.json());
    assert_eq!(reply.expect(400)["error"], "invalid_grant");
    if let Some(lost) = lost {
        assert_eq!(client.status_of(&text(&lost, "access_token")), 401);
        let (dead, _) = client.persist(&refresh_form(&text(&lost, "refresh_token")), Fate::Pass);
        assert_eq!(dead.expect(400)["error"], "invalid_grant");
    }
    let (reply, _) = client.persist(&redeem_form(&client.code()), Fate::Pass);
    (reply.expect(200), true)
}

/// Refreshes, through whatever happens: there is an answer with a successor, always the same.
fn refresh(client: &mut Client, token: &str, fate: Fate) -> String {
    let (reply, _) = client.persist(&refresh_form(token), fate);
    let answer = reply.expect(200);
    let successor = text(&answer, "refresh_token");
    if let Some(lost) = swallowed(&client.relay) {
        assert_eq!(text(&lost, "refresh_token"), successor);
        assert_eq!(client.status_of(&text(&lost, "access_token")), 200);
    }
    assert_eq!(client.status_of(&text(&answer, "access_token")), 200);
    successor
}

/// Many refreshes of one token while the authority is killed, then all of them again.
fn refresh_together(client: &mut Client, token: &str) -> String {
    let form = refresh_form(token);
    let (address, pid) = (client.relay.address, client.place.pid());
    let mut successors: Vec<String> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..TOGETHER)
            .map(|_| scope.spawn(|| post(address, &form)))
            .collect();
        // The first answers are there, the others are on their way.
        until("the first answer", || {
            asked
                .iter()
                .any(std::thread::ScopedJoinHandle::is_finished)
                .then_some(())
        });
        client.relay.decide(Fate::Kill(pid, Duration::ZERO));
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        asked
            .into_iter()
            .filter_map(|one| one.join().unwrap())
            .map(|reply| text(&reply.expect(200), "refresh_token"))
            .collect()
    });
    client.recover(Fate::Kill(pid, Duration::ZERO));
    for _ in 0..TOGETHER {
        successors.push(refresh(client, token, Fate::Pass));
    }
    successors.dedup();
    assert_eq!(successors.len(), 1, "one live branch");
    successors.remove(0)
}

/// What the database must hold once it is all over: the branches the client knows, and no other.
fn verify(store: &Store, place: &Place, live: &[String], replayed: usize) {
    let digests: Vec<_> = live.iter().map(|token| oauth::digest(token)).collect();
    let session = place.session;
    store
        .read_blocking::<_, StoreError>(|tx| {
            let mut grants_alive = 0;
            for digest in &digests {
                let token = refresh_tokens::find(tx, *digest)?.expect("the last one lives");
                let grant = grants::find(tx, token.grant_id)?.expect("its grant is there");
                assert!(grant.revoked_at.is_none());
                let branches = tx.rows(
                    "SELECT id FROM refresh_tokens WHERE id = ?1",
                    &[grant.id.into()],
                )?;
                assert_eq!(branches.len(), 1, "one live branch a grant");
                grants_alive += 1;
            }
            let count = |tx: &mut dyn doorward::store::Tx, sql: &str| {
                tx.rows(sql, &[])?.first().map_or(Ok(-1), |row| row.int(0))
            };
            let branches = count(tx, "SELECT COUNT(*) FROM refresh_tokens")?;
            assert_eq!(
                branches, grants_alive,
                "nothing lives but what the client has"
            );
            let unrevoked = "SELECT COUNT(*) FROM grants WHERE revoked_at IS NULL";
            assert_eq!(count(tx, unrevoked)?, grants_alive);
            let told = "SELECT COUNT(*) FROM audit_log WHERE event = 'code.replayed'";
            assert_eq!(count(tx, told)?, i64::try_from(replayed).unwrap());
            let thefts = "SELECT COUNT(*) FROM audit_log WHERE event = 'refresh_token.reused'";
            assert_eq!(
                count(tx, thefts)?,
                0,
                "an honest client was taken for a thief"
            );
            assert!(sessions::find(tx, session)?.is_some(), "the login is there");
            Ok(())
        })
        .unwrap();
}

fn an_honest_client_goes_on(postgres: Option<&str>) {
    let mut client = Client::new(Place::start(postgres));
    let (mut live, mut replayed) = (Vec::new(), 0);
    let mut met = HashSet::new();
    for round in 0..ROUNDS {
        let fate = client.fate(round);
        let (answer, began_anew) = log_in(&mut client, fate);
        assert!(began_anew || !matches!(fate, Fate::Swallow(_)));
        replayed += usize::from(began_anew);
        let mut token = text(&answer, "refresh_token");
        for step in 0..2 {
            let next = client.fate(round / 3 + step);
            if step == 0 {
                met.insert((discriminant(&fate), discriminant(&next)));
            }
            token = refresh(&mut client, &token, next);
        }
        live.push(token);
    }
    assert_eq!(met.len(), 9, "every pair of fates");
    let last = live.pop().unwrap();
    live.push(refresh_together(&mut client, &last));
    assert!(client.killed >= ROUNDS, "{}", client.killed);
    let mut place = client.place;
    place.process.take().unwrap().stop();
    verify(&open(&place.store), &place, &live, replayed);
}

#[test]
fn an_honest_client_outlives_kill_dash_nine_between_commit_and_answer_on_sqlite() {
    an_honest_client_goes_on(None);
}

#[test]
fn an_honest_client_outlives_kill_dash_nine_between_commit_and_answer_on_postgresql() {
    if let Some(url) = crate::support::postgres::database_url() {
        an_honest_client_goes_on(Some(&url));
    }
}
