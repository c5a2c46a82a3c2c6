//! Every key of the Compose Specification and what becomes of it here: one table, by section. A key is honoured,
//! emulated, harmless to lose, bound to a flag, or refused; a key that is not in the table is unknown. Rule:
//! losing a key that changes isolation, data or start-up could hurt, so it is refused unless the user ignores
//! it by name. Owns the shape of the table and the look-ups; the rows are in `service` and `inner`.

mod inner;
mod service;

use Verdict::{Emulated, Harmless, Honoured, Refused, Warned};

/// What becomes of a key. A reader may say something stricter about a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Read, and acted on.
    Honoured,
    /// Read, and acted on in another way, which is given.
    Emulated(&'static str),
    /// Nothing is lost, for the reason given.
    Harmless(&'static str),
    /// Has no effect, which is worth a warning, for the reason given.
    Warned(&'static str),
    /// Refused unless ignored by name: why, and what to write instead.
    Refused(&'static str, &'static str),
}

/// A place in the file where keys have a meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Top,
    Include,
    Service,
    Extends,
    Build,
    BuildUlimit,
    BuildSecret,
    Develop,
    Watch,
    WatchExec,
    Healthcheck,
    Logging,
    EnvFile,
    DependsOn,
    Port,
    Mount,
    MountBind,
    MountVolume,
    MountTmpfs,
    MountImage,
    Attachment,
    Reference,
    Credential,
    Device,
    Gpu,
    Ulimit,
    Blkio,
    BlkioWeight,
    BlkioRate,
    Provider,
    ServiceModel,
    PreStart,
    PreStartCluster,
    Hook,
    Deploy,
    Update,
    Rollback,
    Resources,
    Limits,
    Reservations,
    Generic,
    Discrete,
    Placement,
    Preference,
    Restart,
    Network,
    Ipam,
    IpamPool,
    Volume,
    Secret,
    Config,
    Model,
    External,
    Cluster,
    ClusterHttp,
    ClusterHttpTls,
}

/// Keys and their verdicts.
pub(crate) type Table = &'static [(&'static str, Verdict)];

const GPUS: &[&str] = &["services.*.gpus[]", "services.*.deploy.resources.reservations.devices[]"];

const BLKIO_RATE: &[&str] = &[
    "services.*.blkio_config.device_read_bps[]",
    "services.*.blkio_config.device_read_iops[]",
    "services.*.blkio_config.device_write_bps[]",
    "services.*.blkio_config.device_write_iops[]",
];

/// Every section: where its keys stand (`*` for a name, `[]` for an item of a list), and the keys.
const SECTIONS: [(Section, &[&str], Table); 56] = [
    (Section::Top, &[""], inner::TOP),
    (Section::Include, &["include[]"], inner::INCLUDE),
    (Section::Service, &["services.*"], service::SERVICE),
    (Section::Extends, &["services.*.extends"], service::EXTENDS),
    (Section::Build, &["services.*.build"], service::BUILD),
    (Section::BuildUlimit, &["services.*.build.ulimits.*"], service::BUILD_ULIMIT),
    (Section::BuildSecret, &["services.*.build.secrets[]"], service::BUILD_SECRET),
    (Section::Develop, &["services.*.develop"], service::DEVELOP),
    (Section::Watch, &["services.*.develop.watch[]"], service::WATCH),
    (Section::WatchExec, &["services.*.develop.watch[].exec"], service::WATCH_EXEC),
    (Section::Healthcheck, &["services.*.healthcheck"], service::HEALTHCHECK),
    (Section::Logging, &["services.*.logging"], service::LOGGING),
    (Section::EnvFile, &["services.*.env_file[]"], service::ENV_FILE),
    (Section::DependsOn, &["services.*.depends_on.*"], service::DEPENDS_ON),
    (Section::Port, &["services.*.ports[]"], service::PORT),
    (Section::Mount, &["services.*.volumes[]"], service::MOUNT),
    (Section::MountBind, &["services.*.volumes[].bind"], service::MOUNT_BIND),
    (Section::MountVolume, &["services.*.volumes[].volume"], service::MOUNT_VOLUME),
    (Section::MountTmpfs, &["services.*.volumes[].tmpfs"], service::MOUNT_TMPFS),
    (Section::MountImage, &["services.*.volumes[].image"], service::MOUNT_IMAGE),
    (Section::Attachment, &["services.*.networks.*"], service::ATTACHMENT),
    (Section::Reference, &["services.*.configs[]", "services.*.secrets[]"], service::REFERENCE),
    (Section::Credential, &["services.*.credential_spec"], service::CREDENTIAL),
    (Section::Device, &["services.*.devices[]"], service::DEVICE),
    (Section::Gpu, GPUS, service::GPU),
    (Section::Ulimit, &["services.*.ulimits.*"], service::ULIMIT),
    (Section::Blkio, &["services.*.blkio_config"], service::BLKIO),
    (Section::BlkioWeight, &["services.*.blkio_config.weight_device[]"], service::BLKIO_WEIGHT),
    (Section::BlkioRate, BLKIO_RATE, service::BLKIO_RATE),
    (Section::Provider, &["services.*.provider"], service::PROVIDER),
    (Section::ServiceModel, &["services.*.models.*"], service::SERVICE_MODEL),
    (Section::PreStart, &["services.*.pre_start[]"], service::PRE_START),
    (Section::Hook, &["services.*.post_start[]", "services.*.pre_stop[]"], service::HOOK),
    (Section::Deploy, &["services.*.deploy"], inner::DEPLOY),
    (Section::Update, &["services.*.deploy.update_config"], inner::UPDATE),
    (Section::Rollback, &["services.*.deploy.rollback_config"], inner::ROLLBACK),
    (Section::Resources, &["services.*.deploy.resources"], inner::RESOURCES),
    (Section::Limits, &["services.*.deploy.resources.limits"], inner::LIMITS),
    (Section::Reservations, &["services.*.deploy.resources.reservations"], inner::RESERVATIONS),
    (
        Section::Generic,
        &["services.*.deploy.resources.reservations.generic_resources[]"],
        inner::GENERIC,
    ),
    (
        Section::Discrete,
        &["services.*.deploy.resources.reservations.generic_resources[].discrete_resource_spec"],
        inner::DISCRETE,
    ),
    (Section::Placement, &["services.*.deploy.placement"], inner::PLACEMENT),
    (Section::Preference, &["services.*.deploy.placement.preferences[]"], inner::PREFERENCE),
    (Section::Restart, &["services.*.deploy.restart_policy"], inner::RESTART),
    (Section::Network, &["networks.*"], inner::NETWORK),
    (Section::Ipam, &["networks.*.ipam"], inner::IPAM),
    (Section::IpamPool, &["networks.*.ipam.config[]"], inner::IPAM_POOL),
    (Section::Volume, &["volumes.*"], inner::VOLUME),
    (Section::Secret, &["secrets.*"], inner::SECRET),
    (Section::Config, &["configs.*"], inner::CONFIG),
    (Section::Model, &["models.*"], inner::MODEL),
    (
        Section::External,
        &["volumes.*.external", "networks.*.external", "secrets.*.external", "configs.*.external"],
        inner::EXTERNAL,
    ),
    (Section::Cluster, &["services.*.x-cluster"], inner::CLUSTER),
    (Section::PreStartCluster, &["services.*.pre_start[].x-cluster"], inner::PRE_START_CLUSTER),
    (
        Section::ClusterHttp,
        &["services.*.x-cluster.http", "services.*.x-cluster.http[]"],
        inner::CLUSTER_HTTP,
    ),
    (
        Section::ClusterHttpTls,
        &["services.*.x-cluster.http.tls", "services.*.x-cluster.http[].tls"],
        inner::CLUSTER_HTTP_TLS,
    ),
];

/// The keys of a section.
pub(crate) fn table(section: Section) -> Table {
    row(section).2
}

fn row(section: Section) -> &'static (Section, &'static [&'static str], Table) {
    SECTIONS.iter().find(|(s, ..)| *s == section).expect("every section has its row")
}

/// Where a key stands, said with the name of what it is about (`services.web`). A section that stands in several
/// places is told by `what` it is read from.
pub(crate) fn path(section: Section, scope: &str, what: &str, key: &str) -> String {
    let places = row(section).1;
    let root = |path: &str| path.split(['.', '[']).next().unwrap_or_default().to_owned();
    let here = |place: &&&str| {
        let last = place.trim_end_matches(".*").trim_end_matches("[]").rsplit('.').next();
        last == Some(what) && root(place) == root(scope)
    };
    let general = places.iter().find(here).unwrap_or(&places[0]);
    let within = general.split_once(".*").map_or(*general, |(_, within)| within);
    let parts = [scope, within.trim_start_matches('.'), key];
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(".")
}

/// One row of the table, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where the key stands: `services.*.ports[].target`.
    pub path: String,
    /// `honoured`, `emulated`, `harmless` or `refused`. A value may be judged more strictly: what hands a
    /// container the host needs a flag.
    pub word: &'static str,
    /// How it is emulated, or why it is harmless or refused.
    pub why: &'static str,
    /// What to write instead.
    pub instead: &'static str,
}

/// The whole table: each key of the specification once.
pub fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for (_, places, table) in SECTIONS {
        for place in places {
            for (key, verdict) in table {
                let path =
                    if place.is_empty() { (*key).to_owned() } else { format!("{place}.{key}") };
                let (word, why, instead) = match *verdict {
                    Honoured => ("honoured", "", ""),
                    Emulated(how) => ("emulated", how, ""),
                    Harmless(why) | Warned(why) => ("harmless", why, ""),
                    Refused(why, instead) => ("refused", why, instead),
                };
                rules.push(Rule { path, word, why, instead });
            }
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_key_has_one_verdict_with_a_reason() {
        let mut seen = BTreeSet::new();
        for rule in rules() {
            assert!(seen.insert(rule.path.clone()), "{} is there twice", rule.path);
            for reason in [rule.why, rule.instead] {
                assert!(!reason.ends_with('.') && reason.len() < 130, "{}: {reason}", rule.path);
            }
            assert_eq!(rule.why.is_empty(), rule.word == "honoured", "{}", rule.path);
        }
        for section in SECTIONS {
            assert_eq!(row(section.0).1, section.1, "{:?} has two rows", section.0);
        }
    }
}
