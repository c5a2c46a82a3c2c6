//! Commands about projects: deploying, scaling, removing.

use super::{Now, depends, shares};
use crate::limits::{PROJECTS, REPLICAS, RESERVED_PORTS, SERVICES_PER_PROJECT};
use crate::{
    Deploy, Event, Outcome, Port, PortMode, Project, ProjectName, Refusal, Remove, Scale, Service,
    ServiceId, ServiceName, ServiceSpec, State, Volume, VolumeKey,
};
use imbl::{OrdMap, OrdSet};
use std::collections::{BTreeMap, BTreeSet};
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
        self.refuse_contents(deploy)?;
        let joined = self.join_networks(deploy)?;
        let counts = shares::counts(&deploy.spec.services, |service| {
            self.service(name, service).filter(|s| !s.global()).map(|s| s.scale)
        })?;
        self.refuse_powers(now, deploy)?;
        let mut project = self.projects.get(name).cloned().unwrap_or_else(|| Project {
            name: name.clone(),
            generation: 0,
            release: 0,
            deployed: now.wall,
            services: OrdMap::new(),
            volumes: OrdMap::new(),
            networks: OrdMap::new(),
            joined: OrdMap::new(),
            source: Arc::from(""),
            logins: OrdMap::new(),
            powers: OrdSet::new(),
        });
        project.generation += 1;
        project.release += 1;
        project.deployed = now.wall;
        project.source = Arc::from(deploy.spec.source.as_str());
        project.volumes = deploy.spec.volumes.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        project.powers = deploy.powers.iter().cloned().collect();
        project.networks = deploy.spec.networks.clone().into_iter().collect();
        project.joined = joined;
        project.logins.extend(deploy.logins.iter().map(|(k, v)| (k.clone(), v.clone())));
        for (service, id) in project.services.clone() {
            if !deploy.spec.services.contains_key(&service) {
                self.condemn(id);
                project.services.remove(&service);
            }
        }
        let (generation, release) = (project.generation, project.release);
        self.record(now, Event::Deployed { project: name.clone(), release });
        let again = self.once_again(name, deploy);
        let (mut scaled, mut changed) = (Vec::new(), Vec::new());
        for (position, (service, spec)) in deploy.spec.services.iter().enumerate() {
            let id = match project.services.get(service) {
                Some(id) => *id,
                None => new_service_id(now, position),
            };
            project.services.insert(service.clone(), id);
            let asked = counts.get(service).copied().flatten();
            let again = again.contains(service);
            let (is_new, moved) = self.wish(now, id, &project, (service, spec), again, asked);
            if is_new {
                changed.push(service.clone());
            }
            scaled.extend(moved.map(|(from, to)| (service.clone(), from, to)));
        }
        for id in project.services.values() {
            self.drop_unused_specs(*id);
        }
        self.projects.insert(name.clone(), project);
        self.keep_contents(&deploy.contents);
        self.collect_contents();
        Ok(Outcome::Accepted { generation, scaled, changed })
    }

    /// Services that are run once before others and are to be run anew: when the other one has a new
    /// generation, and when it was tried and did not end well.
    fn once_again(&self, project: &ProjectName, deploy: &Deploy) -> BTreeSet<ServiceName> {
        let is_new = |name: &ServiceName| {
            let spec = deploy.spec.services.get(name);
            let known = self.service(project, name);
            known.zip(spec).is_none_or(|(known, spec)| !known.spec().makes_same_task(spec))
        };
        let failed = |name: &ServiceName| {
            let slots = self.service(project, name).map(|s| &s.slots);
            slots.is_some_and(|slots| slots.values().any(|r| r.given_up && !r.completed))
        };
        let once = |spec: &ServiceSpec| spec.once.as_ref().map(|once| once.before.clone());
        let all = deploy.spec.services.iter().filter_map(|(name, s)| Some((name, once(s)?)));
        let again = all.filter(|(name, before)| is_new(before) || failed(name));
        again.map(|(name, _)| name.clone()).collect()
    }

    /// Records the wish for one service; `again`: although its tasks would be the same. Returns whether it has a new generation, and its count before
    /// and after when the file changed one that existed.
    fn wish(
        &mut self,
        now: Now,
        id: ServiceId,
        project: &Project,
        (name, spec): (&ServiceName, &Arc<ServiceSpec>),
        again: bool,
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
                newest_generation: 1,
                release: project.release,
                rollout: None,
                specs: OrdMap::unit(1, Arc::clone(spec)),
                scale: asked.unwrap_or(1),
                address: self.free_virtual(),
                removed: false,
                one_off: false,
                slots: OrdMap::new(),
            };
            self.services.insert(id, service);
            return (true, None);
        };
        let is_new = again || !service.spec().makes_same_task(spec);
        if is_new {
            self.begin_rollout(now, &mut service, spec, project.release);
        } else {
            self.confirm_rollout(now, &mut service, project.release);
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
            if service.spec().once.is_some() {
                return Err(Refusal::OnceHasNoScale(name.clone()));
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
        self.refuse_unjoining(&remove.project, |_| false)?;
        let project = self
            .projects
            .remove(&remove.project)
            .ok_or_else(|| Refusal::NoProject(remove.project.clone()))?;
        let runs: Vec<ServiceId> = self.runs_of(&remove.project).map(|s| s.id).collect();
        for id in project.services.values().chain(&runs) {
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

    pub(super) fn condemn(&mut self, id: ServiceId) {
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
            && self.networking.same_networks(&other.networking)
            && self.shares_with == other.shares_with
            && host_ports(self) == host_ports(other)
    }
}
