//! Services whose containers are built upon each other: they come in the same number, so that copy `k` of one
//! finds copy `k` of the other.

use crate::{Refusal, ServiceName, ServiceSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Services by name, each with all that belong together with it, itself included.
type Together<'s> = BTreeMap<&'s ServiceName, BTreeSet<&'s ServiceName>>;

/// The groups of services that belong together; those that share nothing are not listed.
pub(super) fn together<'s>(
    services: impl Iterator<Item = (&'s ServiceName, &'s ServiceSpec)>,
) -> Together<'s> {
    let mut together = Together::new();
    for (name, spec) in services {
        for share in &spec.shares_with {
            let mut all = BTreeSet::from([name, &share.service]);
            for one in [name, &share.service] {
                all.extend(together.get(one).into_iter().flatten().copied());
            }
            for one in &all {
                together.insert(one, all.clone());
            }
        }
    }
    together
}

/// The number of copies asked of each service. Where services belong together one number counts for all:
/// what the file says, else what is the case. Refuses what cannot be equal.
pub(super) fn counts(
    services: &BTreeMap<ServiceName, Arc<ServiceSpec>>,
    is: impl Fn(&ServiceName) -> Option<u32>,
) -> Result<BTreeMap<&ServiceName, Option<u32>>, Refusal> {
    let together = together(services.iter().map(|(name, spec)| (name, &**spec)));
    let mut counts = BTreeMap::new();
    for (name, spec) in services {
        let Some(all) = together.get(name) else {
            counts.insert(name, spec.mode.count());
            continue;
        };
        let others = || all.iter().filter_map(|other| services.get_key_value(*other));
        let said = others().filter_map(|(other, s)| s.mode.count().map(|n| (other, n)));
        let said: Vec<(&ServiceName, u32)> = said.collect();
        let unequal = said.windows(2).find(|two| two[0].1 != two[1].1).map(|two| two[1].0);
        let apart = || others().find(|(_, s)| s.mode.global() != spec.mode.global());
        if let Some(other) = unequal.or_else(|| apart().map(|(other, _)| other)) {
            return Err(Refusal::SharesApart { one: name.clone(), other: other.clone() });
        }
        let was = all.iter().filter_map(|other| is(other)).max();
        counts.insert(name, said.first().map(|(_, n)| *n).or(was));
    }
    Ok(counts)
}
