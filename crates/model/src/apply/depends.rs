//! What a project may say of the order in which its services start: every service that another cannot do
//! without is there, and none waits for itself.

use crate::{Refusal, ServiceName, ServiceSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Services = BTreeMap<ServiceName, Arc<ServiceSpec>>;

/// Refuses a service that depends on one that is not there, and services that wait for each other.
pub(super) fn refuse(services: &Services) -> Result<(), Refusal> {
    let needed =
        services.iter().flat_map(|(name, s)| needs(s).map(move |(on, must)| (name, on, must)));
    let mut missing = needed.filter(|(_, on, must)| *must && !services.contains_key(*on));
    if let Some((service, on, _)) = missing.next() {
        return Err(Refusal::NoDependency { service: service.clone(), on: on.clone() });
    }
    let (mut done, mut path) = (BTreeSet::new(), Vec::new());
    services.keys().try_for_each(|service| follow(services, service, &mut done, &mut path))
}

/// Services that one depends on or is built upon, and whether it cannot do without.
fn needs(spec: &ServiceSpec) -> impl Iterator<Item = (&ServiceName, bool)> {
    let depends = spec.depends_on.iter().map(|d| (&d.service, d.required));
    depends.chain(spec.shares_with.iter().map(|s| (&s.service, true)))
}

/// Follows one service to all that it depends on. Deep as the longest chain: at most as many as a project
/// may have services.
fn follow<'s>(
    services: &'s Services,
    service: &'s ServiceName,
    done: &mut BTreeSet<&'s ServiceName>,
    path: &mut Vec<&'s ServiceName>,
) -> Result<(), Refusal> {
    if let Some(from) = path.iter().position(|s| *s == service) {
        let cycle = path[from..].iter().copied().chain([service]).cloned().collect();
        return Err(Refusal::DependencyCycle(cycle));
    }
    let Some(spec) = services.get(service).filter(|_| !done.contains(service)) else {
        return Ok(());
    };
    path.push(service);
    needs(spec).try_for_each(|(on, _)| follow(services, on, done, path))?;
    path.pop();
    done.insert(service);
    Ok(())
}
