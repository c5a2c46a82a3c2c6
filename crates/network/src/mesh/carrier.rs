//! What carries packets to other hosts, as far as that is more than rules and routes.

use super::kernel::{self, Encryption, Trouble};
use super::peers::peers;
use super::routes::{WIRE, address, hosts};
use super::wireguard::{self, Wire};
use crate::picture::Picture;
use model::limits::MESH_PORT;
use model::{Carrier, MeshView};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;

/// The carrier in use.
#[derive(Default)]
pub(super) struct Carriers {
    wire: Option<Wire>,
}

impl Carriers {
    /// Has packets carried as the picture wants it. `key` is where the node's key lies. Returns the hosts that are
    /// reached through a tunnel because they share no segment with this one.
    pub(super) async fn settle(
        &mut self,
        mesh: &MeshView,
        picture: &Picture,
        key: &Path,
    ) -> Result<BTreeSet<Ipv4Addr>, Trouble> {
        match mesh.mesh.carrier {
            Carrier::Direct => {
                self.wire = None;
                tunnels(mesh, picture).await
            }
            Carrier::Encrypted => {
                let wire = self.wire(key).await.map_err(|why| Trouble::Encryption { why })?;
                wire.set(&peers(mesh, picture.node, &picture.nodes));
                Ok(BTreeSet::new())
            }
        }
    }

    /// The one that is there if it works and has the key in the file, else a new one.
    async fn wire(&mut self, path: &Path) -> Result<&Wire, Encryption> {
        let secret = wireguard::read(path)?;
        let secret = secret.ok_or_else(|| Encryption::NoKey { path: path.to_owned() })?;
        let key = wireguard::public(&secret);
        self.wire = self.wire.take().filter(|wire| wire.works() && wire.key() == key);
        if self.wire.is_none() {
            // It makes runtimes, which must not be dropped on one, should it fail.
            let start = tokio::task::spawn_blocking(|| Wire::start(WIRE, MESH_PORT, secret));
            let wire = start.await.unwrap_or_else(|panic| Err(panic.into()));
            self.wire = Some(wire.map_err(|source| Encryption::Refused { source })?);
        }
        Ok(self.wire.as_ref().expect("made above"))
    }
}

/// Keeps tunnels to the hosts that share no segment with this one.
async fn tunnels(mesh: &MeshView, picture: &Picture) -> Result<BTreeSet<Ipv4Addr>, Trouble> {
    let Some(here) = picture.nodes.iter().find(|n| n.id == picture.node).and_then(address) else {
        return Ok(BTreeSet::new());
    };
    let apart = kernel::apart(&hosts(mesh, picture.node, &picture.nodes)).await?;
    kernel::set_tunnels(here, &apart).await?;
    Ok(apart)
}
