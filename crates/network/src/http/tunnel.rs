//! What becomes of a request that asked for a WebSocket, once the replica has agreed: bytes both ways.

use crate::counters::Open;
use crate::http::table::Site;
use crate::pump::pump;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The two ends.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) downstream: OnUpgrade,
    pub(crate) upstream: OnUpgrade,
    /// Cancelled when the link to the replica's node is given up.
    pub(crate) link: Option<CancellationToken>,
}

/// Carries bytes until both ends are done. What is `held` is let go then. An end that fails takes the other along.
pub(crate) async fn carry(site: Arc<Site>, ends: Ends, held: impl Send + 'static) {
    let Ends { downstream, upstream, link } = ends;
    let counters = &site.served.counters;
    let open = Open::new(&counters.open);
    if let (Ok(downstream), Ok(upstream)) = tokio::join!(downstream, upstream) {
        let (mut client, mut replica) = (TokioIo::new(downstream), TokioIo::new(upstream));
        let carried = pump(&mut client, &mut replica, &counters.sent, &counters.received);
        let _ = link.unwrap_or_default().run_until_cancelled(carried).await;
    }
    drop((open, held));
}
