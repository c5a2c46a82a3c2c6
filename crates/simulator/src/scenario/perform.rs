//! The commands of a scenario.

use super::amend::amend;
use super::faults::fault;
use super::show::show;
use super::stage::Stage;
use crate::cluster::{Cluster, Nastiness};
use crate::founding::Shape;
use model::{
    Availability, Command, Deploy, Facts, Join, NodeId, Outcome, ProjectName, ProjectSpec, Remove,
    RemoveNode, Role, RolloutWish, Run, Scale, ServiceName, SetNode, SetRollout,
};
use std::collections::{BTreeMap, BTreeSet};

type Said = Result<Vec<String>, String>;

/// How long somebody in a scenario waits for an answer, in milliseconds.
const ANSWER: u64 = 5_000;

/// Performs one command. The first is `hosts MANAGERS [WORKERS] [memory=MIB] [cpus=N] [seed=N] [nasty]`; a nasty
/// world loses answers and events by itself.
///
/// People: `deploy PROJECT [WORD]...` with a Compose document below (words: `amend.rs`), `scale PROJECT SERVICE=N`, `remove PROJECT`,
/// `run PROJECT SERVICE NAME` (the service's container once more), `rollout PROJECT pause|resume|undo [SERVICE]...`,
/// `drain|pause|activate HOST`, `label HOST KEY=VALUE`, `join HOST manager|worker [replace]`, `remove-node HOST [force]`; with `&` at the end nobody waits for the answer. Faults: `cut HOST...`, `rejoin HOST...`, `cut-link HOST HOST`,
/// `deafen HOST HOST` (the first does not hear the second), `split HOST...` (from all others), `bridge HOST HOST...` (the first reaches all, the rest are split from all others),
/// `flap HOST TIMES FOR`, `rough LOST-OF-THOUSAND FOR` (loss and delay), `heal`, `crash HOST...`, `boot HOST...`,
/// `wipe HOST` (of all it has on disk), `kill HOST...`, `stop HOST...`, `start HOST...` (their daemons), `freeze HOST FOR`, `clock HOST SECONDS` (how far its wall clock is ahead), `engine HOST
/// stop|restart|hang|slow|answer`, `end-container|take-container HOST N`, `end` (of all faults). Time: `wait FOR`. Looking: `show`, `links`. What must be: `whole FOR` (within that time),
/// `calm` and later `still` (the same tasks live).
pub(super) fn perform(stage: &mut Option<Stage>, command: &str, document: &str) -> Said {
    let mut words: Vec<&str> = command.split_whitespace().collect();
    let waits = words.pop_if(|last| *last == "&").is_none();
    let (Some(verb), args) = (words.first(), words.get(1..).unwrap_or_default()) else {
        return Err("a command is missing".to_owned());
    };
    if *verb == "hosts" {
        *stage = Some(hosts(args)?);
        return Ok(Vec::new());
    }
    let stage = stage.as_mut().ok_or("`hosts` comes first")?;
    match *verb {
        "show" => return Ok(show(&stage.cluster)),
        "links" => return Ok(links(&stage.cluster)),
        "wait" => stage.cluster.run(duration(args.first())?),
        "whole" => stage.wait_until_whole(duration(args.first())?),
        "calm" => stage.calm(),
        "still" => stage.still(),
        "deploy" | "run" | "scale" | "rollout" | "remove" | "drain" | "pause" | "activate"
        | "label" | "join" | "remove-node" => {
            let wish = wish(&stage.cluster, verb, args, document)?;
            if !waits {
                stage.cluster.ask(wish);
                return Ok(stage.news());
            }
            let refused = ask(&mut stage.cluster, wish);
            let mut lines = stage.news();
            lines.extend(refused);
            return Ok(lines);
        }
        _ => fault(&mut stage.cluster, verb, args)?,
    }
    Ok(stage.news())
}

fn hosts(args: &[&str]) -> Result<Stage, String> {
    let mut shape = Shape { managers: 3, workers: 0, memory: 8 << 30, milli_cpus: 4_000 };
    let (mut seed, mut nastiness) = (1, Nastiness::NONE);
    for (position, arg) in args.iter().enumerate() {
        match arg.split_once('=') {
            Some(("memory", mib)) => shape.memory = number(mib)? << 20,
            Some(("cpus", cpus)) => shape.milli_cpus = number(cpus)? * 1_000,
            Some(("seed", number_of_it)) => seed = number(number_of_it)?,
            None if *arg == "nasty" => nastiness = Nastiness::SOME,
            Some(_) => return Err(format!("what is {arg}?")),
            None if position == 0 => shape.managers = number(arg)? as usize,
            None => shape.workers = number(arg)? as usize,
        }
    }
    Ok(Stage::new(shape, seed, nastiness))
}

pub(super) fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

pub(super) fn duration(text: Option<&&str>) -> Result<u64, String> {
    let text = text.ok_or("a duration is missing")?;
    match (text.strip_suffix("ms"), text.strip_suffix('s'), text.strip_suffix('h')) {
        (Some(ms), ..) => number(ms),
        (None, Some(s), _) => Ok(number(s)? * 1_000),
        (.., Some(h)) => Ok(number(h)? * 3_600_000),
        _ => Err(format!("{text} is not a duration")),
    }
}

pub(super) fn host(cluster: &Cluster, name: Option<&&str>) -> Result<NodeId, String> {
    let name = name.ok_or("a host is missing")?;
    cluster.named(name).ok_or_else(|| format!("there is no host {name}"))
}

fn pair<'a>(arg: Option<&&'a str>) -> Result<(&'a str, &'a str), String> {
    arg.and_then(|a| a.split_once('=')).ok_or_else(|| "KEY=VALUE is missing".to_owned())
}

fn wish(cluster: &Cluster, verb: &str, args: &[&str], document: &str) -> Result<Command, String> {
    let project = || -> Result<ProjectName, String> {
        let name = args.first().ok_or("a project is missing")?;
        name.parse().map_err(|e| format!("{e}"))
    };
    let node = |availability, labels| -> Result<Command, String> {
        let node = host(cluster, args.first())?;
        Ok(Command::SetNode(SetNode { node, availability, role: None, labels }))
    };
    match verb {
        "join" => join(cluster, args),
        "remove-node" => {
            let (node, force) = (host(cluster, args.first())?, args.contains(&"force"));
            Ok(Command::RemoveNode(RemoveNode { node, force }))
        }
        "deploy" => {
            let mut spec = project_spec(&project()?, document)?;
            amend(&mut spec, args[1..].iter().copied())?;
            Ok(Command::Deploy(Deploy {
                spec,
                seen: None,
                logins: BTreeMap::new(),
                contents: BTreeMap::new(),
                powers: BTreeSet::new(),
                grant: false,
            }))
        }
        "run" => run(project()?, args),
        "scale" => {
            let mut counts = BTreeMap::new();
            for arg in &args[1..] {
                let (service, count) = pair(Some(arg))?;
                let service = service.parse().map_err(|e| format!("{e}"))?;
                counts.insert(service, number(count)? as u32);
            }
            Ok(Command::Scale(Scale { project: project()?, counts, seen: None }))
        }
        "rollout" => {
            let wish = match args.get(1) {
                Some(&"pause") => RolloutWish::Pause,
                Some(&"resume") => RolloutWish::Resume,
                Some(&"undo") => RolloutWish::Undo,
                _ => return Err("pause, resume or undo".to_owned()),
            };
            let services = args[2..].iter().map(|s| s.parse().map_err(|e| format!("{e}")));
            let services = services.collect::<Result<_, String>>()?;
            Ok(Command::SetRollout(SetRollout { project: project()?, services, wish }))
        }
        "remove" => Ok(Command::Remove(Remove { project: project()?, volumes: false })),
        "label" => {
            let (key, value) = pair(args.get(1))?;
            node(None, BTreeMap::from([(key.to_owned(), Some(value.to_owned()))]))
        }
        "drain" => node(Some(Availability::Drain), BTreeMap::new()),
        "pause" => node(Some(Availability::Pause), BTreeMap::new()),
        _ => node(Some(Availability::Active), BTreeMap::new()),
    }
}

/// A command that is to run once, named after the project.
fn run(project: ProjectName, args: &[&str]) -> Result<Command, String> {
    let name = |at: usize| -> Result<ServiceName, String> {
        let name = args.get(at).ok_or("a name is missing")?;
        name.parse().map_err(|e| format!("{e}"))
    };
    Ok(Command::Run(Run::of(project, name(1)?, name(2)?)))
}

/// A host like the first one wants to join.
pub(super) fn join(cluster: &Cluster, args: &[&str]) -> Result<Command, String> {
    let name = args.first().ok_or("a name is missing")?;
    let role = match args.get(1) {
        Some(&"manager") => Role::Manager,
        Some(&"worker") => Role::Worker,
        _ => return Err("manager or worker?".to_owned()),
    };
    let like = cluster.log.state.nodes.values().next().ok_or("there is no host yet")?;
    let facts = Facts { engine_ready: true, ..like.facts.clone() };
    Ok(Command::Join(Join {
        name: name.parse().map_err(|e| format!("{e}"))?,
        role,
        address: like.address,
        control_port: like.control_port,
        edge_port: like.edge_port,
        key_digest: format!("key of {name}, made at {}", cluster.now),
        facts,
        replace: args.contains(&"replace"),
    }))
}

/// A project from a Compose document without its name.
fn project_spec(name: &ProjectName, document: &str) -> Result<ProjectSpec, String> {
    let text = format!("name: {name}\n{document}");
    compose::parse_canonical(&text, false).map_err(|e| format!("{e:?}"))
}

/// Asks, and waits for an answer. What is said when it is no.
fn ask(cluster: &mut Cluster, command: Command) -> Option<String> {
    let wish = cluster.ask(command);
    let until = cluster.now + ANSWER;
    while cluster.people.wishes[wish].outcome.is_none() && cluster.now < until {
        cluster.run(10);
    }
    match &cluster.people.wishes[wish].outcome {
        Some(Outcome::Refused(refusal)) => Some(format!("refused: {refusal}")),
        Some(_) => None,
        None => Some("no answer".to_owned()),
    }
}

fn links(cluster: &Cluster) -> Vec<String> {
    let Some(leader) = cluster.log.leader() else { return vec!["no leader".to_owned()] };
    let Some(daemon) = cluster.hosts.get(&leader).and_then(|h| h.daemon.as_ref()) else {
        return Vec::new();
    };
    let links = daemon.member.iter().flat_map(|m| m.manager.links(daemon.time(cluster.now)));
    let name = |n| cluster.log.state.node_name(n);
    let lines: Vec<String> =
        links.map(|l| format!("{} does not hear {}", name(l.by), name(l.node))).collect();
    if lines.is_empty() { vec!["all links work".to_owned()] } else { lines }
}
