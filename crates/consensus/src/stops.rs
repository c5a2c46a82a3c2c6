//! A log that cannot go on stops, and says so: a stopped member is safer than a diverged one.

use crate::encoding::{Blob, seal};
use crate::{Config, Connector, FOUNDER, Fatal, Log, OpenError};
use model::{ClusterId, Command, Facts, Found, Join, JoinToken, Role, Timers};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tonic::transport::Endpoint;

async fn open(dir: &Path) -> Result<Log, OpenError> {
    let config = Config::new(ClusterId("c".into()), FOUNDER, dir, Timers::LAN);
    let nowhere: Connector =
        Arc::new(|_, _| Endpoint::from_static("http://127.0.0.1:1").connect_lazy());
    Log::open(config, nowhere).await
}

async fn founded(dir: &Path) -> Log {
    let log = open(dir).await.unwrap();
    let token = JoinToken { digest: String::new(), sealed: Vec::new() };
    let node = Join {
        name: "node1".parse().unwrap(),
        role: Role::Manager,
        address: [127, 0, 0, 1].into(),
        control_port: 1,
        edge_port: 2,
        key_digest: "k".into(),
        facts: Facts::default(),
        replace: false,
    };
    let found = Found {
        cluster: ClusterId("c".into()),
        authority: String::new(),
        sealed_key: Vec::new(),
        manager_token: token.clone(),
        worker_token: token,
        mesh: None,
        node,
    };
    log.found(([127, 0, 0, 1], 1).into(), found).await.unwrap();
    log
}

async fn fatal(log: &Log) -> Fatal {
    tokio::time::timeout(Duration::from_secs(20), log.fatal()).await.expect("it stops")
}

/// An entry of a newer build: whole, and not understood.
#[tokio::test(flavor = "multi_thread")]
async fn fault_36_an_entry_that_is_not_understood_stops_the_member_before_it_is_applied() {
    let dir = TempDir::new().unwrap();
    let log = founded(dir.path()).await;
    let before = log.state();
    let newer = Blob(seal(&"a command of next year").into());
    let raft = log.inner.raft.clone();
    tokio::spawn(async move { raft.client_write(newer).await });
    let why = fatal(&log).await;
    assert!(
        matches!(&why, Fatal::Storage(text) if text.contains("entry 3 cannot be applied")),
        "{why}"
    );
    assert_eq!(log.state().index, before.index, "nothing of it was applied");
    let refused = log.propose(Command::Judge(Vec::new()), None).await;
    assert_eq!(refused, Err(crate::ProposeError::Stopped));
    log.shutdown().await;
    let Err(again) = open(dir.path()).await else { panic!("it opened") };
    assert!(again.to_string().contains("entry 3 cannot be applied"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_can_write_no_more_stops() {
    let dir = TempDir::new().unwrap();
    let log = founded(dir.path()).await;
    log.inner.store.stop().await;
    let refused = log.propose(Command::Judge(Vec::new()), None).await;
    assert!(refused.is_err());
    fatal(&log).await;
}
