//! `/metrics` for Prometheus, in its text format, made when asked for.

use crate::host::Host;
use crate::member::Member;
use anyhow::Context;
use model::{Readiness, TaskState};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Deadline of one exchange, and bytes of a request.
const EXCHANGE: Duration = Duration::from_secs(5);
const REQUEST_BYTES: usize = 8 * 1024;

type Labels = Vec<(String, String)>;

/// Serves until the daemon ends.
pub(crate) async fn serve(host: Arc<Host>, address: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot serve metrics on {address}"))?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let host = Arc::clone(&host);
            tokio::spawn(async move {
                let _ = tokio::time::timeout(EXCHANGE, answer(stream, &host)).await;
            });
        }
    });
    Ok(())
}

async fn answer(mut stream: TcpStream, host: &Host) -> anyhow::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut chunk = [0; 1024];
        let read = stream.read(&mut chunk).await?;
        if read == 0 || request.len() > REQUEST_BYTES {
            return Ok(());
        }
        request.extend_from_slice(&chunk[..read]);
    }
    let (status, body) = if request.starts_with(b"GET /metrics ") {
        ("200 OK", collect(host)?)
    } else {
        ("404 Not Found", "only GET /metrics is here\n".to_owned())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

fn collect(host: &Host) -> anyhow::Result<String> {
    let mut registry = Registry::with_prefix("cluster");
    if let Ok(member) = host.member() {
        log_metrics(&mut registry, &member);
        task_metrics(&mut registry, &member);
        member.edge.metrics(&mut registry);
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge: Gauge = Gauge::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

fn log_metrics(registry: &mut Registry, member: &Member) {
    let Ok(managing) = member.node.managing() else { return };
    let log = managing.log.metrics();
    gauge(registry, "raft_term", "Raft's term", log.term);
    gauge(registry, "raft_last_index", "Index of the last entry in the log", log.last_index);
    gauge(registry, "raft_applied_index", "Index of the last entry applied", log.applied);
    gauge(registry, "raft_snapshot_index", "Index of the newest snapshot", log.snapshot);
    gauge(registry, "raft_is_leader", "1 on the leader", u64::from(managing.log.is_leader()));
    let contact = managing.contact_age().as_millis() as u64;
    gauge(
        registry,
        "raft_contact_age_milliseconds",
        "Since the last contact with a leader",
        contact,
    );
    let state = managing.log.state();
    let plan = planner::plan(&state, state.now, &managing.settings);
    gauge(
        registry,
        "planner_waiting_replicas",
        "Replicas that wait, with a reason",
        plan.waiting.len() as u64,
    );
    let nodes: Family<Labels, Gauge> = Family::default();
    for readiness in [Readiness::Ready, Readiness::Suspect, Readiness::Lost] {
        let count = state.nodes.values().filter(|n| n.readiness == readiness).count();
        nodes.get_or_create(&vec![("readiness".into(), readiness.to_string())]).set(count as i64);
    }
    registry.register("nodes", "Nodes by the leader's verdict", nodes);
}

fn task_metrics(registry: &mut Registry, member: &Member) {
    let tasks: Family<Labels, Gauge> = Family::default();
    if let Some(view) = member.agenting.views().borrow().as_ref() {
        for task in &view.tasks {
            let state = match task.state {
                TaskState::Exited { .. } => "exited".to_owned(),
                TaskState::Failed { .. } => "failed".to_owned(),
                ref other => other.to_string(),
            };
            let labels = vec![
                ("project".to_owned(), task.project.to_string()),
                ("service".to_owned(), task.service.to_string()),
                ("state".to_owned(), state),
            ];
            tasks.get_or_create(&labels).inc();
        }
        gauge(registry, "agent_view_index", "Index of the newest view", view.index);
    }
    registry.register("tasks", "Tasks of this node by service and state", tasks);
}
