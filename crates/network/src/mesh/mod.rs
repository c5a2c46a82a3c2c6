//! The node's part of the mesh in the kernel: routes to the subnets of other nodes, and a table of rules of our
//! own. Both are derived as a whole from the picture ([`rules`], [`routes`]: pure), compared with what the
//! kernel has, and put right where they differ: after a new picture, and now and then, because people and
//! engines change rules too. What carries the packets, where that is more than routes, is in [`carrier`].

mod carrier;
mod echo;
mod examine;
mod flows;
mod kernel;
mod peers;
mod ports;
mod routes;
mod rules;
mod vxlan;
mod wireguard;

use crate::core::Core;
use crate::limits::{MESH_AGAIN, MESH_CHECK};
use crate::picture::{Current, Picture};
use crate::remark::Remark;
use carrier::Carriers;
use kernel::Kernel;
use model::{MeshView, NodeId, bridge_name};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

pub use examine::{Aspect, Finding, examine};
pub use kernel::{Encryption, Trouble, ready, remove, taken};
pub use peers::{Peer, peers, subnets_of};
pub use routes::{Hop, hops};
pub use rules::ruleset;
pub use wireguard::{KeyError, NewKey, new_key, read_key};

/// Keeps the kernel's part of the mesh as the picture in force wants it. Says what is in the way once, and
/// once that it is no longer.
pub(crate) async fn keep(core: Arc<Core>, mut pictures: watch::Receiver<Arc<Current>>) {
    let (mut kernel, mut carriers) = (Kernel::default(), Carriers::default());
    let mut trouble = None;
    let mut again = MESH_AGAIN;
    loop {
        let current = Arc::clone(&pictures.borrow_and_update());
        let done = match current.picture.as_ref() {
            Some(picture) => {
                settle(&mut kernel, &mut carriers, picture, &core.config.mesh_key).await
            }
            None => Ok(()),
        };
        let now = done.err().map(|t| t.to_string());
        let wait = if now.is_some() { again } else { MESH_CHECK };
        again = if now.is_some() { (again * 2).min(MESH_CHECK) } else { MESH_AGAIN };
        if trouble != now {
            match &now {
                Some(why) => core.remark(&Remark::MeshTrouble { why: why.clone() }),
                None => core.remark(&Remark::MeshMended),
            }
            core.set_mesh_trouble(now.clone());
            trouble = now;
        }
        if let Ok(Err(_)) = tokio::time::timeout(wait, pictures.changed()).await {
            return;
        }
    }
}

fn bridges(mesh: &MeshView, node: NodeId) -> Vec<String> {
    let here = mesh.networks.iter().filter_map(|network| network.subnets.get(&node));
    here.map(|subnet| bridge_name(mesh.mesh.number(*subnet))).collect()
}

async fn settle(
    kernel: &mut Kernel,
    carriers: &mut Carriers,
    picture: &Picture,
    key: &Path,
) -> Result<(), Trouble> {
    let Some(mesh) = &picture.mesh else { return Ok(()) };
    kernel.load_rules(&ruleset(mesh, picture.node)).await?;
    kernel.admit_marked().await?;
    kernel::reflect(&bridges(mesh, picture.node)).await?;
    let carried = carriers.settle(mesh, picture, key).await;
    let apart = carried.as_ref().ok().cloned().unwrap_or_default();
    let mut hops = hops(mesh, picture.node, &picture.nodes, &apart);
    if carried.is_err() {
        // What is to be encrypted has no way then; what is not keeps the one that it has.
        hops.retain(|_, hop| *hop == Hop::Nobody);
    }
    if !hops.is_empty() || carried.is_ok() {
        kernel.set_routes(&hops).await?;
    }
    kernel.forget_flows(flows::kept(mesh, picture.node)).await?;
    carried.map(drop)
}
