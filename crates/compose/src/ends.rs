//! Services that are expected to end: others wait until they have completed, or use the files that they carry.
//! In Compose nothing is started again unless the file says so, in a cluster everything is. A copy of these that
//! ended well stays ended, for otherwise nobody would ever see it done; one that failed is tried again.

use crate::reader::Reader;
use crate::tree::Place;
use model::{DependencyCondition, RestartCondition, ServiceName, ServiceSpec, SharedPart};
use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

/// Services that others wait for to complete, or whose mounts they use.
pub(crate) fn expected(
    services: &BTreeMap<ServiceName, impl Borrow<ServiceSpec>>,
) -> BTreeSet<ServiceName> {
    let specs = || services.values().map(Borrow::<ServiceSpec>::borrow);
    let files = specs().flat_map(|s| &s.shares_with);
    let files = files.filter(|s| matches!(s.what, SharedPart::Volumes { .. })).map(|s| &s.service);
    waited_for(specs()).chain(files).cloned().collect()
}

/// Services that others wait for to complete.
fn waited_for<'s>(
    specs: impl Iterator<Item = &'s ServiceSpec>,
) -> impl Iterator<Item = &'s ServiceName> {
    let all = specs.flat_map(|s| &s.depends_on);
    all.filter(|d| d.condition == DependencyCondition::Completed).map(|d| &d.service)
}

/// Lets those end of which the file does not say otherwise; `said` holds where it does.
pub(crate) fn settle(
    r: &mut Reader<'_>,
    services: &mut BTreeMap<ServiceName, ServiceSpec>,
    said: &BTreeMap<ServiceName, Place>,
) {
    let waited: BTreeSet<ServiceName> = waited_for(services.values()).cloned().collect();
    for name in expected(services) {
        let Some(spec) = services.get_mut(&name) else { continue };
        match said.get(&name) {
            None => spec.restart.condition = RestartCondition::OnFailure,
            Some(at)
                if waited.contains(&name) && spec.restart_condition() == RestartCondition::Any =>
            {
                let message = format!(
                    "others wait for `{name}` to complete, but it is started again whenever it ends"
                );
                r.log.warn(*at, message);
            }
            Some(_) => {}
        }
    }
}
