//! The only function that applies a command.
//!
//! It cannot fail: what it does not do is [`Outcome::Refused`], decided from the state and the entry
//! alone, so every manager refuses alike. One file per family of commands.

mod addresses;
mod contents;
mod depends;
mod networks;
mod nodes;
mod policies;
mod projects;
mod rollouts;
mod runs;
mod shares;
mod tasks;

use crate::limits::{EVENTS, REQUEST_KEPT, REQUESTS};
use crate::{Command, Entry, Event, Outcome, Recorded, Refusal, RequestId, State, Time, WallTime};

/// What the entry being applied says about itself.
#[derive(Clone, Copy)]
struct Now {
    index: u64,
    at: Time,
    wall: WallTime,
}

impl State {
    /// Applies the entry at `index`. A request that was applied before is answered again, not repeated.
    pub fn apply(&mut self, index: u64, entry: &Entry) -> Outcome {
        self.index = index;
        self.now = self.now.max(entry.at);
        let now = Now { index, at: self.now, wall: entry.wall };
        let Some(request) = entry.request else { return self.dispatch(now, &entry.command) };
        self.forget_requests();
        if let Some(outcome) = self.requests.get(&request) {
            return outcome.clone();
        }
        if let Some(refusal) = self.refuse_request(request) {
            return Outcome::Refused(refusal);
        }
        let outcome = self.dispatch(now, &entry.command);
        self.requests.insert(request, outcome.clone());
        outcome
    }

    /// Applies an entry that carries no command of ours, such as a change of membership.
    pub fn skip(&mut self, index: u64) {
        self.index = index;
    }

    fn dispatch(&mut self, now: Now, command: &Command) -> Outcome {
        if self.cluster.is_none() && !matches!(command, Command::Found(_)) {
            return Outcome::Refused(Refusal::NotFounded);
        }
        let done = match command {
            Command::Found(c) => self.found(now, c),
            Command::Join(c) => self.join(now, c),
            Command::Refresh(c) => self.refresh(now, c),
            Command::Report(c) => self.report(now, c),
            Command::Judge(c) => Ok(self.judge(now, c)),
            Command::Plan(c) => Ok(self.change(now, c)),
            Command::Deploy(c) => self.deploy(now, c),
            Command::Scale(c) => self.scale(now, c),
            Command::Remove(c) => self.remove(now, c),
            Command::SetPolicy(c) => self.set_policy(now, c),
            Command::Run(c) => self.run(now, c),
            Command::EndRun(c) => self.end_run(c),
            Command::SetRollout(c) => self.set_rollout(now, c),
            Command::SetNode(c) => self.set_node(now, c),
            Command::RemoveNode(c) => self.remove_node(now, c),
            Command::SetToken { role, token } => self.set_token(*role, token),
            Command::SetVoters { count } => self.set_voters(*count),
            Command::CreateContent(c) => self.create_content(now, c),
            Command::RemoveContent(c) => self.remove_content(now, c),
        };
        done.unwrap_or_else(Outcome::Refused)
    }

    /// After a change of leader cluster time goes on from the last entry, so a stamp from the clock of
    /// the leader before may honestly lie ahead. It is remembered for the longer.
    fn refuse_request(&self, request: RequestId) -> Option<Refusal> {
        if request.stamp + REQUEST_KEPT < self.now || request.stamp > self.now + REQUEST_KEPT {
            return Some(Refusal::RequestTooOld);
        }
        (self.requests.len() >= REQUESTS).then_some(Refusal::TooManyRequests)
    }

    /// Requests are ordered by their stamp, and one stamped before the horizon is refused, so exactly
    /// those can be forgotten.
    fn forget_requests(&mut self) {
        while let Some((oldest, _)) = self.requests.get_min() {
            if oldest.stamp + REQUEST_KEPT >= self.now {
                break;
            }
            let oldest = *oldest;
            self.requests.remove(&oldest);
        }
    }

    fn record(&mut self, now: Now, event: Event) {
        if self.events.len() >= EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Recorded { index: now.index, at: now.at, wall: now.wall, event });
    }
}
