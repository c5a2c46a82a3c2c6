//! What the process in a container does, named by its image. Dumber than any real one.

use model::ContainerSpec;
use std::time::Duration;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// It ends by itself so long after its start, with this code.
    pub(crate) ends: Option<(Duration, i64)>,
    /// How long it takes to end after it was asked to; `None`: it has to be killed.
    pub(crate) stops_in: Option<Duration>,
    /// Its check passes so long after its start.
    pub(crate) healthy_in: Option<Duration>,
    /// Its check fails for good so long after its start.
    pub(crate) sick_in: Option<Duration>,
    /// Where its image is.
    pub(crate) image: ImageAt,
    /// There is a check at all.
    pub(crate) checked: bool,
}

/// Where an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageAt {
    /// On every node.
    Nodes,
    /// In a registry.
    Registry,
    /// Nowhere.
    Nowhere,
}

impl Program {
    /// The program of a container. Names of images:
    /// `crashes` (exit 1 after a second), `ends` (exit 0 after a second), `works` (exit 0 after five),
    /// `ends-badly` (as `crashes`), `sick` (its check never passes),
    /// `sickens` (its check fails after ten seconds), `stubborn` (has to be killed), `remote` (has to be
    /// pulled), `absent` (is nowhere); all others just run.
    pub(crate) fn of(spec: &ContainerSpec) -> Self {
        let second = Duration::from_secs(1);
        let checked = spec.healthcheck.as_ref().is_some_and(|h| h.test != ["NONE"]);
        let base = Self {
            ends: None,
            stops_in: Some(Duration::from_millis(100)),
            healthy_in: checked.then(|| Duration::from_millis(500)),
            sick_in: None,
            image: ImageAt::Nodes,
            checked,
        };
        match spec.image.reference.as_str() {
            "crashes" | "ends-badly" => Self { ends: Some((second, 1)), ..base },
            "ends" => Self { ends: Some((second, 0)), ..base },
            "works" => Self { ends: Some((second * 5, 0)), ..base },
            "sick" => Self { healthy_in: None, sick_in: Some(second * 3), ..base },
            "sickens" => Self { sick_in: Some(second * 10), ..base },
            "stubborn" => Self { stops_in: None, ..base },
            "remote" => Self { image: ImageAt::Registry, ..base },
            "absent" => Self { image: ImageAt::Nowhere, ..base },
            _ => base,
        }
    }
}
