//! The engine's events, as changes of containers. Events are a hint where to look: what is sent on is what
//! a look then showed. Whenever one may have been missed, it says so.

use crate::engine::SHORT;
use crate::failure::within;
use crate::{Engine, Failure};
use agent::{Container, ContainerId};
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc;

/// Between two questions whether the engine is still there, which a silent stream does not tell.
const PING_EVERY: Duration = Duration::from_secs(2);
/// Between two attempts to reach an engine that does not answer.
const RETRY: Duration = Duration::from_millis(500);
/// Changes that may wait for their reader.
const WAITING: usize = 256;

/// What happened to the containers of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A container, as it is now.
    Changed(Container),
    /// A container was removed.
    Gone(ContainerId),
    /// Something may have been missed, because the engine did not answer for a while or has just been
    /// reached: look at everything.
    Missed,
}

type Events = Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send>>;

impl Engine {
    /// Changes of this cluster's containers, until the receiver is dropped. Starts with
    /// [`Change::Missed`].
    pub fn changes(&self) -> mpsc::Receiver<Change> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let engine = self.clone();
        tokio::spawn(async move {
            while !sender.is_closed() {
                // However it ended, the engine has to be found again; it is told once, not per attempt.
                let _ = engine.follow(&sender).await;
                if sender.send(Change::Missed).await.is_err() {
                    return;
                }
                while !sender.is_closed() && engine.ping().await.is_err() {
                    tokio::time::sleep(RETRY).await;
                }
            }
        });
        receiver
    }

    /// Follows the events until the engine stops answering or nobody listens.
    async fn follow(&self, sender: &mpsc::Sender<Change>) -> Result<(), Failure> {
        let mut events = self.events().await?;
        let mut ping = tokio::time::interval(PING_EVERY);
        if sender.send(Change::Missed).await.is_err() {
            return Ok(());
        }
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => {
                        let Some(change) = self.change(event?).await? else { continue };
                        if sender.send(change).await.is_err() {
                            return Ok(());
                        }
                    }
                    None => return Ok(()),
                },
                _ = ping.tick() => self.ping().await?,
                () = sender.closed() => return Ok(()),
            }
        }
    }

    /// Subscribes from the engine's own present on, so that nothing falls between the subscription and the
    /// look at everything that follows it.
    async fn events(&self) -> Result<Events, Failure> {
        let client = self.client().await?;
        let now = within(SHORT, client.info()).await?.system_time.unwrap_or_default();
        let now = now.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second);
        let mut filters = self.filter();
        filters.insert("type".to_owned(), vec!["container".to_owned()]);
        filters.insert("event".to_owned(), EVENTS.map(str::to_owned).to_vec());
        let filters = filters.into_iter().collect();
        let options = EventsOptionsBuilder::default().since(&now.to_string()).filters(&filters);
        Ok(Box::pin(client.events(Some(options.build()))))
    }

    async fn change(&self, event: EventMessage) -> Result<Option<Change>, Failure> {
        let Some(id) = event.actor.and_then(|a| a.id).map(ContainerId) else { return Ok(None) };
        if event.action.as_deref() == Some("destroy") {
            return Ok(Some(Change::Gone(id)));
        }
        // One that vanished since will have a `destroy` of its own.
        Ok(self.inspect(&id).await?.map(Change::Changed))
    }
}

/// What matters. Those of commands that run inside, health checks among them, come by the second and say
/// nothing.
const EVENTS: [&str; 7] = ["start", "die", "oom", "pause", "unpause", "health_status", "destroy"];
