//! People at keyboards: they ask any host they reach, and ask again with the same request until they
//! have an answer or lose patience.

use crate::cluster::{Cluster, Happening};
use crate::log::Origin;
use model::{Command, NodeId, Outcome, RequestId};

/// How long somebody waits for an answer before asking again, in milliseconds.
const AGAIN: u64 = 1_500;
/// After how long a request that nobody took is repeated, in milliseconds.
const RETRY: u64 = 200;
/// When they give up.
const PATIENCE: u64 = 60_000;

/// What somebody asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    command: Command,
    request: RequestId,
    since: u64,
    pub(crate) outcome: Option<Outcome>,
}

/// Everything that was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct People {
    pub(crate) wishes: Vec<Wish>,
}

impl People {
    pub(crate) fn answered(&mut self, wish: usize, outcome: Option<Outcome>) {
        if let Some(wish) = self.wishes.get_mut(wish) {
            wish.outcome = outcome;
        }
    }
}

impl Cluster {
    /// Somebody asks for something. The number is for [`People::wishes`].
    pub(crate) fn ask(&mut self, command: Command) -> usize {
        let (high, low) = (self.random.next(), self.random.next());
        let request = RequestId { stamp: self.log.state.now, high, low };
        let wish = self.people.wishes.len();
        self.people.wishes.push(Wish { command, request, since: self.now, outcome: None });
        self.queue.push(self.now, Happening::Ask { wish });
        wish
    }

    pub(crate) fn ask_again(&mut self, number: usize) {
        let wish = &self.people.wishes[number];
        if wish.outcome.is_some() || self.now > wish.since + PATIENCE {
            return;
        }
        let (command, request) = (wish.command.clone(), wish.request);
        let taken = self.entrance().is_some_and(|leader| {
            self.propose(leader, command, Some(request), Origin::Client(number))
        });
        let wait = if taken { AGAIN } else { RETRY };
        self.queue.push(self.now + wait, Happening::Ask { wish: number });
    }

    /// The leader, when people reach a host that reaches it.
    fn entrance(&self) -> Option<NodeId> {
        let leader = self.log.leader()?;
        let open = |n: &NodeId| {
            self.lives(*n) && self.network.reachable(*n) && self.network.joined(*n, leader)
        };
        self.hosts.keys().any(open).then_some(leader)
    }
}
