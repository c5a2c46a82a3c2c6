//! `policy`: what a project's containers may be handed of their hosts.

use crate::args::{Permits, Policy};
use crate::failure::Failure;
use crate::session::Session;
use crate::{json, project, retry, text};
use api::v1::{PoliciesReply, ReadRequest, SetPolicyRequest};
use model::Permit;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) async fn run(session: &Session, words: Policy) -> Result<(), Failure> {
    match words {
        Policy::Show => show(session).await,
        Policy::Grant(permits) => set(session, flat(permits), Vec::new()).await,
        Policy::Revoke(permits) => set(session, Vec::new(), flat(permits)).await,
    }
}

/// What all projects were granted.
pub(crate) async fn granted(
    session: &Session,
) -> Result<BTreeMap<String, BTreeSet<Permit>>, Failure> {
    let known = |p: &String| p.parse::<Permit>().ok();
    let policies = read(session, String::new()).await?.policies.into_iter();
    Ok(policies.map(|p| (p.project, p.granted.iter().filter_map(known).collect())).collect())
}

async fn read(session: &Session, project: String) -> Result<PoliciesReply, Failure> {
    let request = ReadRequest { stale: session.global.stale, project };
    retry::read(&session.cluster, async |mut c| c.policies(request.clone()).await).await
}

async fn show(session: &Session) -> Result<(), Failure> {
    let reply = read(session, session.project_or_all()).await?;
    session.out.banner(reply.read.as_ref());
    let lines = || {
        let line = |p: &api::v1::Policy| format!("{}  {}\n", p.project, p.granted.join(" "));
        let lines: String = reply.policies.iter().map(line).collect();
        if lines.is_empty() {
            "no project may be handed its hosts\n".to_owned()
        } else {
            text::safe_lines(&lines)
        }
    };
    let entry = |p: &api::v1::Policy| json!({"project": p.project, "granted": p.granted});
    session.out.either(lines, || json!(reply.policies.iter().map(entry).collect::<Vec<_>>()))
}

fn flat(permits: Permits) -> Vec<String> {
    permits.keys.into_iter().flatten().map(|permit| permit.to_string()).collect()
}

/// The project need not be deployed yet.
async fn set(session: &Session, grant: Vec<String>, revoke: Vec<String>) -> Result<(), Failure> {
    let project =
        match session.global.project.clone().map_or_else(project::of_folder, |p| Ok(Some(p)))? {
            Some(project) => project,
            None => session.project().await?.name,
        };
    let stamp = session.stamp().await?;
    let reply = retry::write(&session.cluster, stamp, async |mut client, id| {
        let (project, grant, revoke) = (project.clone(), grant.clone(), revoke.clone());
        client.set_policy(SetPolicyRequest { request: Some(id), project, grant, revoke }).await
    })
    .await?;
    let said = || {
        let (what, keys) = if revoke.is_empty() {
            ("is granted", &grant)
        } else {
            ("is not granted any more", &revoke)
        };
        format!("{project} {what}: {}\n", keys.join(" "))
    };
    session.out.either(said, || json::written(&reply))
}
