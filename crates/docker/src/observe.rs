//! Looking: containers and networks of the cluster as the agent wants to see them, and memory in use.

use crate::engine::SHORT;
use crate::failure::within;
use crate::{Engine, Failure};
use agent::{Container, ContainerId, Health, Observation, Phase, label};
use bollard::models::{
    ContainerInspectResponse, ContainerMemoryStats, ContainerState, ContainerStateStatusEnum,
    HealthStatusEnum, NetworkSettings,
};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, StatsOptionsBuilder,
};
use futures::StreamExt;
use model::ClusterId;
use model::limits::HOOK_TOLD_LINES;
use std::net::IpAddr;
use std::time::Duration;

/// Deadline of a full list.
const LIST: Duration = Duration::from_secs(30);
/// Containers looked at at once.
const AT_ONCE: usize = 8;
/// What an engine waits before it kills, when a container was not told otherwise.
const ENGINE_GRACE: Duration = Duration::from_secs(10);
/// Memory is told in steps of this: what matters is how much, not each page.
const MEMORY_STEP: u64 = 16 << 20;

impl Engine {
    /// All containers and networks of this cluster.
    pub async fn observe(&self) -> Result<Observation, Failure> {
        let ids = self.containers(true).await?;
        let looks = ids.into_iter().map(|id| self.look(id));
        let looked: Vec<_> = futures::stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
        let mut containers = Vec::new();
        for container in looked {
            containers.extend(container?);
        }
        containers.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Observation { containers, networks: self.projects_with_network().await? })
    }

    async fn look(&self, id: String) -> Result<Option<Container>, Failure> {
        self.inspect(&ContainerId(id)).await
    }

    /// A container of this cluster; `None` when there is none, or it is not one of ours.
    pub async fn inspect(&self, container: &ContainerId) -> Result<Option<Container>, Failure> {
        match within(SHORT, self.client().await?.inspect_container(&container.0, None)).await {
            Ok(found) => match read(&found).filter(|c| c.cluster == *self.cluster()) {
                Some(container) => Ok(Some(self.with_output(container).await)),
                None => Ok(None),
            },
            Err(failure) if failure.not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Adds what a step wrote last that ended badly. Where no log is kept that is nothing.
    async fn with_output(&self, mut container: Container) -> Container {
        let badly = matches!(container.phase, Phase::Exited { code, .. } if code != 0);
        if container.step.is_some() && badly {
            let last = tokio::time::timeout(SHORT, self.last_lines(&container.id, HOOK_TOLD_LINES));
            container.output = last.await.unwrap_or_default();
        }
        container
    }

    async fn containers(&self, dead_too: bool) -> Result<Vec<String>, Failure> {
        let filters = self.filter().into_iter().collect();
        let options = ListContainersOptionsBuilder::default().all(dead_too).filters(&filters);
        let client = self.client().await?;
        let found = within(LIST, client.list_containers(Some(options.build()))).await?;
        Ok(found.into_iter().filter_map(|c| c.id).collect())
    }

    async fn projects_with_network(&self) -> Result<Vec<model::ProjectName>, Failure> {
        let project = |n: bollard::models::Network| n.labels?.get(label::PROJECT)?.parse().ok();
        Ok(self.networks().await?.into_iter().filter_map(project).collect())
    }

    /// All networks of this cluster.
    pub(crate) async fn networks(&self) -> Result<Vec<bollard::models::Network>, Failure> {
        let filters = self.filter().into_iter().collect();
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let client = self.client().await?;
        within(LIST, client.list_networks(Some(options))).await
    }

    /// Memory in use by each running container of this cluster, caches left out, in steps of 16 MiB.
    /// A container that cannot be measured is left out.
    pub async fn memory(&self) -> Vec<(ContainerId, u64)> {
        let Ok(ids) = self.containers(false).await else { return Vec::new() };
        let measures = ids.into_iter().map(|id| self.measure(id));
        let measured = futures::stream::iter(measures).buffer_unordered(AT_ONCE);
        measured.filter_map(std::future::ready).collect().await
    }

    async fn measure(&self, id: String) -> Option<(ContainerId, u64)> {
        let client = self.client().await.ok()?;
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut stats = Box::pin(client.stats(&id, Some(options)));
        let first = tokio::time::timeout(SHORT, stats.next()).await.ok()??.ok()?;
        let used = in_use(&first.memory_stats?)?;
        Some((ContainerId(id), used.next_multiple_of(MEMORY_STEP)))
    }
}

/// Memory in use without file caches that the kernel may drop: as `docker stats` counts it, for cgroup v1
/// and v2.
pub(crate) fn in_use(stats: &ContainerMemoryStats) -> Option<u64> {
    let detail = |key: &str| stats.stats.as_ref().and_then(|s| s.get(key).copied());
    let cache = detail("total_inactive_file").or_else(|| detail("inactive_file")).unwrap_or(0);
    Some(stats.usage?.saturating_sub(cache))
}

/// The agent's view of a container; `None` for one without legible labels of ours.
pub(crate) fn read(found: &ContainerInspectResponse) -> Option<Container> {
    let config = found.config.as_ref()?;
    let labels = config.labels.as_ref()?;
    let state = found.state.as_ref()?;
    let label = |key: &str| labels.get(key).map(String::as_str);
    Some(Container {
        id: ContainerId(found.id.clone()?),
        cluster: ClusterId(label(label::CLUSTER)?.to_owned()),
        task: label(label::TASK)?.parse().ok()?,
        project: label(label::PROJECT)?.parse().ok()?,
        step: label(label::STEP).and_then(|text| text.parse().ok()),
        digest: label(label::DIGEST).unwrap_or_default().to_owned(),
        phase: phase(state),
        health: health(state),
        created: found.created.as_deref().map_or(0, millis),
        started: state.started_at.as_deref().map_or(0, millis),
        address: found.network_settings.as_ref().and_then(address),
        grace: config
            .stop_timeout
            .and_then(|t| u64::try_from(t).ok())
            .map_or(ENGINE_GRACE, Duration::from_secs),
        output: String::new(),
    })
}

fn phase(state: &ContainerState) -> Phase {
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => Phase::Created,
        Some(ContainerStateStatusEnum::DEAD | ContainerStateStatusEnum::REMOVING) => Phase::Dead,
        Some(ContainerStateStatusEnum::EXITED) => Phase::Exited {
            code: state.exit_code.unwrap_or(-1),
            out_of_memory: state.oom_killed == Some(true),
        },
        _ => Phase::Running,
    }
}

fn health(state: &ContainerState) -> Health {
    match state.health.as_ref().and_then(|h| h.status) {
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        _ => Health::Unchecked,
    }
}

/// The engine's time stamps, in milliseconds since the epoch; its "never" (year 1) becomes zero.
pub(crate) fn millis(stamp: &str) -> u64 {
    let parsed = stamp.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond);
    u64::try_from(parsed).unwrap_or(0)
}

/// A container is on one network, its project's.
fn address(settings: &NetworkSettings) -> Option<IpAddr> {
    let networks = settings.networks.as_ref()?;
    networks.values().find_map(|n| n.ip_address.as_deref()?.parse().ok())
}
