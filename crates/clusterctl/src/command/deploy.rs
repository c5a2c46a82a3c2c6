//! `deploy`: a Compose file to a running project. Reads the file here, shows what is remarkable about it before
//! anything starts, asks once, and waits until everything is there.

use crate::args::Deploy;
use crate::command::check::{not_honoured, said};
use crate::command::scale::change;
use crate::command::{build, policy};
use crate::failure::Failure;
use crate::project::{self, Rejected, Sources};
use crate::session::{Chosen, Session};
use crate::wait::{Ending, Goal, Rollouts};
use crate::{json, logins, retry, text, watch};
use api::v1::{DeployReply, DeployRequest, GivenContent, NodeSummary, ServiceSummary};
use compose::Loaded;
use model::{Mode, Permit, ProjectSpec, RestartCondition, ServiceSpec};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) async fn run(session: &Session, words: Deploy) -> Result<(), Failure> {
    let nodes = session.nodes().await?;
    session.out.banner(nodes.read.as_ref());
    let usable = usable(&nodes.nodes);
    let granted = policy::granted(session).await?;
    let mut loaded = load(session, &words, usable, &granted, BTreeMap::new())?;
    remark(session, &loaded, usable);
    let logins = logins(session, &words)?;
    let mut chosen = Chosen::of(loaded.spec.name.to_string(), session.fresh().await?);
    let unnamed: Vec<&str> = unnamed(&loaded).collect();
    let reply = if words.dry_run && !unnamed.is_empty() {
        // The cluster cannot say anything of images that are not there yet.
        session.out.say(&format!("would be built first: {}", text::safe(&unnamed.join(", "))));
        DeployReply::default()
    } else {
        if !words.dry_run && (words.build && !loaded.builds.is_empty() || !unnamed.is_empty()) {
            let built = build::all(session, &chosen.name, &loaded.builds, words.build).await?;
            loaded = load(session, &words, usable, &granted, built)?;
            // That took its time: the write that follows is stamped anew, on what was seen.
            chosen.stamp = Chosen::of(chosen.name.clone(), session.fresh().await?).stamp;
        }
        deploy(session, &words, &loaded, &chosen, logins).await?
    };
    reply.remarks.iter().for_each(|remark| session.out.warn(&text::safe(remark)));
    let lines = if words.dry_run {
        preview(&loaded.spec, &chosen.services)
    } else {
        told(&chosen.name, &reply)
    };
    for line in &lines {
        session.out.say(line);
    }
    if !words.detach && !words.dry_run {
        watch::until(session, &format!("Deploying {}", chosen.name), &goal(&loaded.spec, &reply))
            .await?;
    }
    if session.out.json {
        return session.out.document(&json::deployed(&chosen.name, &reply, words.dry_run));
    }
    Ok(())
}

/// Services whose image has no name before it is built.
fn unnamed(loaded: &Loaded) -> impl Iterator<Item = &str> {
    loaded.builds.iter().filter(|b| b.image.is_none()).map(|b| b.service.as_str())
}

/// Nodes that may get replicas.
fn usable(nodes: &[NodeSummary]) -> usize {
    nodes.iter().filter(|n| n.availability == "active").count()
}

fn load(
    session: &Session,
    words: &Deploy,
    usable: usize,
    granted: &BTreeMap<String, BTreeSet<Permit>>,
    built: BTreeMap<String, String>,
) -> Result<Loaded, Failure> {
    let sources = Sources {
        nodes: Some(usable),
        granted: granted.clone(),
        built,
        ..Sources::new(&words.input, session.global.project.clone())
    };
    project::load(&sources)?.map_err(|rejected| refused(session, &rejected))
}

/// The warnings first, then the errors as the reason of the refusal.
fn refused(session: &Session, rejected: &Rejected) -> Failure {
    rejected.warnings.iter().for_each(|c| session.out.warn(&said(c)));
    let errors = rejected.errors.join("\n");
    Failure::refused(format!("the project cannot be deployed; nothing was started\n\n{errors}"))
        .next("correct what is named above")
}

fn remark(session: &Session, loaded: &Loaded, usable: usize) {
    loaded.remarks.iter().for_each(|c| session.out.warn(&said(c)));
    for line in not_honoured(&loaded.card) {
        session.out.say(&line);
    }
    for line in unresolved(&loaded.spec, usable) {
        session.out.warn(&line);
    }
}

/// Names that replicas will look for in vain: those of services that may run on other nodes.
fn unresolved(spec: &ProjectSpec, usable: usize) -> Vec<String> {
    if usable < 2 {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for (name, service) in &spec.services {
        let apart: Vec<&str> = service
            .refers_to
            .iter()
            .filter(|other| spec.services.get(*other).is_some_and(|o| apart(service, o)))
            .map(model::ServiceName::as_str)
            .collect();
        if !apart.is_empty() {
            lines.push(format!(
                "{name} calls {} by name: names resolve only between replicas on the same node so far; they are placed together where they fit",
                apart.join(", ")
            ));
        }
    }
    lines
}

/// Whether a replica of `from` may run where none of `to` does. Global services are on every node.
fn apart(from: &ServiceSpec, to: &ServiceSpec) -> bool {
    let single =
        |s: &ServiceSpec| matches!(s.mode, Mode::Replicated { replicas: None | Some(0 | 1) });
    if matches!(to.mode, Mode::Global) && to.placement.constraints.is_empty() {
        return false;
    }
    !single(from) || !single(to) || from.placement != to.placement
}

fn logins(session: &Session, words: &Deploy) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    if !words.with_registry_auth {
        return Ok(BTreeMap::new());
    }
    let logins = logins::read()?;
    if !logins.elsewhere.is_empty() {
        session.out.warn(&text::safe(&format!(
            "the logins for {} are kept by a helper program of Docker and are not sent",
            logins.elsewhere.join(", ")
        )));
    }
    Ok(logins.known)
}

async fn deploy(
    session: &Session,
    words: &Deploy,
    loaded: &Loaded,
    chosen: &Chosen,
    logins: BTreeMap<String, Vec<u8>>,
) -> Result<DeployReply, Failure> {
    session.out.say("Resolving images ...");
    retry::write(&session.cluster, chosen.stamp, async |mut client, id| {
        let request = DeployRequest {
            request: Some(id),
            document: loaded.spec.source.clone(),
            seen: chosen.generation,
            allow_host: words.input.allow_host,
            logins: logins.clone(),
            dry_run: words.dry_run,
            contents: given(loaded),
        };
        client.deploy(request).await
    })
    .await
}

/// What secrets and configs hold that were read here.
fn given(loaded: &Loaded) -> Vec<GivenContent> {
    let contents = loaded.contents.0.iter();
    let given = contents.map(|(key, content)| GivenContent {
        kind: key.kind.to_string(),
        name: key.name.to_string(),
        content: content.clone(),
    });
    given.collect()
}

/// What a deploy changed.
fn told(project: &str, reply: &DeployReply) -> Vec<String> {
    let scaled = reply.scaled.iter().map(|s| format!("{}, as the file says", change(project, s)));
    let mut lines: Vec<String> = scaled.collect();
    let changed = reply
        .changed
        .iter()
        .map(|s| format!("{}  new or changed", text::safe(&format!("{project}/{s}"))));
    lines.extend(changed);
    if lines.is_empty() {
        lines.push(format!("{project}  unchanged"));
    }
    lines
}

/// What a deploy would change, as far as it can be told without making it.
fn preview(spec: &ProjectSpec, now: &[ServiceSummary]) -> Vec<String> {
    let name = |service: &str| text::safe(&format!("{}/{service}", spec.name));
    let mut lines = Vec::new();
    for (service, wish) in &spec.services {
        let full = name(service.as_str());
        let Some(is) = now.iter().find(|s| s.name == service.as_str() && !s.removed) else {
            lines.push(format!("{full}  would be new"));
            continue;
        };
        if is.image != wish.container.image.reference {
            let (from, to) = (&is.image, &wish.container.image.reference);
            lines.push(format!("{full}  image {} → {}", text::safe(from), text::safe(to)));
        }
        match wish.mode {
            Mode::Replicated { replicas: Some(to) } if to != is.wanted => {
                lines.push(format!("{full}  {} → {to}, as the file says", is.wanted));
            }
            _ => {}
        }
    }
    let gone = |s: &&ServiceSummary| {
        !s.removed && !spec.services.keys().any(|name| name.as_str() == s.name)
    };
    lines.extend(now.iter().filter(gone).map(|s| format!("{}  would be removed", name(&s.name))));
    lines.push("nothing was changed; a service is replaced when any of its settings differ".into());
    lines
}

fn goal(spec: &ProjectSpec, reply: &DeployReply) -> Goal {
    let may_end = spec.services.iter().filter_map(|(name, service)| {
        let ending = match service.restart_condition() {
            RestartCondition::Any => return None,
            RestartCondition::OnFailure => Ending::Retried,
            RestartCondition::Never => Ending::Final,
        };
        Some((name.to_string(), ending))
    });
    Goal::Whole {
        project: spec.name.to_string(),
        services: BTreeSet::new(),
        may_end: may_end.collect(),
        at_least: reply.index,
        rollouts: Rollouts::Forward,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(yaml: &str) -> ProjectSpec {
        let file = compose::SourceFile { name: "c.yml".into(), bytes: yaml.as_bytes().to_vec() };
        compose::load(compose::Input {
            files: vec![file],
            folder: "/srv/shop".into(),
            nodes: Some(3),
            ..compose::Input::default()
        })
        .unwrap()
        .spec
    }

    const SHOP: &str = "
services:
  web:
    image: nginx
    environment: {BACKEND: 'http://api:80', DB: 'db:5432'}
    deploy: {replicas: 2}
  api:
    image: nginx
  db:
    image: postgres
    environment: {PEER: 'http://api:80'}
  job:
    image: busybox
    restart: 'no'
";

    #[test]
    fn names_that_will_not_resolve_are_said_where_there_are_several_nodes() {
        let spec = loaded(SHOP);
        assert!(unresolved(&spec, 1).is_empty());
        let lines = unresolved(&spec, 3);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("web calls api, db by name"), "{lines:?}");
    }

    #[test]
    fn what_a_deploy_did_is_told_in_lines() {
        let reply = DeployReply {
            scaled: vec![api::v1::Scaled { service: "web".into(), from: 4, to: 2 }],
            changed: vec!["api".into()],
            ..DeployReply::default()
        };
        let lines = ["shop/web  4 → 2, as the file says", "shop/api  new or changed"];
        assert_eq!(told("shop", &reply), lines);
        assert_eq!(told("shop", &DeployReply::default()), ["shop  unchanged"]);
    }

    #[test]
    fn a_preview_tells_what_would_come_go_and_be_scaled() {
        let service = |name: &str, wanted, image: &str| ServiceSummary {
            name: name.into(),
            wanted,
            image: image.into(),
            ..ServiceSummary::default()
        };
        let now = [service("web", 4, "nginx"), service("api", 1, "old"), service("gone", 1, "x")];
        let lines = preview(&loaded(SHOP), &now);
        assert_eq!(
            lines[..5],
            [
                "shop/api  image old → nginx",
                "shop/db  would be new",
                "shop/job  would be new",
                "shop/web  4 → 2, as the file says",
                "shop/gone  would be removed"
            ]
        );
    }

    #[test]
    fn services_that_do_not_restart_may_end() {
        let goal = goal(&loaded(SHOP), &DeployReply { index: 7, ..DeployReply::default() });
        let Goal::Whole { may_end, at_least, project, .. } = goal else { panic!() };
        assert_eq!(may_end, [("job".to_owned(), Ending::Final)].into());
        assert_eq!((at_least, project.as_str()), (7, "shop"));
    }
}
