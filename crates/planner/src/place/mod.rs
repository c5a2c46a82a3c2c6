//! Where: finds a node for each opening. Filters say who may, rank says who should. Never chooses a count.
//!
//! Start with [`openings`]. `room` counts what nodes have left and keeps count while this plan places;
//! `filters` admit and explain; `rank` orders; `refers` knows who wants to be with whom; `home` ties a
//! service to the node of its volumes.

mod ask;
mod filters;
mod home;
mod rank;
mod refers;
mod room;

pub(crate) use filters::{closed, satisfies};
pub(crate) use room::Room;

use crate::depends;
use crate::draft::{Draft, Opening, slots};
use crate::tables::Tables;
use crate::together;
use crate::{Reason, Why};
use ask::Ask;
use model::{Change, Slot, VolumeKey};
use rank::Ranked;
use refers::Refers;
use std::collections::BTreeMap;

/// Finds nodes for all openings of the draft: services that others refer to or depend on come before those.
/// Those whose dependencies are not ready wait instead.
pub(crate) fn openings(t: &Tables<'_>, draft: &mut Draft) {
    if draft.openings.is_empty() {
        return;
    }
    let mut by_group: BTreeMap<usize, Vec<Opening>> = BTreeMap::new();
    for opening in std::mem::take(&mut draft.openings) {
        by_group.entry(opening.group).or_default().push(opening);
    }
    let groups: Vec<usize> = by_group.keys().copied().collect();
    let (mut room, refers) = (None, Refers::new(t));
    for group in depends::needed_first(t, &refers.referred_first(&groups)) {
        if !draft.fits(1) {
            return;
        }
        let openings = by_group.remove(&group).unwrap_or_default();
        if let Some(reason) = depends::before_start(t, group, draft) {
            all_wait(t, &openings, &reason, draft);
            continue;
        }
        let room = room.get_or_insert_with(|| Room::new(t));
        Batch::new(t, room, &refers, group).run(&openings, draft);
    }
}

fn all_wait(t: &Tables<'_>, openings: &[Opening], reason: &Reason, draft: &mut Draft) {
    for opening in openings {
        for slot in slots(opening.slot, opening.more) {
            draft.wait(t.groups[opening.group].service.id, slot, reason.clone());
        }
    }
}

/// The openings of one service.
struct Batch<'r, 'a> {
    t: &'r Tables<'a>,
    room: &'r mut Room<'a>,
    ask: Ask<'r, 'a>,
    /// Ordinary openings share one ranking, made when the first of them comes.
    ranked: Option<Ranked>,
    /// Why ordinary openings find no node, once one did not.
    nowhere: Option<Reason>,
    /// So many copies are made at most.
    most: usize,
}

impl<'r, 'a> Batch<'r, 'a> {
    fn new(t: &'r Tables<'a>, room: &'r mut Room<'a>, refers: &Refers, group: usize) -> Self {
        let ask = Ask::new(t, room, refers, group);
        Self { t, room, ask, ranked: None, nowhere: None, most: 0 }
    }

    fn run(mut self, openings: &[Opening], draft: &mut Draft) {
        let service = self.ask.g.service.id;
        self.most = openings.iter().map(|o| 1 + o.more as usize).sum::<usize>().min(draft.left());
        for opening in openings.iter().flat_map(Opening::one_by_one) {
            if !draft.fits(1) {
                return;
            }
            self.ask.turn_to(&opening);
            match self.find(&opening) {
                Ok(node) => self.take(&opening, node, draft),
                Err(reason) => {
                    draft.wait(service, opening.slot, reason);
                    self.t.read_at.into_iter().for_each(|at| draft.wake(at));
                }
            }
        }
    }

    /// A node for one opening.
    fn find(&mut self, opening: &Opening) -> Result<usize, Reason> {
        if let Some(reason) = together::before_start(self.t, self.ask.g, opening.slot) {
            return Err(reason);
        }
        if let Slot::Node(id) = opening.slot {
            return self.on_its_node(self.t.node_of(id));
        }
        if !self.ask.g.mates.is_empty() {
            return self.with_mates(opening);
        }
        if let Some((volume, node)) = home::of(self.t, self.room, self.ask.g)? {
            return self.at_home(volume, node);
        }
        if self.ask.is_ordinary() { self.next_best() } else { self.best_of_all() }
    }

    fn on_its_node(&self, node: Option<usize>) -> Result<usize, Reason> {
        let Some(node) = node else { return Err(Reason::gather(std::iter::empty())) };
        match filters::refusal_of_bound(self.t, &self.ask, self.room, node) {
            None => Ok(node),
            Some(why) => Err(Reason::Pinned { node: self.t.nodes[node].name.clone(), why }),
        }
    }

    fn at_home(&self, volume: VolumeKey, node: usize) -> Result<usize, Reason> {
        match filters::refusal_of_bound(self.t, &self.ask, self.room, node) {
            None => Ok(node),
            Some(why) => Err(Reason::Home { volume, node: self.t.nodes[node].name.clone(), why }),
        }
    }

    /// The node of what it is built upon; else that of others that belong to it, where it fits; else the best
    /// one that takes all of them.
    fn with_mates(&self, opening: &Opening) -> Result<usize, Reason> {
        let (g, slot) = (self.ask.g, opening.slot);
        let refused = |node| filters::refusal_of_bound(self.t, &self.ask, self.room, node);
        let mates = together::lacking(self.room, g, slot);
        let home = self.home_of_any(&mates)?;
        if let Some((with, node)) = together::bound_to(self.t, self.room, g, slot) {
            let elsewhere = home.filter(|(_, home)| *home != node);
            return match (refused(node), elsewhere) {
                (None, None) => Ok(node),
                (Some(why), _) => {
                    Err(Reason::Beside { with, node: self.t.nodes[node].name.clone(), why })
                }
                (None, Some((volume, home))) => {
                    let node = self.t.nodes[home].name.clone();
                    let why = Why::Constraint { rule: format!("being beside {with}").into() };
                    Err(Reason::Home { volume, node, why })
                }
            };
        }
        if let Some((volume, node)) = home {
            return self.at_home(volume, node);
        }
        let stays = together::staying(self.t, g, slot);
        match stays.filter(|node| filters::admit(&self.ask, self.room, *node)) {
            Some(node) => Ok(node),
            None => self.best_of_group(&mates),
        }
    }

    /// The home of the volumes of a service and of those that belong to it.
    fn home_of_any(&self, mates: &[usize]) -> Result<Option<(VolumeKey, usize)>, Reason> {
        let own = home::of(self.t, self.room, self.ask.g)?;
        let others = mates.iter().map(|mate| home::of(self.t, self.room, &self.t.groups[*mate]));
        own.map_or_else(
            || others.into_iter().find_map(Result::transpose).transpose(),
            |own| Ok(Some(own)),
        )
    }

    fn best_of_group(&self, mates: &[usize]) -> Result<usize, Reason> {
        let refusal = |n: usize| {
            let own = filters::refusal(&self.ask, self.room, n);
            own.or_else(|| filters::refusal_of_group(self.t, &self.ask, self.room, mates, n))
        };
        let nodes = 0..self.t.nodes.len();
        let takes = nodes.clone().filter(|n| refusal(*n).is_none());
        takes.min_by_key(|n| rank::full(&self.ask, self.room, *n)).ok_or_else(|| {
            let name = |mate: &usize| self.t.groups[*mate].service.name.clone();
            Reason::apart(mates.iter().map(name).collect(), nodes.filter_map(refusal))
        })
    }

    /// The best node from the shared ranking.
    fn next_best(&mut self) -> Result<usize, Reason> {
        if let Some(reason) = &self.nowhere {
            return Err(reason.clone());
        }
        let (ask, room, most) = (&self.ask, &*self.room, self.most);
        let ranked = self.ranked.get_or_insert_with(|| Ranked::new(ask, room, most));
        if let Some(node) = ranked.next(ask, room) {
            return Ok(node);
        }
        let reason = self.explain();
        self.nowhere = Some(reason.clone());
        Err(reason)
    }

    /// The best node for an opening that has wishes of its own.
    fn best_of_all(&self) -> Result<usize, Reason> {
        let admitted = (0..self.t.nodes.len()).filter(|n| filters::admit(&self.ask, self.room, *n));
        admitted.min_by_key(|n| rank::full(&self.ask, self.room, *n)).ok_or_else(|| self.explain())
    }

    fn explain(&self) -> Reason {
        let nodes = 0..self.t.nodes.len();
        Reason::gather(nodes.filter_map(|n| filters::refusal(&self.ask, self.room, n)))
    }

    /// Takes a node: everything placed after this knows of it.
    fn take(&mut self, opening: &Opening, node: usize, draft: &mut Draft) {
        let g = self.ask.g;
        let homes = home::lacking(self.t, self.room, g);
        if !draft.fits(1 + homes.len()) {
            return;
        }
        let id = self.t.nodes[node].id;
        for volume in homes {
            self.room.homes.insert(volume.clone(), node);
            draft.push(Change::Home { volume, node: id });
        }
        draft.push(Change::Create {
            service: g.service.id,
            generation: g.service.generation,
            slot: opening.slot,
            node: id,
            newest: opening.newest,
            cause: opening.cause.clone(),
        });
        self.room.take(opening.group, g.spec, node);
        draft.stands.comes(opening.group);
        if !g.mates.is_empty() {
            self.room.slots.insert((opening.group, opening.slot), node);
        }
        self.ask.took(node);
    }
}
