//! Speaking HTTP with one client, over HTTP/1 or HTTP/2 as it begins.

use crate::core::Core;
use crate::http::answer::{Client, answer};
use crate::http::pace::{Pace, Paced};
use crate::limits::{
    HTTP_FAREWELL, HTTP_HEAD_BYTES, HTTP_HEADERS, HTTP_PING, HTTP_PING_ANSWER, HTTP_STREAM_WINDOW,
    HTTP_STREAMS, HTTP_WINDOW,
};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Answers a client's requests until it is done, or too slow, or the edge leaves.
pub(crate) async fn serve<S>(core: Arc<Core>, lane: usize, client: Client, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let client = Arc::new(client);
    let pace = Arc::new(Pace::new(core.clock, core.config.http.patience));
    let io = TokioIo::new(Paced::new(stream, Arc::clone(&pace)));
    let leaving = core.http.leaving.clone();
    let service = service_fn(|request: Request<Incoming>| {
        let busy = pace.busy(request.version());
        answer(Arc::clone(&core), lane, Arc::clone(&client), busy, request)
    });
    let builder = builder();
    let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
    let mut exhausted = pin!(pace.exhausted());
    // How it ended is the client's affair.
    let leaves = tokio::select! {
        _ = connection.as_mut() => return,
        () = &mut exhausted => false,
        () = leaving.cancelled() => true,
    };
    connection.as_mut().graceful_shutdown();
    if leaves {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = exhausted => {}
        }
    }
    let _ = tokio::time::timeout(HTTP_FAREWELL, connection).await;
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Counted by `Pace`, from the first byte of each head on.
        .header_read_timeout(None)
        .max_headers(HTTP_HEADERS)
        .max_buf_size(HTTP_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HTTP_HEAD_BYTES as u32)
        .max_concurrent_streams(HTTP_STREAMS)
        .initial_stream_window_size(HTTP_STREAM_WINDOW)
        .initial_connection_window_size(HTTP_WINDOW)
        .keep_alive_interval(HTTP_PING)
        .keep_alive_timeout(HTTP_PING_ANSWER);
    builder
}
