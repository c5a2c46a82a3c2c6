//! The other side: Docker Swarm on the same engines. Fair to it: the image is on every engine and resolved
//! nowhere, the hosts' resolver fails at once, and no virtual IPs are asked of a kernel that lacks IPVS.

use crate::engines::{FEW, IMAGE};
use crate::measure::Figures;
use crate::side::{Side, Trials, count};
use anyhow::Context;
use lab::{Lab, Part};

/// Makes the three engines a swarm of three managers and measures.
pub(crate) fn figures(lab: &Lab) -> anyhow::Result<Figures> {
    form(lab).context("forming the swarm")?;
    let replicas = FEW.to_string();
    let words =
        ["service", "create", "--detach", "--quiet", "--name", "web", "--replicas", &replicas];
    let fair =
        ["--no-resolve-image", "--endpoint-mode", "dnsrr", "--stop-grace-period", "3s", IMAGE];
    lab.docker(1, &[&words[..], &fair[..]].concat())?.ok().context("creating the service")?;
    let trials = Trials {
        cuts: count("SWARM_CUTS", 2),
        kills: count("SWARM_KILLS", 3),
        scales: count("SCALES", 3),
    };
    let side = Side {
        name: "Swarm",
        lab,
        part: Part::Engine,
        scale,
        leader,
        well,
        write,
        restart: |lab, host| Ok(lab.start_engine(host)?),
        answers: false,
        trials,
    };
    side.measure()
}

fn form(lab: &Lab) -> anyhow::Result<()> {
    let address = |host: u8| anyhow::Ok(lab.host(host)?.address.to_string());
    let first = address(1)?;
    lab.docker(1, &["swarm", "init", "--advertise-addr", &first])?.ok()?;
    let token = lab.docker(1, &["swarm", "join-token", "-q", "manager"])?.ok()?.stdout;
    for host in lab.numbers().skip(1) {
        let (own, to) = (address(host)?, format!("{first}:2377"));
        let words = ["swarm", "join", "--token", token.trim(), "--advertise-addr", &own, &to];
        let said = lab.docker(host, &words)?;
        // Its command line holds the token, so only what it said is shown.
        anyhow::ensure!(said.success(), "joining host{host}: {}", said.stderr);
    }
    Ok(())
}

fn scale(lab: &Lab, via: u8, replicas: usize) -> anyhow::Result<()> {
    lab.docker(via, &["service", "scale", "--detach", &format!("web={replicas}")])?.ok()?;
    Ok(())
}

/// Lines of `docker node ls`: name, status, part in managing.
fn nodes(lab: &Lab, via: u8) -> anyhow::Result<String> {
    let format = "{{.Hostname}} {{.Status}} {{.ManagerStatus}}";
    Ok(lab.docker(via, &["node", "ls", "--format", format])?.ok()?.stdout)
}

fn leader(lab: &Lab, via: u8) -> anyhow::Result<u8> {
    let nodes = nodes(lab, via)?;
    let line = nodes.lines().find(|line| line.ends_with("Leader")).context("nobody leads")?;
    let name = line.split(' ').next().and_then(|name| name.strip_prefix("host"));
    Ok(name.context("a host of an unknown name leads")?.parse()?)
}

fn well(lab: &Lab, via: u8) -> anyhow::Result<bool> {
    let nodes = nodes(lab, via)?;
    let fine = |line: &&str| line.contains(" Ready ") && !line.contains("Unreachable");
    Ok(nodes.lines().filter(fine).count() == 3)
}

fn write(lab: &Lab, via: u8, trial: usize) -> bool {
    let label = format!("bench={trial}");
    let said = lab.docker(via, &["node", "update", "--label-add", &label, "host1"]);
    said.is_ok_and(|said| said.success())
}
