//! What a container needs before it can be made: its project's network and its volumes. Also their
//! removal. What does not bear the cluster's label is left alone.

use crate::engine::SHORT;
use crate::failure::within;
use crate::{Engine, Failure};
use agent::{ActionResult, Create, CreateMountSource, Network, label};
use bollard::models::{NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::RemoveVolumeOptions;
use std::collections::BTreeMap;
use std::time::Duration;

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
            Ok(_) => return Ok(()),
            Err(failure) if !failure.not_found() => return Err(failure),
            Err(_) => {}
        }
        let request = NetworkCreateRequest {
            name: network.name.clone(),
            driver: Some("bridge".to_owned()),
            labels: Some(network.labels.clone().into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        match within(MAKE, client.create_network(request)).await {
            Err(failure) if failure.conflict() => Ok(()),
            other => other.map(drop),
        }
    }

    pub(crate) async fn remove_network(&self, name: &str) -> Result<(), Failure> {
        let _one_at_a_time = self.lock_networks().await;
        let client = self.client().await?;
        let found = match within(SHORT, client.inspect_network(name, None)).await {
            Err(failure) if failure.not_found() => return Ok(()),
            other => other?,
        };
        if !self.is_ours(found.labels.into_iter().flatten()) {
            return Ok(());
        }
        match within(MAKE, client.remove_network(name)).await {
            Err(failure) if failure.not_found() => Ok(()),
            other => other,
        }
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
