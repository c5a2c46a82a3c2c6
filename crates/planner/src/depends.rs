//! After whom: a copy starts once the services that its own depends on are in the condition asked for.
//!
//! A service that never ran, and an update, wait until that is so: all of what is wished of the other
//! service runs in its current generation, is healthy, or has completed. A service that ran before only
//! loses by waiting: a copy that replaces a lost one waits just for what is being replaced itself, never for
//! what waits in its turn. It all follows from the state, so a new leader goes on where the old one was.
//!
//! Never chooses a count or a node.

use crate::Reason;
use crate::draft::Draft;
use crate::jobs::done;
use crate::lost::out_of_reach;
use crate::scale::wish;
use crate::tables::{Group, Held, Tables};
use model::{DependencyCondition, ServiceName, ServiceSpec, Slot, Wanted};
use std::collections::{BTreeMap, BTreeSet};

/// How a service stands for those that depend on it.
#[derive(Clone, Copy, Debug, Default)]
struct Stand {
    /// Slots that are wished for.
    wished: usize,
    /// Of them, with a task of the current generation that was started, or has completed.
    started: usize,
    /// Of them, with one that serves.
    healthy: usize,
    /// Of them, with one that ended well.
    completed: usize,
    /// Of whatever generation, one serves.
    serves: bool,
    /// One starts, or stops to make room for another.
    coming: bool,
}

impl Stand {
    fn new(t: &Tables<'_>, g: &Group<'_>) -> Self {
        let wish = wish(t, g);
        let kept = wish.kept.iter().map(|copies| (copies[0].slot, *copies));
        let mut stand = Self::default();
        for (slot, copies) in kept.chain(wish.missing.iter().map(|m| (m.slot, m.copies))) {
            stand.count(t, g, slot, copies);
        }
        stand.wished += wish.missing.iter().map(|m| m.more as usize).sum::<usize>();
        stand
    }

    fn count(&mut self, t: &Tables<'_>, g: &Group<'_>, slot: Slot, copies: &[Held<'_>]) {
        let within_reach = |h: &&Held<'_>| h.calm() || out_of_reach(t, t.nodes[h.node]).is_none();
        let completed = done(g, slot, copies);
        let (mut started, mut healthy, mut holds) = (completed, false, false);
        for held in copies.iter().filter(within_reach) {
            let counts = held.task.live() && g.fresh(held.task);
            started |= counts && held.task.begun();
            healthy |= counts && held.task.serving();
            holds |= held.holds();
            self.serves |= held.task.serving();
        }
        self.wished += 1;
        self.started += usize::from(started);
        self.healthy += usize::from(healthy);
        self.completed += usize::from(completed);
        self.coming |= holds && !healthy && !completed;
    }

    /// Whether all that is asked is so.
    fn satisfies(&self, condition: DependencyCondition) -> bool {
        match condition {
            DependencyCondition::Started => self.started > 0 || self.wished == 0,
            DependencyCondition::Healthy => self.healthy == self.wished,
            DependencyCondition::Completed => self.completed == self.wished,
        }
    }

    /// Whether it is there for those that ran with it before.
    fn answers(&self, condition: DependencyCondition) -> bool {
        let runs = condition != DependencyCondition::Completed && self.serves;
        runs || self.satisfies(condition)
    }
}

/// How services stand for those that depend on them: each looked at once per pass, when first asked for.
#[derive(Debug, Default)]
pub(crate) struct Stands {
    by_group: BTreeMap<usize, Stand>,
    /// Services that get a copy in this pass, or wait for one that does.
    coming: BTreeSet<usize>,
}

impl Stands {
    /// Notes that a service gets a copy.
    pub(crate) fn comes(&mut self, group: usize) {
        self.coming.insert(group);
    }

    /// Whether a service gets a copy, has one that starts, or waits for one that does.
    pub(crate) fn comes_by_itself(&mut self, t: &Tables<'_>, group: usize) -> bool {
        self.of(t, group).coming
    }

    fn of(&mut self, t: &Tables<'_>, group: usize) -> Stand {
        let stand = self.by_group.entry(group).or_insert_with(|| Stand::new(t, &t.groups[group]));
        Stand { coming: stand.coming || self.coming.contains(&group), ..*stand }
    }
}

/// What an update waits for, if anything.
pub(crate) fn before_update(t: &Tables<'_>, group: usize, draft: &mut Draft) -> Option<Reason> {
    unmet(t, group, true, draft)
}

/// What new copies of a service wait for, if anything. To be asked of services in the order of
/// [`needed_first`], after those before have been placed.
pub(crate) fn before_start(t: &Tables<'_>, group: usize, draft: &mut Draft) -> Option<Reason> {
    let g = &t.groups[group];
    if g.spec.depends_on.is_empty() {
        return None;
    }
    unmet(t, group, !has_run(g), draft)
}

fn unmet(t: &Tables<'_>, group: usize, strictly: bool, draft: &mut Draft) -> Option<Reason> {
    let g = &t.groups[group];
    for dependency in &g.spec.depends_on {
        let Some(other) = t.neighbour(g.service, &dependency.service) else { continue };
        let (stand, condition) = (draft.stands.of(t, other), dependency.condition);
        // What is run once before a generation is run before every copy of it.
        let strictly = strictly || t.groups[other].spec.once.is_some();
        let waits = if strictly {
            !stand.satisfies(condition) && (dependency.required || stand.coming)
        } else {
            !stand.answers(condition) && stand.coming
        };
        if waits {
            if stand.coming {
                draft.stands.comes(group);
            }
            return Some(Reason::Dependency { service: dependency.service.clone(), condition });
        }
    }
    None
}

/// Whether a service ran before, so that it is known to do without what is gone since. What ended by itself
/// in an older generation is done with: its successor starts as if it were the first.
fn has_run(g: &Group<'_>) -> bool {
    let replaced = |h: &Held<'_>| h.task.live() || h.task.wanted == Wanted::Stop;
    let counts = |h: &Held<'_>| g.current(h.task) || replaced(h) && !g.spec.mode.job();
    g.tasks.iter().any(|h| h.calm() || h.task.running_since.is_some() && counts(h))
}

/// Services in an order in which those that others depend on, or are built upon, come first, otherwise as they come. Cycles,
/// which no deploy may have, are broken where they are entered.
pub(crate) fn needed_first(t: &Tables<'_>, groups: &[usize]) -> Vec<usize> {
    let (mut order, mut seen) = (Vec::with_capacity(groups.len()), BTreeSet::new());
    for group in groups {
        visit(t, *group, &mut seen, &mut order);
    }
    let asked: BTreeSet<&usize> = groups.iter().collect();
    order.retain(|group| asked.contains(group));
    order
}

fn visit(t: &Tables<'_>, group: usize, seen: &mut BTreeSet<usize>, order: &mut Vec<usize>) {
    if !seen.insert(group) {
        return;
    }
    let g = &t.groups[group];
    let depends = g.spec.depends_on.iter().filter_map(|d| t.neighbour(g.service, &d.service));
    for other in depends.chain(g.upon.iter().copied()) {
        visit(t, other, seen, order);
    }
    order.push(group);
}

/// Notes for each service when one that it restarts with was updated last, directly or through others that
/// restart with it.
pub(crate) fn note_renewals<'a>(t: &mut Tables<'a>) {
    let mut pairs: Vec<(usize, usize, &'a ServiceName)> = Vec::new();
    for (group, g) in t.groups.iter().enumerate().filter(|(_, g)| !g.service.removed) {
        let spec: &'a ServiceSpec = g.spec;
        for dependency in spec.depends_on.iter().filter(|d| d.restart) {
            let other = t.neighbour(g.service, &dependency.service);
            pairs.extend(other.map(|other| (group, other, &dependency.service)));
        }
    }
    let mut moved = !pairs.is_empty();
    while std::mem::take(&mut moved) {
        for (group, other, name) in &pairs {
            let Some(at) = renewed_at(&t.groups[*other]) else { continue };
            let later = t.groups[*group].renewed.is_none_or(|(before, _)| before < at);
            if later {
                t.groups[*group].renewed = Some((at, name));
                moved = true;
            }
        }
    }
}

/// Log index at which the copies of a service had to be made anew last, if ever.
fn renewed_at(g: &Group<'_>) -> Option<u64> {
    let updated = (g.service.newest_generation.max(g.service.generation) > 1)
        .then_some(g.service.generation_index);
    updated.max(g.renewed.map(|(at, _)| at))
}
