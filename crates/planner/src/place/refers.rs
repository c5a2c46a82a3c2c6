//! Which services refer to which, by index: without a mesh, names resolve on one node only, so they are placed
//! together where they fit, those referred to first.

use crate::tables::Tables;
use std::collections::{BTreeMap, BTreeSet};

/// Which services refer to which. Services that nobody refers to, or that refer to none, are not listed.
pub(crate) struct Refers {
    to: BTreeMap<usize, Vec<usize>>,
    from: BTreeMap<usize, Vec<usize>>,
}

impl Refers {
    pub(crate) fn new(t: &Tables<'_>) -> Self {
        let mut refers = Self { to: BTreeMap::new(), from: BTreeMap::new() };
        // On the mesh it is all the same to them where the others are.
        if t.state.mesh().is_some() {
            return refers;
        }
        for (group, g) in t.groups.iter().enumerate().filter(|(_, g)| !g.service.removed) {
            let project = t.state.projects.get(&g.service.project);
            let index = |name| t.group_of(*project?.services.get(name)?);
            for other in g.spec.refers_to.iter().filter_map(index).filter(|o| *o != group) {
                refers.to.entry(group).or_default().push(other);
                refers.from.entry(other).or_default().push(group);
            }
        }
        refers
    }

    /// The services that one refers to.
    pub(crate) fn to(&self, group: usize) -> &[usize] {
        self.to.get(&group).map_or(&[], Vec::as_slice)
    }

    /// The services that refer to one.
    pub(crate) fn from(&self, group: usize) -> &[usize] {
        self.from.get(&group).map_or(&[], Vec::as_slice)
    }

    /// Services in an order in which those referred to come before those that refer to them. Cycles are
    /// broken where they are entered.
    pub(crate) fn referred_first(&self, groups: &[usize]) -> Vec<usize> {
        let mut order = Vec::with_capacity(groups.len());
        let mut seen = BTreeSet::new();
        for group in groups {
            self.visit(*group, &mut seen, &mut order);
        }
        order.retain(|g| groups.binary_search(g).is_ok());
        order
    }

    fn visit(&self, group: usize, seen: &mut BTreeSet<usize>, order: &mut Vec<usize>) {
        if !seen.insert(group) {
            return;
        }
        for other in self.to(group) {
            self.visit(*other, seen, order);
        }
        order.push(group);
    }
}
