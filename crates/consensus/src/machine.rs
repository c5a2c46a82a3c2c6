//! The state machine: holds the state in memory, applies committed entries to it, and takes and installs
//! snapshots of it. What an entry means is `model`'s business alone.

use crate::encoding::{self, Blob};
use crate::snapshots::{Folder, Snap, Taken};
use crate::store::Store;
use crate::types::{Entry, LogId, LogIdRecord, Meta, Stored, StoredRecord, Types};
use futures::{Stream, TryStreamExt};
use model::{Outcome, State};
use openraft::alias::SnapshotOf;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use std::io;
use std::sync::Arc;
use tokio::sync::watch;

type Snapshot = SnapshotOf<Types, Snap>;

/// The state, and how far it has come.
pub(crate) struct Machine {
    state: State,
    last: Option<LogId>,
    members: Stored,
    folder: Folder,
    store: Store,
    published: watch::Sender<Arc<State>>,
}

impl Machine {
    /// Starts from a snapshot, or from nothing.
    pub(crate) fn new(
        folder: Folder,
        store: Store,
        from: Option<Taken>,
        published: watch::Sender<Arc<State>>,
    ) -> io::Result<Self> {
        let mut machine = Self {
            state: State::default(),
            last: None,
            members: Stored::default(),
            folder,
            store,
            published,
        };
        if let Some(taken) = from {
            machine.take_over(taken)?;
        }
        Ok(machine)
    }

    fn take_over(&mut self, taken: Taken) -> io::Result<()> {
        let meta = taken.meta().map_err(io::Error::other)?;
        self.state = taken.state();
        self.last = meta.last_log_id;
        self.members = meta.last_membership;
        self.publish();
        Ok(())
    }

    fn publish(&self) {
        self.published.send_replace(Arc::new(self.state.clone()));
    }

    /// Applies one entry. One that this build does not understand is an error, before anything changed:
    /// skipping it would make this member's state another than that of the others.
    fn apply_one(&mut self, entry: Entry) -> io::Result<Outcome> {
        let id = entry.log_id;
        let outcome = match entry.payload {
            EntryPayload::Normal(command) => {
                let decoded = decode(&command).map_err(|why| {
                    io::Error::other(format!("entry {} cannot be applied: {why}", id.index))
                })?;
                self.state.apply(id.index, &decoded)
            }
            EntryPayload::Blank => {
                self.state.skip(id.index);
                Outcome::Done
            }
            EntryPayload::Membership(members) => {
                self.state.skip(id.index);
                self.members = Stored::new(Some(id), members);
                Outcome::Done
            }
        };
        self.last = Some(id);
        Ok(outcome)
    }

    fn builder(&self) -> Builder {
        let taken = Taken {
            last: self.last.as_ref().map(LogIdRecord::from),
            members: StoredRecord::from(&self.members),
            state: self.state.clone(),
        };
        Builder { taken: Arc::new(taken), folder: self.folder.clone(), store: self.store.clone() }
    }
}

/// Encodes an entry's command for the log.
pub(crate) fn encode(entry: &model::Entry) -> Blob {
    Blob(encoding::seal(entry).into())
}

fn decode(command: &Blob) -> Result<model::Entry, encoding::Unreadable> {
    encoding::open(&command.0)
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Snap;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Stored), io::Error> {
        Ok((self.last, self.members.clone()))
    }

    /// Applies a batch, shows the state once, and only then answers, so that whoever was answered finds
    /// the effect in the state.
    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let mut answers = Vec::new();
        let mut result = Ok(());
        while let Some((entry, responder)) = entries.try_next().await? {
            match self.apply_one(entry) {
                Ok(outcome) => answers.extend(responder.map(|r| (r, outcome))),
                Err(e) => {
                    result = Err(e);
                    break;
                }
            }
        }
        self.publish();
        for (responder, outcome) in answers {
            responder.send(outcome);
        }
        result
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        self.builder()
    }

    async fn install_snapshot(&mut self, meta: &Meta, snapshot: Snap) -> Result<(), io::Error> {
        let (folder, meta) = (self.folder.clone(), meta.clone());
        let taken = blocking(move || {
            let taken = match snapshot.taken {
                Some(taken) => *taken,
                None => crate::snapshots::read(&snapshot.path)?.map_err(io::Error::other)?,
            };
            folder.keep(&snapshot.path, meta)?;
            Ok(taken)
        })
        .await?;
        self.store.note_members(&taken.members.members)?;
        self.take_over(taken)
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let Some(current) = self.folder.current() else { return Ok(None) };
        let (folder, path) = (self.folder.clone(), current.path.clone());
        let meta = current.meta.clone();
        let intact = blocking(move || {
            let intact = crate::snapshots::intact(&current.path);
            if !intact {
                folder.discard(&current)?;
            }
            Ok(intact)
        });
        if intact.await? {
            return Ok(Some(Snapshot { meta, snapshot: Snap { path, taken: None } }));
        }
        // Damaged since it was written; the state it was taken of is still in memory.
        self.builder().build_snapshot().await.map(Some)
    }
}

/// Writes one snapshot while entries go on being applied.
pub(crate) struct Builder {
    taken: Arc<Taken>,
    folder: Folder,
    store: Store,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Snap;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let (folder, taken) = (self.folder.clone(), Arc::clone(&self.taken));
        let written = blocking(move || folder.write(&taken)).await?;
        self.store.note_members(&self.taken.members.members)?;
        Ok(Snapshot { meta: written.meta, snapshot: Snap { path: written.path, taken: None } })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
