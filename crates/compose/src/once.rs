//! What is run once before a service, whatever its number of replicas (`pre_start` with `per_replica: false`):
//! each such step becomes a job of its own that the service waits for, so that the cluster's rules for
//! jobs and for start order hold. Such services are never written to the canonical document.

use crate::reader::Reader;
use crate::tree::Place;
use model::{Dependency, DependencyCondition, Once, PreStart, ServiceName, ServiceSpec};
use std::collections::BTreeMap;

/// Adds the jobs of all services. `at` holds where the services stand.
pub(crate) fn derive(
    r: &mut Reader<'_>,
    services: &mut BTreeMap<ServiceName, ServiceSpec>,
    at: &BTreeMap<ServiceName, Place>,
) {
    for name in services.keys().cloned().collect::<Vec<_>>() {
        let spec = services[&name].clone();
        let steps = spec.container.hooks.pre_start.iter().filter(|step| step.once);
        let mut depends_on = spec.depends_on.clone();
        for (i, step) in steps.enumerate() {
            let place = at.get(&name).copied().unwrap_or(Place::whole(0));
            let Some(job_name) = named(r, &name, i, services, place) else { continue };
            services.insert(job_name.clone(), job(&name, &spec, step, depends_on.clone()));
            depends_on.push(Dependency {
                service: job_name,
                condition: DependencyCondition::Completed,
                required: true,
                restart: false,
            });
        }
        if let Some(service) = services.get_mut(&name) {
            service.depends_on = depends_on;
        }
    }
}

/// `web-pre-start`, `web-pre-start-2`, ...
fn named(
    r: &mut Reader<'_>,
    service: &ServiceName,
    i: usize,
    services: &BTreeMap<ServiceName, ServiceSpec>,
    at: Place,
) -> Option<ServiceName> {
    let number = if i == 0 { String::new() } else { format!("-{}", i + 1) };
    let text = format!("{service}-pre-start{number}");
    match text.parse::<ServiceName>() {
        Err(_) => {
            let message = format!("`{text}`, as its `pre_start` is called, is too long for a name");
            r.log.refuse(at, message, "give the service a shorter name");
            None
        }
        Ok(name) if services.contains_key(&name) => {
            let message = format!("`{service}` and its `pre_start` need the name `{name}`");
            r.log.refuse(at, message, "give the other service of that name another one");
            None
        }
        Ok(name) => Some(name),
    }
}

fn job(
    before: &ServiceName,
    of: &ServiceSpec,
    step: &PreStart,
    depends_on: Vec<Dependency>,
) -> ServiceSpec {
    let once = Once { before: before.clone(), on_unknown: step.on_unknown };
    of.run_once(of.container.clone().for_step(step), depends_on, once)
}
