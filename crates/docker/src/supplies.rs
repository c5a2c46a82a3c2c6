//! What a container needs before it can be made: its project's network and its volumes. Also their
//! removal. What does not bear the cluster's label is left alone.

use crate::engine::SHORT;
use crate::failure::within;
use crate::{Engine, Failure};
use agent::{ActionResult, Create, CreateMountSource, Network, NetworkPlace, label};
use bollard::models::{
    Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect, VolumeCreateRequest,
};
use bollard::query_parameters::RemoveVolumeOptions;
use model::ProjectName;
use std::collections::BTreeMap;
use std::time::Duration;

/// Options of a driver, as the engine takes them.
#[expect(clippy::disallowed_types, reason = "the engine's client takes no other map")]
type Options = std::collections::HashMap<String, String>;

/// Deadline of making a network or a volume: drivers may talk to a network of their own.
const MAKE: Duration = Duration::from_secs(30);

impl Engine {
    /// Makes what is missing. `Err` is the answer to the whole action.
    pub(crate) async fn supply(&self, create: &Create) -> Result<(), ActionResult> {
        for mount in &create.mounts {
            if let CreateMountSource::Volume { .. } = mount.source {
                self.supply_volume(&mount.source).await?;
            }
        }
        self.supply_network(&create.network).await.map_err(Failure::into_result)
    }

    async fn supply_volume(&self, source: &CreateMountSource) -> Result<(), ActionResult> {
        let CreateMountSource::Volume { volume, name, spec, labels, must_exist } = source else {
            return Ok(());
        };
        let client = self.client().await.map_err(Failure::into_result)?;
        match within(SHORT, client.inspect_volume(name)).await {
            Ok(_) => return Ok(()),
            Err(failure) if !failure.not_found() => return Err(failure.into_result()),
            Err(_) if *must_exist && spec.external_name.is_some() => {
                return Err(ActionResult::Never(format!(
                    "volume {name} is declared external and does not exist on this node"
                )));
            }
            Err(_) if *must_exist => {
                return Err(ActionResult::Never(format!(
                    "volume {volume} ({name}) held data and is gone from this node; an empty one does not take its place"
                )));
            }
            Err(_) => {}
        }
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            driver: (!spec.driver.is_empty()).then(|| spec.driver.clone()),
            driver_opts: Some(spec.options.clone().into_iter().collect()),
            labels: Some(labels.clone().into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        let made = within(MAKE, client.create_volume(request)).await;
        made.map(drop).map_err(|failure| match failure.into_result() {
            ActionResult::Never(why) => ActionResult::Never(format!("volume {name}: {why}")),
            other => other,
        })
    }

    async fn supply_network(&self, network: &Network) -> Result<(), Failure> {
        let _one_at_a_time = self.lock_networks().await;
        let client = self.client().await?;
        match within(SHORT, client.inspect_network(&network.name, None)).await {
            Ok(found) if fits(&found, network) => return Ok(()),
            // Left from an earlier deploy; the engine refuses while something uses it.
            Ok(found) if self.is_ours(found.labels.clone().into_iter().flatten()) => {
                within(MAKE, client.remove_network(&network.name)).await?;
            }
            Ok(_) => return Ok(()),
            Err(failure) if !failure.not_found() => return Err(failure),
            Err(_) => {}
        }
        let options = match &network.place {
            Some(place) => Some(self.bridge_options(place).await?),
            None => None,
        };
        let request = NetworkCreateRequest {
            name: network.name.clone(),
            driver: Some("bridge".to_owned()),
            labels: Some(network.labels.clone().into_iter().collect()),
            ipam: network.place.as_ref().map(ipam),
            options,
            ..NetworkCreateRequest::default()
        };
        match within(MAKE, client.create_network(request)).await {
            Err(failure) if failure.conflict() => Ok(()),
            other => other.map(drop),
        }
    }

    /// Its packets leave masqueraded by the mesh's own rules, those to other hosts' containers as they are.
    async fn bridge_options(&self, place: &NetworkPlace) -> Result<Options, Failure> {
        let said = within(SHORT, self.client().await?.version()).await?;
        let mut options = Options::from([
            ("com.docker.network.bridge.name".to_owned(), place.bridge.clone()),
            ("com.docker.network.bridge.enable_ip_masquerade".to_owned(), "false".to_owned()),
        ]);
        if said.api_version.is_some_and(|version| guards_addresses(&version)) {
            // Otherwise the engine drops all that comes to a container from another host.
            let open = "nat-unprotected".to_owned();
            options.insert("com.docker.network.bridge.gateway_mode_ipv4".to_owned(), open);
        }
        if let Some(mtu) = place.mtu {
            options.insert("com.docker.network.driver.mtu".to_owned(), mtu.to_string());
        }
        Ok(options)
    }

    /// Removes all networks of a project.
    pub(crate) async fn remove_networks(&self, project: &ProjectName) -> Result<(), Failure> {
        let _one_at_a_time = self.lock_networks().await;
        let client = self.client().await?;
        for network in self.networks().await? {
            let labels = network.labels.unwrap_or_default();
            let ours = labels.get(label::PROJECT).map(String::as_str) == Some(project.as_str());
            let Some(id) = network.id.filter(|_| ours) else { continue };
            match within(MAKE, client.remove_network(&id)).await {
                Err(failure) if !failure.not_found() => return Err(failure),
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) async fn remove_volume(&self, name: &str) -> Result<(), Failure> {
        let client = self.client().await?;
        let found = match within(SHORT, client.inspect_volume(name)).await {
            Err(failure) if failure.not_found() => return Ok(()),
            other => other?,
        };
        if !self.is_ours(found.labels) {
            return Ok(());
        }
        match within(MAKE, client.remove_volume(name, None::<RemoveVolumeOptions>)).await {
            Err(failure) if failure.not_found() => Ok(()),
            other => other,
        }
    }

    fn is_ours(&self, labels: impl IntoIterator<Item = (String, String)>) -> bool {
        let labels: BTreeMap<String, String> = labels.into_iter().collect();
        labels.get(label::CLUSTER) == Some(&self.cluster().0)
    }
}

/// Whether a network that exists is what is asked for.
fn fits(found: &NetworkInspect, wanted: &Network) -> bool {
    let Some(place) = &wanted.place else { return true };
    let pools = found.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten());
    let subnet = place.subnet.to_string();
    pools.filter_map(|pool| pool.subnet.as_ref()).any(|s| *s == subnet)
}

fn ipam(place: &NetworkPlace) -> Ipam {
    let pool = IpamConfig {
        subnet: Some(place.subnet.to_string()),
        gateway: Some(place.subnet.gateway().to_string()),
        ..IpamConfig::default()
    };
    Ipam { config: Some(vec![pool]), ..Ipam::default() }
}

/// Whether an engine with this version of its interface keeps other hosts from containers' addresses unless
/// told otherwise: since Docker Engine 28.
fn guards_addresses(version: &str) -> bool {
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(1), Some(48))
}

#[cfg(test)]
mod tests {
    use super::guards_addresses;

    #[test]
    fn engines_that_guard_addresses_are_told_apart() {
        for (version, guards) in [("1.41", false), ("1.47", false), ("1.48", true), ("2.0", true)] {
            assert_eq!(guards_addresses(version), guards, "{version}");
        }
    }
}
