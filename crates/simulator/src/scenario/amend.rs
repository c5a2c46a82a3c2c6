//! What is said of a project beside its Compose document: which services are jobs, who depends on whom, and
//! whose containers are built upon whose.
//!
//! `seed=job` is a job of as many copies as the document says, `seed=job:5/2` one of five of which two run at
//! once, `each=global-job` one on each node. `web:db=healthy` depends on another service (or `started`, `completed`); `,optional` and
//! `,restart` may follow. `web+app=volumes` is built upon another's containers (or `network`, `ipc`, `pid`).

use model::{
    Dependency, DependencyCondition, Mode, ProjectSpec, ServiceName, ServiceSpec, Share, SharedPart,
};
use std::sync::Arc;

/// Takes in words about a project.
pub(crate) fn amend<'w>(
    spec: &mut ProjectSpec,
    words: impl IntoIterator<Item = &'w str>,
) -> Result<(), String> {
    for word in words {
        let (who, what) = word.split_once('=').ok_or_else(|| format!("what is {word}?"))?;
        if let Some((service, with)) = who.split_once('+') {
            service_of(spec, service)?.shares_with.push(share(with, what)?);
        } else if let Some((service, on)) = who.split_once(':') {
            service_of(spec, service)?.depends_on.push(needs(on, what)?);
        } else {
            let service = service_of(spec, who)?;
            service.mode = mode(what, service.mode)?;
        }
    }
    Ok(())
}

fn service_of<'s>(spec: &'s mut ProjectSpec, name: &str) -> Result<&'s mut ServiceSpec, String> {
    let service = spec.services.get_mut(&named(name)?);
    service.map(Arc::make_mut).ok_or_else(|| format!("there is no service {name}"))
}

fn named(name: &str) -> Result<ServiceName, String> {
    name.parse().map_err(|e| format!("{e}"))
}

fn needs(on: &str, what: &str) -> Result<Dependency, String> {
    let mut words = what.split(',');
    let condition = match words.next() {
        Some("started") => DependencyCondition::Started,
        Some("healthy") => DependencyCondition::Healthy,
        Some("completed") => DependencyCondition::Completed,
        _ => return Err(format!("{what} is no condition")),
    };
    let service = named(on)?;
    let mut dependency = Dependency { service, condition, required: true, restart: false };
    for word in words {
        match word {
            "optional" => dependency.required = false,
            "restart" => dependency.restart = true,
            _ => return Err(format!("what is {word}?")),
        }
    }
    Ok(dependency)
}

fn share(with: &str, what: &str) -> Result<Share, String> {
    let what = match what {
        "network" => SharedPart::Network,
        "ipc" => SharedPart::Ipc,
        "pid" => SharedPart::Pid,
        "volumes" => SharedPart::Volumes { read_only: false },
        _ => return Err(format!("{what} cannot be shared")),
    };
    Ok(Share { service: named(with)?, what })
}

fn mode(what: &str, was: Mode) -> Result<Mode, String> {
    let number = |text: &str| text.parse().map_err(|_| format!("{text} is not a number"));
    let Some(counts) = what.strip_prefix("job") else {
        let global = what == "global-job";
        return if global { Ok(Mode::GlobalJob) } else { Err(format!("{what} is no mode")) };
    };
    let counts = counts.strip_prefix(':').unwrap_or(counts);
    let (total, concurrent) = counts.split_once('/').unwrap_or((counts, ""));
    let given = |text: &str| if text.is_empty() { Ok(None) } else { number(text).map(Some) };
    let total = given(total)?.or(was.count());
    Ok(Mode::ReplicatedJob { total, concurrent: given(concurrent)? })
}
