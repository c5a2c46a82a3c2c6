//! `network doctor`: what every node finds when it looks at its part of the mesh, and what to do about it.

use crate::failure::Failure;
use crate::session::Session;
use crate::table::Table;
use crate::{json, retry};
use api::v1::Finding;
use serde_json::json;

pub(crate) async fn run(session: &Session) -> Result<(), Failure> {
    let request = session.read_request("");
    let reply =
        retry::read(&session.cluster, async |mut c| c.doctor(request.clone()).await).await?;
    session.out.banner(reply.read.as_ref());
    if !reply.mesh {
        session.out.say("this cluster has no mesh (`init --mesh none`): each host keeps to itself");
    }
    session.out.either(
        || table(&reply.findings),
        || json!({"mesh": reply.mesh, "findings": json::list(&reply.findings, json::finding)}),
    )?;
    match reply.findings.iter().filter(|f| !f.problem.is_empty()).count() {
        0 => Ok(()),
        1 => Err(Failure::refused("one thing is wrong with the mesh")),
        n => Err(Failure::refused(format!("{n} things are wrong with the mesh"))),
    }
}

/// What is wrong comes last, where it is read.
fn table(findings: &[Finding]) -> String {
    let mut table = Table::new(&["NODE", "TO", "CHECK", "RESULT"]);
    let row =
        |f: &Finding, result: String| [f.node.clone(), f.to.clone(), f.aspect.clone(), result];
    for finding in findings.iter().filter(|f| f.problem.is_empty()) {
        table.row(row(finding, fine(finding.took_us)));
    }
    for finding in findings.iter().filter(|f| !f.problem.is_empty()) {
        table.row(row(finding, format!("{}; {}", finding.problem, finding.fix)));
    }
    table.render()
}

fn fine(took_us: u64) -> String {
    match took_us {
        0 => "fine".to_owned(),
        us => format!("fine ({}.{:02} ms)", us / 1_000, us % 1_000 / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_last_with_what_to_do() {
        let finding = |to: &str, aspect: &str, problem: &str, took_us| Finding {
            node: "host1".into(),
            to: to.into(),
            aspect: aspect.into(),
            problem: problem.into(),
            fix: if problem.is_empty() { String::new() } else { "mend it".into() },
            took_us,
        };
        let shown = table(&[
            finding("", "rules", "nft is missing", 0),
            finding("host2", "carrier", "", 1_234),
            finding("host2", "route", "", 0),
        ]);
        let lines: Vec<&str> = shown.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "host1   host2   carrier   fine (1.23 ms)",
                "host1   host2   route     fine",
                "host1           rules     nft is missing; mend it",
            ]
        );
    }
}
