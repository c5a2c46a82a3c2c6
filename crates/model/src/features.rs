//! Feature levels: which builds understand what. A command that a member of the cluster would not understand, or would
//! understand otherwise, is not proposed before every node has announced a build that does (`State::level`).
//!
//! Whoever adds a command, or a field that changes what one means, says here from which level on.

use crate::{Change, Command, Deploy, Hooks, Refusal, ServiceSpec, State};

/// What the first builds understand.
const FIRST: u32 = 2;
/// From here on: secrets and configs, policies, what is run once, commands around a container, requests over HTTP, and
/// roll-outs whose position is in the state.
pub(crate) const ROLLOUTS: u32 = 3;

impl Command {
    /// The least level of builds that understand this command as this one does.
    pub fn level(&self) -> u32 {
        match self {
            Self::Found(_)
            | Self::Join(_)
            | Self::Refresh(_)
            | Self::Report(_)
            | Self::Judge(_)
            | Self::Scale(_)
            | Self::Remove(_)
            | Self::SetNode(_)
            | Self::RemoveNode(_)
            | Self::SetToken { .. }
            | Self::SetVoters { .. } => FIRST,
            Self::SetPolicy(_)
            | Self::Run(_)
            | Self::EndRun(_)
            | Self::SetRollout(_)
            | Self::CreateContent(_)
            | Self::RemoveContent(_) => 3,
            Self::Plan(changes) => {
                let moves = changes.iter().any(|c| matches!(c, Change::Rollout { .. }));
                if moves { ROLLOUTS } else { FIRST }
            }
            Self::Deploy(deploy) => level_of(deploy),
        }
    }
}

/// An older build reads past what it does not know, and would run something else than was asked for.
fn level_of(deploy: &Deploy) -> u32 {
    let asks = !deploy.contents.is_empty() || !deploy.powers.is_empty() || deploy.grant;
    let more = |spec: &ServiceSpec| {
        let update = &spec.update;
        spec.once.is_some()
            || !spec.http.is_empty()
            || !spec.container.files.is_empty()
            || spec.container.hooks != Hooks::default()
            || !spec.rollback.is_default()
            || update.parallelism.is_some()
            || update.delay.is_some()
            || update.failure_action.is_some()
            || update.max_failure_ratio.is_some()
    };
    if asks || deploy.spec.services.values().any(|spec| more(spec)) { 3 } else { FIRST }
}

impl State {
    /// Why a command may not be proposed yet, if it may not: some node does not understand it.
    pub fn not_understood(&self, command: &Command) -> Option<Refusal> {
        let needed = command.level();
        if self.cluster.is_none() || needed <= self.level {
            return None;
        }
        let older = self.nodes.values().filter(|n| n.facts.level < needed);
        let nodes = older.map(|n| n.name.clone()).collect();
        Some(Refusal::NotUnderstood { nodes, level: self.level, needed })
    }
}
