//! Bodies: the first frame is nearly always the whole.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::protocol::problem::Problem;

/// Reads a body of at most `limit` bytes within `within`.
///
/// No timer is armed and nothing is copied when the body came with its head.
pub(super) async fn read(
    mut body: Incoming,
    limit: usize,
    within: Duration,
) -> Result<Bytes, Box<Problem>> {
    if body
        .size_hint()
        .exact()
        .is_some_and(|size| size > limit as u64)
    {
        return Err(Problem::too_large(limit).into());
    }
    let first = {
        let mut frame = pin!(body.frame());
        poll_fn(|cx| match frame.as_mut().poll(cx) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    };
    match first {
        Some(None) => Ok(Bytes::new()),
        Some(Some(Ok(frame))) if body.is_end_stream() => Ok(frame.into_data().unwrap_or_default()),
        Some(Some(Err(_))) => Err(broken()),
        // Boxed: a future is moved as large as its rarest wait.
        Some(Some(Ok(frame))) => {
            let first = frame.into_data().unwrap_or_default();
            Box::pin(rest(body, first, limit, within)).await
        }
        None => Box::pin(rest(body, Bytes::new(), limit, within)).await,
    }
}

async fn rest(
    mut body: Incoming,
    first: Bytes,
    limit: usize,
    within: Duration,
) -> Result<Bytes, Box<Problem>> {
    let collect = async {
        let mut whole: Option<BytesMut> = None;
        let mut only = first;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| broken())?.into_data() else {
                continue;
            };
            if whole.is_none() && only.is_empty() {
                only = data;
            } else {
                whole
                    .get_or_insert_with(|| BytesMut::from(only.as_ref()))
                    .extend_from_slice(&data);
            }
            if whole.as_ref().map_or(only.len(), BytesMut::len) > limit {
                return Err(Problem::too_large(limit).into());
            }
        }
        Ok(whole.map_or(only, BytesMut::freeze))
    };
    match tokio::time::timeout(within, collect).await {
        Ok(whole) => whole,
        Err(_) => Err(
            Problem::new(408, "slow-body", "the body did not arrive in time")
                .because(format!("a body has {} ms to arrive", within.as_millis()))
                .into(),
        ),
    }
}

fn broken() -> Box<Problem> {
    Problem::malformed("the body broke off").into()
}
