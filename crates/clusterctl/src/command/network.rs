//! `network`: the networks that services are on, and who is found on them at which addresses.

use super::doctor;
use crate::args::Network as Words;
use crate::failure::Failure;
use crate::session::Session;
use crate::table::Table;
use crate::{json, retry, text};
use api::v1::{Network, NetworkService, NetworksReply};

pub(crate) async fn run(session: &Session, words: Words) -> Result<(), Failure> {
    match words {
        Words::Ls => list(session).await,
        Words::Inspect { name } => inspect(session, &name).await,
        Words::Doctor => doctor::run(session).await,
    }
}

async fn read(session: &Session, project: &str) -> Result<NetworksReply, Failure> {
    let request = session.read_request(project);
    let reply =
        retry::read(&session.cluster, async |mut c| c.networks(request.clone()).await).await?;
    session.out.banner(reply.read.as_ref());
    Ok(reply)
}

async fn list(session: &Session) -> Result<(), Failure> {
    let reply = read(session, &session.project_or_all()).await?;
    session.out.either(|| table(&reply.networks), || json::list(&reply.networks, json::network))
}

fn table(networks: &[Network]) -> String {
    let mut table = Table::new(&["NETWORK", "KIND", "NODES", "SERVICES"]);
    for network in networks {
        let services = network.services.iter().map(|s| service_name(network, s));
        let services: Vec<String> = services.collect();
        table.row([full_name(network), kind(network), nodes(network), services.join(", ")]);
    }
    table.render()
}

fn full_name(network: &Network) -> String {
    format!("{}/{}", network.project, network.name)
}

/// With its project where that is another one.
fn service_name(network: &Network, service: &NetworkService) -> String {
    if service.project == network.project {
        service.service.clone()
    } else {
        format!("{}/{}", service.project, service.service)
    }
}

fn kind(network: &Network) -> String {
    let words = [("internal", network.internal), ("attachable", network.attachable)];
    let words: Vec<&str> = words.iter().filter(|(_, is)| *is).map(|(word, _)| *word).collect();
    words.join(", ")
}

fn nodes(network: &Network) -> String {
    let mut nodes: Vec<&str> = network.subnets.iter().map(|s| s.node.as_str()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes.join(", ")
}

async fn inspect(session: &Session, name: &str) -> Result<(), Failure> {
    let (project, network) = match name.split_once('/') {
        Some((project, network)) => (Some(project), network),
        None => (None, name),
    };
    let asked = project.map_or_else(|| session.project_or_all(), str::to_owned);
    let reply = read(session, &asked).await?;
    let named = |n: &&Network| n.name == network && project.is_none_or(|p| n.project == p);
    let found: Vec<&Network> = reply.networks.iter().filter(named).collect();
    match found.as_slice() {
        [one] => session.out.either(|| shown(one), || json::network(one)),
        [] => Err(Failure::refused(format!("no service is on a network named {name}"))
            .next("`clusterctl network ls` lists them")),
        many => {
            let names: Vec<String> = many.iter().map(|n| full_name(n)).collect();
            let message = format!("{name} may be {}", names.join(" or "));
            Err(Failure::usage(message).next("say which, as in shop/front"))
        }
    }
}

fn shown(network: &Network) -> String {
    let mut head = vec![("network", full_name(network))];
    if network.attachable {
        head.push(("called", network.called.clone()));
    }
    head.extend([("kind", kind(network))].into_iter().filter(|(_, kind)| !kind.is_empty()));
    if network.mtu > 0 {
        head.push(("mtu", network.mtu.to_string()));
    }
    let lines = head.iter().map(|(key, value)| format!("{key:<8} {}\n", text::safe(value)));
    let lines = lines.collect::<Vec<_>>().concat();
    let mut subnets = Table::new(&["NODE", "SUBNET"]);
    for subnet in &network.subnets {
        subnets.row([subnet.node.clone(), subnet.subnet.clone()]);
    }
    let mut services = Table::new(&["SERVICE", "ALIASES", "ADDRESSES"]);
    let mut replicas = Table::new(&["REPLICA", "NODE", "ADDRESS"]);
    for service in &network.services {
        let name = service_name(network, service);
        services.row([name, service.aliases.join(", "), service.addresses.join(", ")]);
        for replica in &service.replicas {
            let name = format!("{}/{}", service.project, replica.name);
            replicas.row([name, replica.node.clone(), replica.address.clone()]);
        }
    }
    [lines, subnets.render(), services.render(), replicas.render()].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::v1::{NetworkReplica, NetworkSubnet};

    fn network() -> Network {
        let service = |project: &str, service: &str, address: &str| NetworkService {
            project: project.into(),
            service: service.into(),
            aliases: vec!["app".into()],
            addresses: vec![address.into()],
            replicas: vec![NetworkReplica {
                name: format!("{service}.1"),
                node: "host1".into(),
                address: "10.128.0.2".into(),
            }],
        };
        let subnet =
            |node: &str, subnet: &str| NetworkSubnet { node: node.into(), subnet: subnet.into() };
        Network {
            project: "shop".into(),
            name: "front".into(),
            called: "shop_front".into(),
            internal: false,
            attachable: true,
            mtu: 1400,
            subnets: vec![subnet("host1", "10.128.0.0/23"), subnet("host1", "10.128.2.0/23")],
            services: vec![
                service("shop", "web", "10.176.0.0"),
                service("blog", "web", "10.176.0.1"),
            ],
        }
    }

    #[test]
    fn the_list_says_who_is_on_it() {
        let expected = "NETWORK      KIND         NODES   SERVICES\nshop/front   attachable   host1   web, blog/web\n";
        assert_eq!(table(&[network()]), expected);
    }

    #[test]
    fn in_full_it_says_who_is_found_where() {
        let text = shown(&network());
        for line in [
            "called   shop_front",
            "mtu      1400",
            "host1   10.128.2.0/23",
            "blog/web   app       10.176.0.1",
            "blog/web.1   host1   10.128.0.2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing:\n{text}");
        }
    }
}
