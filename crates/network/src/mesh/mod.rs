//! The node's part of the mesh in the kernel: routes to the subnets of other nodes, and a table of rules of our
//! own. Both are derived as a whole from the picture ([`rules`], [`routes`]: pure), compared with what the
//! kernel has, and put right where they differ: after a new picture, and now and then, because people and
//! engines change rules too.

mod kernel;
mod ports;
mod routes;
mod rules;

use crate::core::Core;
use crate::limits::MESH_CHECK;
use crate::picture::{Current, Picture};
use crate::remark::Remark;
use kernel::Kernel;
use model::{MeshView, NodeId, bridge_name};
use std::sync::Arc;
use tokio::sync::watch;

pub use kernel::{Trouble, ready, remove, taken};
pub use routes::{Hop, hops};
pub use rules::ruleset;

/// Keeps the kernel's part of the mesh as the picture in force wants it. Says what is in the way once, and
/// once that it is no longer.
pub(crate) async fn keep(core: Arc<Core>, mut pictures: watch::Receiver<Arc<Current>>) {
    let mut kernel = Kernel::default();
    let mut trouble = None;
    loop {
        let current = Arc::clone(&pictures.borrow_and_update());
        let done = match current.picture.as_ref() {
            Some(picture) => settle(&mut kernel, picture).await,
            None => Ok(()),
        };
        let now = done.err().map(|t| t.to_string());
        if trouble != now {
            match &now {
                Some(why) => core.remark(&Remark::MeshTrouble { why: why.clone() }),
                None => core.remark(&Remark::MeshMended),
            }
            core.set_mesh_trouble(now.clone());
            trouble = now;
        }
        if let Ok(Err(_)) = tokio::time::timeout(MESH_CHECK, pictures.changed()).await {
            return;
        }
    }
}

fn bridges(mesh: &MeshView, node: NodeId) -> Vec<String> {
    let here = mesh.networks.iter().filter_map(|network| network.subnets.get(&node));
    here.map(|subnet| bridge_name(mesh.mesh.number(*subnet))).collect()
}

async fn settle(kernel: &mut Kernel, picture: &Picture) -> Result<(), Trouble> {
    let Some(mesh) = &picture.mesh else { return Ok(()) };
    kernel.load_rules(&ruleset(mesh, picture.node)).await?;
    kernel.admit_marked().await?;
    kernel::reflect(&bridges(mesh, picture.node)).await?;
    kernel.set_routes(&hops(mesh, picture.node, &picture.nodes)).await
}
