//! An authority, a relay or a wire that lies.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use doorward::crypto::sign::FeedSigner;
use doorward::domain::{Chain, Epoch, FeedName, Position, Revision, Timestamp};
use doorward::protocol::feed::{
    Cell, Claim, FEED_SCHEMA, Frame, Message, Op, SNAPSHOT_HEADER, SealedFrame, SignedHead,
    SnapshotManifest,
};
use doorward::replication::stream::FeedBody;
use doorward::runtime::tasks::Tasks;
use doorward::store::replica::{Builder, Replica};
use http::{Request, Response};
use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::support::*;

/// A snapshot's answer.
#[derive(Clone)]
struct Offer {
    manifest: SnapshotManifest,
    file: Vec<u8>,
}

/// What a lying server says: one script per connection, the last one again and again.
struct Liar {
    folder: TempDir,
    tasks: Tasks,
    streams: Arc<Mutex<Vec<Vec<u8>>>>,
    offer: Arc<Mutex<Offer>>,
    asked: Arc<AtomicUsize>,
    address: std::net::SocketAddr,
}

fn start() -> Position {
    Position {
        feed: FeedName::Authz,
        epoch: Epoch::from_uuid(Uuid::from_u128(1)),
        revision: Revision::new(10),
        chain: Chain::ZERO,
    }
}

fn offer(folder: &TempDir, signer: &FeedSigner, key: &FeedSigner) -> Offer {
    let path = folder.path().join("made.db");
    let replica = Builder::create(&path, start(), &key.public())
        .unwrap()
        .finish(Timestamp::EPOCH)
        .unwrap();
    let image = folder.path().join("image.db");
    Replica::remove(&image).unwrap();
    Replica::vacuum_into(replica.path(), &image).unwrap();
    let content = std::fs::read(&image).unwrap();
    let file = zstd::encode_all(&content[..], 3).unwrap();
    let mut manifest = SnapshotManifest {
        feed: FeedName::Authz,
        epoch: start().epoch,
        revision: start().revision,
        chain: start().chain,
        state: replica.state(),
        schema: FEED_SCHEMA,
        content_bytes: content.len() as u64,
        compressed_bytes: file.len() as u64,
        content_sha256: doorward::crypto::digest::sha256(&content),
        time: Timestamp::EPOCH,
        signature: [0; 64],
    };
    manifest.signature = signer.sign(&manifest.signing_bytes());
    Offer { manifest, file }
}

impl Liar {
    async fn start() -> Self {
        let folder = crate::support::directory();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let liar = Self {
            offer: Arc::new(Mutex::new(offer(&folder, &signer(), &signer()))),
            folder,
            tasks: Tasks::new(),
            streams: Arc::default(),
            asked: Arc::default(),
            address: listener.local_addr().unwrap(),
        };
        let (streams, offer) = (Arc::clone(&liar.streams), Arc::clone(&liar.offer));
        let asked = Arc::clone(&liar.asked);
        let answer = move |request: Request<Incoming>| {
            let response = match request.uri().path() {
                "/oauth2/token" => token(),
                "/v1/feeds/authz/changes" => {
                    let mut streams = streams.lock().unwrap();
                    match streams.len() {
                        0 => body(Bytes::new()),
                        1 => body(streams[0].clone().into()),
                        _ => body(streams.remove(0).into()),
                    }
                }
                "/v1/feeds/authz/snapshot" => {
                    asked.fetch_add(1, Ordering::SeqCst);
                    let offer = offer.lock().unwrap().clone();
                    offered(&offer)
                }
                _ => body(Bytes::new()),
            };
            async move { response }
        };
        liar.tasks
            .spawn("liar", accept(listener, liar.tasks.clone(), answer));
        liar
    }

    fn follow(&self) -> Sidecar {
        Sidecar::follow_with(self.address, &self.folder.path().join("data"), |config| {
            config.silence = Duration::from_millis(500);
        })
    }

    /// What the sidecar said of the scripts, once it has `what`.
    async fn told_when(&self, what: impl Fn(&Told) -> bool) -> Told {
        let mut sidecar = self.follow();
        sidecar.wait(what).await;
        sidecar.stop().await
    }
}

fn offered(offer: &Offer) -> Response<FeedBody> {
    let mut response = body(offer.file.clone().into());
    response.headers_mut().insert(
        SNAPSHOT_HEADER,
        BASE64URL_NOPAD
            .encode(&offer.manifest.encode())
            .parse()
            .unwrap(),
    );
    response
}

fn head(signer: &FeedSigner, claim: Claim, position: Position, time: i64) -> SignedHead {
    let mut head = SignedHead {
        feed: position.feed,
        epoch: position.epoch,
        revision: position.revision,
        chain: position.chain,
        time: Timestamp::from_unix_micros(time),
        signature: [0; 64],
    };
    head.signature = signer.sign(&head.signing_bytes(claim));
    head
}

fn frames(position: Position, count: u8) -> Vec<SealedFrame> {
    let (mut revision, mut chain) = (position.revision, position.chain);
    (1..=count)
        .map(|number| {
            let cells = vec![
                Cell::Bytes(vec![number; 16]),
                Cell::Text(format!("slug{number}")),
            ];
            let payload = Frame {
                reset: false,
                ops: vec![Op::Put { table: 1, cells }],
            }
            .encode();
            revision = revision.next();
            chain = chain.extend(revision, &payload);
            SealedFrame {
                revision,
                chain,
                payload,
            }
        })
        .collect()
}

fn end(frames: &[SealedFrame]) -> Position {
    let last = frames.last().unwrap();
    Position {
        revision: last.revision,
        chain: last.chain,
        ..start()
    }
}

fn batch(frames: Vec<SealedFrame>, head: SignedHead) -> Vec<u8> {
    Message::Batch { frames, head }.encode().to_vec()
}

fn said(told: &Told, word: &str) -> bool {
    told.disconnected.iter().any(|why| why.contains(word))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_under_a_forged_or_another_signature_is_not_applied() {
    let other = FeedSigner::from_seed(&[8; 32]).unwrap();
    let all = frames(start(), 2);
    let mut forged = head(&signer(), Claim::BatchEnd, end(&all), 1);
    forged.signature[5] ^= 1;
    for head in [
        forged,
        head(&other, Claim::BatchEnd, end(&all), 1),
        // A heartbeat's signature is none of a batch.
        head(&signer(), Claim::Head, end(&all), 1),
    ] {
        let liar = Liar::start().await;
        *liar.streams.lock().unwrap() = vec![batch(all.clone(), head)];
        let told = liar.told_when(|told| said(told, "not signed")).await;
        assert_eq!(told.position, Some(start()));
        assert!(told.fresh.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_lost_swapped_garbled_or_repeated_on_the_way_are_never_applied() {
    let good = frames(start(), 3);
    let signed = || head(&signer(), Claim::BatchEnd, end(&good), 1);
    let mut garbled = good.clone();
    garbled[1].payload[3] ^= 1;
    let swapped = vec![good[1].clone(), good[0].clone(), good[2].clone()];
    let lost = vec![good[0].clone(), good[2].clone()];
    for bad in [garbled, swapped, lost] {
        let liar = Liar::start().await;
        *liar.streams.lock().unwrap() = vec![batch(bad, signed()), batch(good.clone(), signed())];
        let told = liar
            .told_when(|told| told.position == Some(end(&good)))
            .await;
        assert!(
            !told.disconnected.is_empty(),
            "the bad one broke the connection"
        );
        assert_eq!(told.replaced, 1);
    }
    // Twice the same: once applied, once passed over.
    let liar = Liar::start().await;
    let twice = [batch(good.clone(), signed()), batch(good.clone(), signed())].concat();
    *liar.streams.lock().unwrap() = vec![twice];
    liar.told_when(|told| told.position == Some(end(&good)) && said(told, "closed"))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_seen_before_makes_nothing_fresh() {
    let liar = Liar::start().await;
    let beat = |time| Message::Heartbeat(head(&signer(), Claim::Head, start(), time)).encode();
    let old_batch_end = Message::Heartbeat(head(&signer(), Claim::BatchEnd, start(), 100)).encode();
    *liar.streams.lock().unwrap() = vec![
        [beat(50), beat(50), beat(49)].concat(),
        [beat(50), beat(51)].concat(),
        old_batch_end.to_vec(),
    ];
    let told = liar.told_when(|told| said(told, "not signed")).await;
    assert_eq!(told.fresh, [start().revision; 2], "at 50 and at 51");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_replayed_on_new_connections_makes_nothing_fresh() {
    let liar = Liar::start().await;
    let beat = Message::Heartbeat(head(&signer(), Claim::Head, start(), 50)).encode();
    *liar.streams.lock().unwrap() = vec![beat.to_vec()];
    // Each new connection brings the same heartbeat again.
    let told = liar.told_when(|told| told.disconnected.len() >= 3).await;
    assert_eq!(told.fresh.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_is_believed_only_when_it_was_announced_and_signed() {
    let liar = Liar::start().await;
    let next = Position {
        epoch: Epoch::from_uuid(Uuid::from_u128(2)),
        revision: Revision::new(99),
        chain: start().chain,
        ..start()
    };
    let all = frames(next, 1);
    let position = Position {
        epoch: next.epoch,
        ..end(&all)
    };
    let announced = |epoch| {
        Message::Epoch {
            epoch,
            first_revision: Revision::new(100),
        }
        .encode()
        .to_vec()
    };
    let signed = batch(all.clone(), head(&signer(), Claim::BatchEnd, position, 1));
    *liar.streams.lock().unwrap() = vec![
        signed.clone(),
        [
            announced(Epoch::from_uuid(Uuid::from_u128(3))),
            signed.clone(),
        ]
        .concat(),
        [announced(next.epoch), signed].concat(),
    ];
    let told = liar.told_when(|told| told.position == Some(position)).await;
    assert!(said(&told, "not announced"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_not_what_was_signed_is_not_installed() {
    let other = FeedSigner::from_seed(&[8; 32]).unwrap();
    let folder = crate::support::directory();
    let good = offer(&folder, &signer(), &signer());
    let truncated = Offer {
        file: good.file[..good.file.len() / 2].to_vec(),
        ..good.clone()
    };
    let mut longer = good.clone();
    longer.file.extend_from_slice(&[0; 100]);
    let content = zstd::decode_all(&good.file[..]).unwrap();
    let mut changed = content.clone();
    changed[content.len() - 1] ^= 1;
    let resigned = |mut offer: Offer| {
        offer.manifest.compressed_bytes = offer.file.len() as u64;
        offer.manifest.signature = signer().sign(&offer.manifest.signing_bytes());
        offer
    };
    let changed = resigned(Offer {
        file: zstd::encode_all(&changed[..], 3).unwrap(),
        ..good.clone()
    });
    let bomb = resigned(Offer {
        file: zstd::encode_all(&vec![0; 1 << 26][..], 3).unwrap(),
        ..good.clone()
    });
    let mut wrong_state = good.clone();
    wrong_state.manifest.state[0] += 1;
    let wrong_state = resigned(wrong_state);
    let mut wrong_position = good.clone();
    wrong_position.manifest.revision = Revision::new(11);
    let wrong_position = resigned(wrong_position);
    let mut forged = good.clone();
    forged.manifest.revision = Revision::new(11);
    let mut future = good.clone();
    future.manifest.schema += 1;
    let future = resigned(future);

    for (name, bad, word) in [
        ("truncated", truncated, "ended early"),
        ("longer", longer, "longer than signed"),
        ("changed", changed, "hash differs"),
        ("bomb", bomb, "more bytes"),
        ("wrong state", wrong_state, "another"),
        ("wrong position", wrong_position, "another"),
        ("forged manifest", forged, "not vouched"),
        (
            "another key",
            offer(&folder, &other, &signer()),
            "not vouched",
        ),
        (
            "a copy of another feed",
            offer(&folder, &signer(), &other),
            "another feed key",
        ),
        ("future schema", future, "schema 2"),
    ] {
        let liar = Liar::start().await;
        *liar.offer.lock().unwrap() = bad;
        let mut sidecar = liar.follow();
        let told = sidecar.wait(|told| !told.disconnected.is_empty()).await;
        assert!(said(&told, word), "{name}: {:?}", told.disconnected);
        assert_eq!(told.position, None, "{name}");
        *liar.offer.lock().unwrap() = good.clone();
        sidecar.reach(start()).await;
        sidecar.stop().await;
        let left = std::fs::read_dir(liar.folder.path().join("data")).unwrap();
        let left: Vec<_> = left
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("tmp"))
            .collect();
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_cannot_be_applied_is_reported_and_leads_to_a_snapshot() {
    let liar = Liar::start().await;
    let payload = b"poison".to_vec();
    let revision = start().revision.next();
    let poison = SealedFrame {
        revision,
        chain: start().chain.extend(revision, &payload),
        payload,
    };
    let position = end(std::slice::from_ref(&poison));
    let signed = head(&signer(), Claim::BatchEnd, position, 1);
    *liar.streams.lock().unwrap() = vec![batch(vec![poison], signed)];
    let mut sidecar = liar.follow();
    sidecar
        .wait(|told| said(told, "cannot be applied") && told.replaced >= 2)
        .await;
    let told = sidecar.stop().await;
    assert_eq!(told.position, Some(start()), "never past it");
    assert!(liar.asked.load(Ordering::SeqCst) >= 2);
}
