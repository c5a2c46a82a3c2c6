//! Ties a replicated service to the node that holds its volumes: one home for all of them, given when
//! the first copy is placed. A global service has a volume of its own on each node instead.

use super::room::Room;
use crate::Reason;
use crate::tables::{Group, Tables};
use model::{NodeName, VolumeKey};

/// The home of a service's volumes and one volume that lives there; `None` while it may still be chosen.
pub(crate) fn of(
    t: &Tables<'_>,
    room: &Room<'_>,
    g: &Group<'_>,
) -> Result<Option<(VolumeKey, usize)>, Reason> {
    let mut home: Option<(VolumeKey, usize)> = None;
    for key in keys(g) {
        let Some(node) = home_of(t, room, &key) else { continue };
        let name = || t.nodes[node].name.clone();
        if t.state.volumes.get(&key).is_some_and(|v| v.condemned) {
            return Err(Reason::Condemned { volume: key, node: name() });
        }
        match &home {
            None => home = Some((key, node)),
            Some((_, same)) if *same == node => {}
            Some((other, at)) => {
                let other: (VolumeKey, NodeName) = (other.clone(), t.nodes[*at].name.clone());
                return Err(Reason::HomesApart { one: other, other: (key, name()) });
            }
        }
    }
    Ok(home)
}

/// The volumes of a service that have no home yet.
pub(crate) fn lacking(t: &Tables<'_>, room: &Room<'_>, g: &Group<'_>) -> Vec<VolumeKey> {
    let mut lacking: Vec<VolumeKey> = keys(g).filter(|k| home_of(t, room, k).is_none()).collect();
    lacking.sort();
    lacking.dedup();
    lacking
}

fn keys<'g>(g: &'g Group<'_>) -> impl Iterator<Item = VolumeKey> + 'g {
    let key =
        |v: &model::VolumeName| VolumeKey { project: g.service.project.clone(), volume: v.clone() };
    g.spec.volumes().filter(|_| !g.service.global()).map(key)
}

fn home_of(t: &Tables<'_>, room: &Room<'_>, key: &VolumeKey) -> Option<usize> {
    let recorded = t.state.volumes.get(key).and_then(|v| t.node_of(v.home));
    recorded.or_else(|| room.homes.get(key).copied())
}
