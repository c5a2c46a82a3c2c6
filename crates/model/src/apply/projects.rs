//! Commands about projects: deploying, scaling, removing.

use super::{Now, depends, shares};
use crate::limits::{PROJECTS, REPLICAS, RESERVED_PORTS, SERVICES_PER_PROJECT};
use crate::{
    Deploy, Event, Outcome, Port, PortMode, Project, ProjectName, Refusal, Remove, Scale, Service,
    ServiceId, ServiceName, ServiceSpec, State, Volume, VolumeKey,
};
use imbl::{OrdMap, OrdSet};
use std::collections::BTreeMap;
use std::sync::Arc;

type Applied = Result<Outcome, Refusal>;

impl State {
    pub(super) fn deploy(&mut self, now: Now, deploy: &Deploy) -> Applied {
        let name = &deploy.spec.name;
        self.refuse_moved(name, deploy.seen)?;
        self.refuse_limits(deploy)?;
        self.refuse_ports(deploy)?;
        self.refuse_http(name, &deploy.spec.services)?;
        depends::refuse(&deploy.spec.services)?;
        let counts = shares::counts(&deploy.spec.services, |service| {
            self.service(name, service).filter(|s| !s.global()).map(|s| s.scale)
        })?;
        let mut project = self.projects.get(name).cloned().unwrap_or_else(|| Project {
            name: name.clone(),
            generation: 0,
            release: 0,
            deployed: now.wall,
            services: OrdMap::new(),
            volumes: OrdMap::new(),
            source: Arc::from(""),
            logins: OrdMap::new(),
        });
        project.generation += 1;
        project.release += 1;
        project.deployed = now.wall;
        project.source = Arc::from(deploy.spec.source.as_str());
        project.volumes = deploy.spec.volumes.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        project.logins.extend(deploy.logins.iter().map(|(k, v)| (k.clone(), v.clone())));
        for (service, id) in project.services.clone() {
            if !deploy.spec.services.contains_key(&service) {
                self.condemn(id);
                project.services.remove(&service);
            }
        }
        let (generation, release) = (project.generation, project.release);
        self.record(now, Event::Deployed { project: name.clone(), release });
        let (mut scaled, mut changed) = (Vec::new(), Vec::new());
        for (position, (service, spec)) in deploy.spec.services.iter().enumerate() {
            let id = match project.services.get(service) {
                Some(id) => *id,
                None => new_service_id(now, position),
            };
            project.services.insert(service.clone(), id);
            let asked = counts.get(service).copied().flatten();
            let (is_new, moved) = self.wish(now, id, &project, service, spec, asked);
            if is_new {
                changed.push(service.clone());
            }
            scaled.extend(moved.map(|(from, to)| (service.clone(), from, to)));
        }
        self.projects.insert(name.clone(), project);
        Ok(Outcome::Accepted { generation, scaled, changed })
    }

    /// Records the wish for one service. Returns whether it has a new generation, and its count before
    /// and after when the file changed one that existed.
    fn wish(
        &mut self,
        now: Now,
        id: ServiceId,
        project: &Project,
        name: &ServiceName,
        spec: &Arc<ServiceSpec>,
        asked: Option<u32>,
    ) -> (bool, Option<(u32, u32)>) {
        let Some(mut service) = self.services.get(&id).cloned() else {
            let service = Service {
                id,
                project: project.name.clone(),
                name: name.clone(),
                generation: 1,
                generation_at: now.at,
                generation_index: now.index,
                specs: OrdMap::unit(1, Arc::clone(spec)),
                scale: asked.unwrap_or(1),
                removed: false,
                slots: OrdMap::new(),
            };
            self.services.insert(id, service);
            return (true, None);
        };
        let is_new = !service.spec().makes_same_task(spec);
        if is_new {
            service.generation += 1;
            service.generation_at = now.at;
            service.generation_index = now.index;
            service.slots = OrdMap::new();
        }
        service.specs.insert(service.generation, Arc::clone(spec));
        let from = service.scale;
        service.scale = asked.unwrap_or(from);
        let to = service.scale;
        if from != to {
            let (project, service) = (project.name.clone(), name.clone());
            self.record(now, Event::Scaled { project, service, from, to });
        }
        self.services.insert(id, service);
        (is_new, (from != to).then_some((from, to)))
    }

    pub(super) fn scale(&mut self, now: Now, scale: &Scale) -> Applied {
        let mut project = self
            .projects
            .get(&scale.project)
            .cloned()
            .ok_or_else(|| Refusal::NoProject(scale.project.clone()))?;
        self.refuse_moved(&scale.project, scale.seen)?;
        let mut wishes = Vec::new();
        for (name, count) in &self.counts_of_all(&project, scale)? {
            let service = self.service(&scale.project, name).ok_or_else(|| Refusal::NoService {
                project: scale.project.clone(),
                service: name.clone(),
            })?;
            if service.global() {
                return Err(Refusal::GlobalHasNoScale(name.clone()));
            }
            if *count > REPLICAS {
                return Err(Refusal::Limit {
                    what: format!("replicas of {name}"),
                    limit: REPLICAS.into(),
                });
            }
            wishes.push((service.id, name.clone(), service.scale, *count));
        }
        let mut scaled = Vec::new();
        for (id, service, from, to) in wishes {
            if from == to {
                continue;
            }
            self.services[&id].scale = to;
            scaled.push((service.clone(), from, to));
            self.record(now, Event::Scaled { project: scale.project.clone(), service, from, to });
        }
        project.generation += 1;
        let generation = project.generation;
        self.projects.insert(scale.project.clone(), project);
        Ok(Outcome::Accepted { generation, scaled, changed: Vec::new() })
    }

    /// The counts asked for, those of services that belong together included.
    fn counts_of_all(
        &self,
        project: &Project,
        scale: &Scale,
    ) -> Result<BTreeMap<ServiceName, u32>, Refusal> {
        let specs = project.services.iter().filter_map(|(name, id)| {
            self.services.get(id).map(|service| (name, &**service.spec()))
        });
        let together = shares::together(specs);
        let mut counts = scale.counts.clone();
        for (name, count) in &scale.counts {
            for other in together.get(name).into_iter().flatten() {
                if *counts.entry((*other).clone()).or_insert(*count) != *count {
                    let (one, other) = (name.clone(), (*other).clone());
                    return Err(Refusal::SharesApart { one, other });
                }
            }
        }
        Ok(counts)
    }

    pub(super) fn remove(&mut self, now: Now, remove: &Remove) -> Applied {
        let project = self
            .projects
            .remove(&remove.project)
            .ok_or_else(|| Refusal::NoProject(remove.project.clone()))?;
        for id in project.services.values() {
            self.condemn(*id);
        }
        if remove.volumes {
            let condemned = |v: &Volume| Volume {
                condemned: v.condemned || v.key.project == remove.project,
                ..v.clone()
            };
            self.volumes =
                self.volumes.iter().map(|(key, v)| (key.clone(), condemned(v))).collect();
        }
        self.record(now, Event::Removed { project: remove.project.clone() });
        Ok(Outcome::Done)
    }

    fn condemn(&mut self, id: ServiceId) {
        if let Some(service) = self.services.get_mut(&id) {
            service.removed = true;
        }
    }

    fn refuse_moved(&self, project: &ProjectName, seen: Option<u64>) -> Result<(), Refusal> {
        let is = self.projects.get(project).map_or(0, |p| p.generation);
        match seen {
            Some(seen) if seen != is => Err(Refusal::Moved { project: project.clone(), seen, is }),
            _ => Ok(()),
        }
    }

    fn refuse_limits(&self, deploy: &Deploy) -> Result<(), Refusal> {
        let limit =
            |what: &str, limit: usize| Refusal::Limit { what: what.into(), limit: limit as u64 };
        if !self.projects.contains_key(&deploy.spec.name) && self.projects.len() >= PROJECTS {
            return Err(limit("projects", PROJECTS));
        }
        if deploy.spec.services.len() > SERVICES_PER_PROJECT {
            return Err(limit("services in one project", SERVICES_PER_PROJECT));
        }
        let too_many = |s: &Arc<ServiceSpec>| s.mode.count().is_some_and(|n| n > REPLICAS);
        if deploy.spec.services.values().any(too_many) {
            return Err(limit("replicas of one service", REPLICAS as usize));
        }
        Ok(())
    }

    /// Each published port belongs to one service in the whole cluster.
    fn refuse_ports(&self, deploy: &Deploy) -> Result<(), Refusal> {
        let mut taken: OrdMap<(u16, crate::Protocol), String> = OrdMap::new();
        for service in
            self.services.values().filter(|s| !s.removed && s.project != deploy.spec.name)
        {
            for port in &service.spec().ports {
                taken.insert((port.published, port.protocol), service.full_name());
            }
        }
        for (name, spec) in &deploy.spec.services {
            let wanted_by = format!("{}/{name}", deploy.spec.name);
            let own: OrdSet<&Port> = spec.ports.iter().collect();
            for port in own {
                if RESERVED_PORTS.contains(&port.published) {
                    return Err(Refusal::PortReserved { port: port.published, wanted_by });
                }
                if let Some(taken_by) = taken.get(&(port.published, port.protocol)) {
                    let (port, taken_by) = (port.published, taken_by.clone());
                    return Err(Refusal::PortTaken { port, wanted_by, taken_by });
                }
            }
            for port in &spec.ports {
                taken.insert((port.published, port.protocol), wanted_by.clone());
            }
        }
        Ok(())
    }

    /// Volumes of a project that is not deployed and that nothing uses any more, by key.
    pub fn orphaned_volumes(&self) -> impl Iterator<Item = &VolumeKey> {
        self.volumes.keys().filter(|k| !self.projects.contains_key(&k.project))
    }
}

/// Services made by one entry are numbered by their position: two to the tenth times the index leaves
/// room for `SERVICES_PER_PROJECT`.
fn new_service_id(now: Now, position: usize) -> ServiceId {
    ServiceId((now.index << 10) + position as u64)
}

impl ServiceSpec {
    /// Whether a task made from `other` would be no different: what is placed, how many there are and
    /// how they are replaced may change without a new generation.
    pub fn makes_same_task(&self, other: &Self) -> bool {
        let host_ports = |s: &Self| -> Vec<Port> {
            s.ports.iter().filter(|p| p.mode == PortMode::Host).copied().collect()
        };
        self.container == other.container
            && self.resources == other.resources
            && self.networks == other.networks
            && self.shares_with == other.shares_with
            && host_ports(self) == host_ports(other)
    }
}
