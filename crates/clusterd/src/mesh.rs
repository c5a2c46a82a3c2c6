//! The network that containers share across hosts: how the first command of a cluster chooses it, and this node's
//! key for it.

use crate::folder::{self, Folder};
use anyhow::{Context, bail};
use model::{Carrier, Mesh, MeshKey, POOL_PREFIXES, Subnet};
use tracing::warn;

/// Used when the founder names no other: of the private addresses (RFC 1918) the part that is used least.
const POOL: &str = "10.128.0.0/10";

/// The mesh that a founder asks for, by carrier and pool; `None` for none. Refused where this host could not
/// take part in it.
pub(crate) async fn chosen(carrier: &str, pool: &str) -> anyhow::Result<Option<Mesh>> {
    let Some(mesh) = read(carrier, pool)? else { return Ok(None) };
    network::mesh::ready(mesh.carrier).await.context(
        "containers cannot reach each other across hosts; or found the cluster with --mesh none",
    )?;
    if let Some(route) = network::mesh::taken(mesh.pool).await? {
        bail!(
            "the pool {} is in use on this host already (`ip route` shows \"{route}\"); choose another with --pool",
            mesh.pool
        );
    }
    Ok(Some(mesh))
}

fn read(carrier: &str, pool: &str) -> anyhow::Result<Option<Mesh>> {
    let carrier = match carrier {
        "direct" => Carrier::Direct,
        "" | "encrypted" => Carrier::Encrypted,
        "none" if pool.is_empty() => return Ok(None),
        "none" => bail!("--pool: without a mesh there is no pool of addresses"),
        other => bail!("--mesh {}: choose direct, encrypted or none", other.escape_debug()),
    };
    let pool: Subnet = if pool.is_empty() { POOL } else { pool }.parse().context("--pool")?;
    if !POOL_PREFIXES.contains(&pool.prefix()) {
        let (least, most) = (POOL_PREFIXES.start(), POOL_PREFIXES.end());
        bail!("--pool {pool}: the number behind the slash must be {least} to {most}");
    }
    Ok(Some(Mesh { pool, carrier }))
}

/// How this node is known on an encrypted mesh. The first time its key is made; `None`, with a line in the log,
/// where that can be neither read nor made.
pub(crate) fn key(folder: &Folder) -> Option<MeshKey> {
    match kept_key(folder) {
        Ok(key) => Some(key),
        Err(why) => {
            warn!(why = format!("{why:#}"), "this node has no key for an encrypted mesh");
            None
        }
    }
}

fn kept_key(folder: &Folder) -> anyhow::Result<MeshKey> {
    let path = folder.mesh_key();
    if let Some(key) = network::mesh::read_key(&path)? {
        return Ok(key);
    }
    let key = network::mesh::new_key(identity::random::fill);
    folder::write(&path, key.text.as_bytes(), 0o600)?;
    Ok(key.public)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_founder_may_choose() {
        let pool = |carrier, pool| read(carrier, pool).unwrap().map(|m| m.pool.to_string());
        assert_eq!(pool("", "").as_deref(), Some(POOL));
        assert_eq!(pool("direct", "172.20.0.0/16").as_deref(), Some("172.20.0.0/16"));
        assert_eq!(pool("none", ""), None);
        for (carrier, pool, said) in [
            ("vxlan", "", "direct, encrypted or none"),
            ("none", "10.0.0.0/8", "no pool"),
            ("", "10.0.0.0/24", "8 to 16"),
            ("", "10.0.0.1/16", "--pool"),
        ] {
            let why = format!("{:#}", read(carrier, pool).unwrap_err());
            assert!(why.contains(said), "{why}");
        }
    }
}
