//! What a project may say of the order in which its services start: every service that another cannot do
//! without is there, and none waits for itself.

use crate::{Refusal, ServiceName, ServiceSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Services = BTreeMap<ServiceName, Arc<ServiceSpec>>;

/// Refuses a service that depends on one that is not there, and services that wait for each other.
pub(super) fn refuse(services: &Services) -> Result<(), Refusal> {
    let all = || services.iter().flat_map(|(name, s)| s.depends_on.iter().map(move |d| (name, d)));
    let missing = all().find(|(_, d)| d.required && !services.contains_key(&d.service));
    if let Some((service, dependency)) = missing {
        let (service, on) = (service.clone(), dependency.service.clone());
        return Err(Refusal::NoDependency { service, on });
    }
    let (mut done, mut path) = (BTreeSet::new(), Vec::new());
    services.keys().try_for_each(|service| follow(services, service, &mut done, &mut path))
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
    spec.depends_on.iter().try_for_each(|d| follow(services, &d.service, done, path))?;
    path.pop();
    done.insert(service);
    Ok(())
}
