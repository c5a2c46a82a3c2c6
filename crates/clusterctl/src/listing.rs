//! What `ls`, `ps` and `events` say. Pure.

use crate::table::Table;
use crate::text;
use api::v1::{EventsReply, ProjectSummary, ReplicaSummary, ServiceSummary};
use std::time::Duration;

/// The table of projects.
pub(crate) fn projects(
    projects: &[ProjectSummary],
    services: &[ServiceSummary],
    wall_ms: i64,
) -> String {
    let mut table = Table::new(&["PROJECT", "STATUS", "SERVICES", "RELEASE", "DEPLOYED"]);
    for project in projects {
        let of_it = || services.iter().filter(|s| s.project == project.name && !s.removed);
        let healthy: u32 = of_it().map(|s| (s.healthy + s.completed).min(s.wanted)).sum();
        let wanted: u32 = of_it().map(|s| s.wanted).sum();
        table.row([
            project.name.clone(),
            format!("running({healthy}/{wanted})"),
            project.services.to_string(),
            project.release.to_string(),
            ago(project.deployed_ms, wall_ms),
        ]);
    }
    table.render()
}

fn ago(then_ms: i64, now_ms: i64) -> String {
    let millis = u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0);
    format!("{} ago", text::age(Duration::from_millis(millis)))
}

/// The table of replicas.
pub(crate) fn replicas(replicas: &[ReplicaSummary]) -> String {
    let mut table =
        Table::new(&["NAME", "IMAGE", "NODE", "STATUS", "RESTARTS", "MEMORY", "PORTS", "REASON"]);
    for replica in replicas {
        let memory = if replica.memory == 0 { String::new() } else { text::size(replica.memory) };
        let restarts =
            if replica.restarts == 0 { String::new() } else { replica.restarts.to_string() };
        table.row([
            full_name(replica),
            replica.image.clone(),
            replica.node.clone(),
            condition(replica),
            restarts,
            memory,
            replica.ports.join(", "),
            reason(replica),
        ]);
    }
    table.render()
}

/// The table of `rollout status`.
pub(crate) fn rollouts(services: &[ServiceSummary]) -> String {
    let mut table = Table::new(&["SERVICE", "ROLL-OUT", "RELEASE", "UPDATED", "FAILED", "REASON"]);
    for service in services {
        let Some(rollout) = &service.rollout else { continue };
        let release = match rollout.left {
            0 => rollout.release.to_string(),
            left => format!("{left} → {}", rollout.release),
        };
        let reason = match (rollout.reason.as_str(), rollout.last_failure.as_str()) {
            ("", "") => String::new(),
            ("", last) => format!("last failure: {last}"),
            (reason, _) => reason.to_owned(),
        };
        table.row([
            format!("{}/{}", service.project, service.name),
            rollout.state.clone(),
            release,
            format!("{}/{}", service.updated, service.wanted),
            rollout.failed.to_string(),
            reason,
        ]);
    }
    table.render()
}

/// `shop/web.2`
pub(crate) fn full_name(replica: &ReplicaSummary) -> String {
    format!("{}/{}", replica.project, replica.name)
}

/// How a replica is, and since when. With an old generation it says so.
fn condition(replica: &ReplicaSummary) -> String {
    let age = text::age(Duration::from_millis(replica.age_ms));
    let text = match replica.condition.as_str() {
        "running" => format!("Running {age}"),
        "unhealthy" => format!("Unhealthy {age}"),
        "waiting" => "Waiting".to_owned(),
        "starting" => format!("{} {age}", capital(&replica.state)),
        "stopping" => "Stopping".to_owned(),
        "unreachable" => "Unreachable".to_owned(),
        "ended" => capital(replica.state.split(": ").next().unwrap_or_default()),
        other => capital(other),
    };
    let old = !replica.current && replica.condition != "ended" && replica.wanted;
    if old { format!("{text} (old release)") } else { text }
}

/// Why a replica is not as it should be.
pub(crate) fn reason(replica: &ReplicaSummary) -> String {
    if !replica.reason.is_empty() {
        return replica.reason.clone();
    }
    replica.state.strip_prefix("failed: ").unwrap_or_default().to_owned()
}

/// The text with a capital first letter.
pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// One line of `events`.
pub(crate) fn event(event: &EventsReply) -> String {
    format!("{}  {}\n", moment(event.wall_ms), text::safe(&event.text))
}

/// A moment in the time zone of whoever reads it.
fn moment(wall_ms: i64) -> String {
    let Ok(moment) = jiff::Timestamp::from_millisecond(wall_ms) else { return "?".into() };
    moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(name: &str, condition: &str, state: &str) -> ReplicaSummary {
        ReplicaSummary {
            project: "shop".into(),
            service: "web".into(),
            name: name.into(),
            node: "node1".into(),
            image: "nginx:1.29".into(),
            state: state.into(),
            condition: condition.into(),
            wanted: true,
            current: true,
            age_ms: 125_000,
            ports: vec!["8080->80/tcp".into()],
            ..ReplicaSummary::default()
        }
    }

    #[test]
    fn replicas_say_how_they_are_and_why() {
        let running = ReplicaSummary { memory: 24 << 20, ..replica("web.1", "running", "running") };
        let old = ReplicaSummary { current: false, ..replica("web.2", "unhealthy", "running") };
        let waiting = ReplicaSummary {
            node: String::new(),
            reason: "2 nodes lack memory".into(),
            restarts: 4,
            ..replica("web.3", "waiting", "waiting")
        };
        let failed = replica("web.4", "ended", "failed: port 80 is taken");
        let exited = replica("web.5", "ended", "exited (1)");
        let preparing = replica("web.6", "starting", "preparing");
        let expected = "\
NAME         IMAGE        NODE    STATUS                     RESTARTS   MEMORY   PORTS          REASON
shop/web.1   nginx:1.29   node1   Running 2m                            24MiB    8080->80/tcp
shop/web.2   nginx:1.29   node1   Unhealthy 2m (old release)                     8080->80/tcp
shop/web.3   nginx:1.29           Waiting                    4                   8080->80/tcp   2 nodes lack memory
shop/web.4   nginx:1.29   node1   Failed                                         8080->80/tcp   port 80 is taken
shop/web.5   nginx:1.29   node1   Exited (1)                                     8080->80/tcp
shop/web.6   nginx:1.29   node1   Preparing 2m                                   8080->80/tcp
";
        let rows = [running, old, waiting, failed, exited, preparing];
        let expected: Vec<String> = expected.lines().map(squeezed).collect();
        let shown: Vec<String> = replicas(&rows).lines().map(squeezed).collect();
        assert_eq!(shown, expected);
    }

    fn squeezed(line: &str) -> String {
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn projects_count_their_replicas() {
        let project = ProjectSummary {
            name: "shop".into(),
            release: 3,
            deployed_ms: 1_000_000,
            services: 2,
            ..ProjectSummary::default()
        };
        let service = |name: &str, healthy, wanted| ServiceSummary {
            project: "shop".into(),
            name: name.into(),
            healthy,
            wanted,
            ..ServiceSummary::default()
        };
        let services = [service("web", 3, 2), service("api", 1, 2)];
        let expected = "\
PROJECT   STATUS         SERVICES   RELEASE   DEPLOYED
shop      running(3/4)   2          3         5m ago
";
        assert_eq!(projects(&[project], &services, 1_300_000), expected);
    }

    #[test]
    fn attack_15_hostile_names_do_not_reach_the_terminal() {
        let hostile = replica("web\x1b[2J.1", "running", "running");
        assert!(!replicas(&[hostile]).contains('\x1b'));
        let line = event(&EventsReply { text: "a\x1b[2Jb\n".into(), ..EventsReply::default() });
        assert!(!line.contains('\x1b') && line.ends_with("a\\u{1b}[2Jb\\u{a}\n"), "{line:?}");
    }
}
