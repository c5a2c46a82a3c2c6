//! Networks that a deploy declares, and those of other projects that it joins.

use crate::limits::NETWORK_SETS;
use crate::{Deploy, NetworkKey, NetworkRefusal, NetworkSpec, ProjectName, Refusal, State};
use imbl::OrdMap;
use std::collections::{BTreeMap, BTreeSet};

impl State {
    /// The networks of other projects that a deploy joins, by name in its file. Refuses those that are not to
    /// be had, and what would pull a network from under other projects.
    pub(super) fn join_networks(
        &self,
        deploy: &Deploy,
    ) -> Result<OrdMap<String, NetworkKey>, Refusal> {
        let project = &deploy.spec.name;
        self.refuse_networks(deploy)?;
        self.refuse_unjoining(project, |key| {
            let called = self.network_spec(key).name_of(key);
            deploy.spec.networks.get(&key.network).is_some_and(|spec| {
                spec.attachable && !spec.external && spec.name_of(key) == called
            })
        })?;
        let external = deploy.spec.networks.iter().filter(|(_, spec)| spec.external);
        let found = external.map(|(local, spec)| {
            let name = spec.name.as_deref().unwrap_or(local);
            let key = self.attachable(project, name).ok_or_else(|| NetworkRefusal::Unknown {
                name: name.to_owned(),
                others: self.attachables(project).map(|(name, _)| name).collect(),
            })?;
            Ok((local.clone(), key))
        });
        found.collect::<Result<_, NetworkRefusal>>().map_err(Refusal::Network)
    }

    /// The networks that services of a project may join, by the name that it calls them.
    fn attachables(
        &self,
        project: &ProjectName,
    ) -> impl Iterator<Item = (String, NetworkKey)> + '_ {
        let project = project.clone();
        let others = self.projects.values().filter(move |p| p.name != project);
        others.flat_map(|p| {
            let open = p.networks.iter().filter(|(_, spec)| spec.attachable && !spec.external);
            open.map(|(network, spec)| {
                let key = NetworkKey::new(&p.name, network);
                (spec.name_of(&key), key)
            })
        })
    }

    fn attachable(&self, project: &ProjectName, name: &str) -> Option<NetworkKey> {
        self.attachables(project).find(|(known, _)| known == name).map(|(_, key)| key)
    }

    /// Refuses when another project is on a network of this one that it would not `keep`.
    pub(super) fn refuse_unjoining(
        &self,
        project: &ProjectName,
        keep: impl Fn(&NetworkKey) -> bool,
    ) -> Result<(), Refusal> {
        for other in self.projects.values().filter(|p| p.name != *project) {
            let joined = other.joined.values().filter(|key| key.project == *project);
            if let Some(key) = joined.into_iter().find(|key| !keep(key)) {
                let (network, by) = (key.clone(), other.name.clone());
                return Err(Refusal::Network(NetworkRefusal::InUse { network, by }));
            }
        }
        Ok(())
    }

    fn refuse_networks(&self, deploy: &Deploy) -> Result<(), Refusal> {
        let services = &deploy.spec.services;
        let sets: BTreeSet<Vec<&str>> = services.values().map(|s| s.network_names()).collect();
        if sets.len() > NETWORK_SETS {
            let what = "sets of networks in one project".to_owned();
            return Err(Refusal::Limit { what, limit: NETWORK_SETS as u64 });
        }
        let refuse = |refusal| Err(Refusal::Network(refusal));
        let special = |(_, spec): &(&String, &NetworkSpec)| spec.internal || spec.external;
        let Some(mesh) = self.mesh() else {
            return match deploy.spec.networks.iter().find(special) {
                Some((name, _)) => refuse(NetworkRefusal::NoMesh { network: name.clone() }),
                None => Ok(()),
            };
        };
        let mut names = BTreeMap::new();
        for (network, spec) in deploy.spec.networks.iter().filter(|(_, s)| s.attachable) {
            let key = NetworkKey::new(&deploy.spec.name, network);
            names.insert(spec.name_of(&key), key);
        }
        if let Some((name, taken_by)) =
            self.attachables(&deploy.spec.name).find(|(name, _)| names.contains_key(name))
        {
            return refuse(NetworkRefusal::NameTaken { name, taken_by });
        }
        for (service, spec) in services {
            let fixed = spec.networking.networks.values().filter_map(|joined| joined.address);
            if let Some(address) = fixed.into_iter().find(|a| mesh.pool.contains(*a)) {
                let (service, pool) = (service.clone(), mesh.pool);
                return refuse(NetworkRefusal::InPool { service, address, pool });
            }
        }
        Ok(())
    }
}
