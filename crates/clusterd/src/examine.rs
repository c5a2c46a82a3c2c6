//! This node's look at its part of the mesh, with names for people.

use crate::edge::EdgeLink;
use api::v1;
use model::View;
use network::Picture;
use network::mesh::{Aspect, Finding};

/// What this node finds.
pub(crate) async fn examine(view: &View, edge: &EdgeLink) -> Vec<v1::Finding> {
    let name = |id| {
        view.nodes.iter().find(|n| n.id == id).map_or_else(String::new, |n| n.name.to_string())
    };
    let trouble = edge.mesh_trouble();
    let found = network::mesh::examine(Picture::from(view), trouble.as_deref()).await;
    let shown = |finding: Finding| {
        let (problem, fix) = finding.problem.unwrap_or_default();
        v1::Finding {
            node: name(view.node),
            to: finding.to.map(name).unwrap_or_default(),
            aspect: Aspect::to_string(&finding.aspect),
            problem,
            fix,
            took_us: finding.took.map_or(0, |took| took.as_micros() as u64),
        }
    };
    found.into_iter().map(shown).collect()
}
