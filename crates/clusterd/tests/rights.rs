//! Who may call what: every call of the protocol, by everybody there can be at the far end of a connection. The
//! list below must have each call, so that one without a role fails here.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use api::v1;
use model::Role;
use std::collections::BTreeSet;
use std::time::Duration;
use support::Daemon;
use support::calls::{self, Answer};
use support::certificates as certificate;
use tonic::transport::Channel;

/// To whom a call is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// Whoever can open the Unix socket of this very host.
    Host,
    /// Administrators.
    Admin,
    /// Administrators and managers.
    Operator,
    /// Managers.
    Manager,
    /// Nodes.
    Node,
    /// Whoever shows a join token.
    Token,
}

const ROLES: [(Open, &[&str]); 6] = [
    (Open::Host, &["Local/Init", "Local/JoinCluster", "Local/Leave"]),
    (
        Open::Admin,
        &[
            "Admin/Status",
            "Admin/Nodes",
            "Admin/Services",
            "Admin/Replicas",
            "Admin/Events",
            "Admin/Inspect",
            "Admin/Deploy",
            "Admin/Scale",
            "Admin/Down",
            "Admin/Run",
            "Admin/EndRun",
            "Admin/Policies",
            "Admin/Networks",
            "Admin/Doctor",
            "Admin/SetPolicy",
            "Admin/SetRollout",
            "Admin/SetNode",
            "Admin/RemoveNode",
            "Admin/Token",
            "Admin/SetVoters",
            "Admin/Contents",
            "Admin/CreateContent",
            "Admin/RemoveContent",
            "Admin/Certify",
            "Admin/Logs",
            "Admin/Stats",
            "Admin/Exec",
            "Admin/LoadImage",
            "Admin/Version",
        ],
    ),
    (
        Open::Operator,
        &[
            "Containers/Usage",
            "Containers/Logs",
            "Containers/Exec",
            "Containers/Image",
            "Containers/LoadImage",
            "Containers/Examine",
        ],
    ),
    (
        Open::Manager,
        &[
            "Members/Key",
            "Raft/Append",
            "Raft/Vote",
            "Raft/PreVote",
            "Raft/TransferLeader",
            "Raft/InstallSnapshot",
            "Raft/FetchSnapshot",
            "Raft/Propose",
            "Raft/ReadIndex",
            "Raft/Hello",
        ],
    ),
    (
        Open::Node,
        &[
            "Members/Renew",
            "Members/Beat",
            "Members/Watch",
            "Members/Report",
            "Members/Refresh",
            "Members/Depart",
            "Members/Content",
        ],
    ),
    (Open::Token, &["Members/Join"]),
];

/// What takes a node away, so that nobody could be asked afterwards: only those who may not are tried.
const LASTING: [&str; 2] = ["Local/Leave", "Members/Depart"];

fn open(call: &str) -> Open {
    let row = ROLES.iter().find(|(_, calls)| calls.contains(&call));
    row.unwrap_or_else(|| panic!("{call} has no role in this test's list")).0
}

#[test]
fn every_call_has_a_role() {
    let there = calls::all();
    assert!(there.len() > 40, "the protocol is not read right: {there:?}");
    let listed: BTreeSet<&str> =
        ROLES.iter().flat_map(|(_, calls)| calls.iter().copied()).collect();
    let there: BTreeSet<&str> = there.iter().map(String::as_str).collect();
    assert_eq!(there, listed);
}

/// Makes every call as `who`, and insists that exactly those are let in that are open to one of `rights`.
async fn may(channel: &Channel, who: &str, rights: &[Open], served: &[&str]) {
    for call in calls::all() {
        let open = open(&call);
        let allowed = rights.contains(&open);
        let service = call.split('/').next().unwrap();
        if allowed && LASTING.contains(&call.as_str()) {
            continue;
        }
        let answer = calls::empty(channel, &call).await;
        let right = match &answer {
            Answer::Nothing => !served.contains(&service),
            Answer::LetIn(_) => allowed,
            Answer::Refused(_) => !allowed,
            Answer::NoConnection(_) => false,
        };
        assert!(right, "{call}, which is open to {open:?}, by {who}: {answer:?}");
        if open == Open::Token
            && let Answer::LetIn(said) = answer
        {
            let said = said.expect("an empty token lets nobody join");
            assert!(said.message().contains("join token"), "{who}: {said}");
        }
    }
}

/// Services of the control port, and of the Unix socket.
const CONTROL: [&str; 4] = ["Members", "Containers", "Admin", "Raft"];
const SOCKET: [&str; 2] = ["Local", "Admin"];

#[tokio::test(flavor = "multi_thread")]
async fn attack_01_every_call_is_open_to_its_role_only() {
    use Open::{Admin, Host, Manager, Node, Operator, Token};
    let mut daemon = Daemon::founded().await;
    let authorities = certificate::exchange(&mut daemon).await;
    let (number, worker) = certificate::worker(&daemon, "worker", 2).await;
    // What a certificate says of a role is not what counts.
    let risen = (number, Role::Manager);
    let risen = certificate::node(&daemon, &authorities.ours, risen, certificate::now());
    let admin = certificate::admin(&daemon).await;
    let manager = certificate::manager(&daemon);
    let nobody = certificate::nobody(&daemon);
    let all: [(&str, _, &[Open]); 5] = [
        ("nobody", nobody, &[Token]),
        ("a worker", worker, &[Token, Node]),
        ("a worker that says it is a manager", risen, &[Token, Node]),
        ("a manager", manager, &[Token, Node, Manager, Operator]),
        ("an administrator", admin, &[Token, Admin, Operator]),
    ];
    let before = daemon.nodes().await;
    for (source, (who, config, rights)) in (10..).zip(all) {
        let channel = daemon.channel(&config, source).await.unwrap();
        may(&channel, who, rights, &CONTROL).await;
    }
    may(&daemon.local().await, "the host's own administrator", &[Host, Admin], &SOCKET).await;
    assert_eq!(daemon.nodes().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_02_03_09_certificates_that_count_for_nothing() {
    let mut daemon = Daemon::founded().await;
    let authorities = certificate::exchange(&mut daemon).await;
    let (now, me) = (certificate::now(), (daemon.founded.node, Role::Manager));
    let node = |by, at| certificate::node(&daemon, by, me, at);
    let (minutes, days) =
        (|n: u64| Duration::from_secs(60 * n), |n: u64| Duration::from_secs(86_400 * n));
    for (source, (what, config)) in (10..).zip([
        ("of a stranger", node(&authorities.stranger, now)),
        ("an administrator's of a stranger", certificate::admin_by(&daemon, &authorities.stranger)),
        ("expired", node(&authorities.ours, now - days(120))),
        ("of two hours from now", node(&authorities.ours, now + minutes(120))),
    ]) {
        let Ok(channel) = daemon.channel(&config, source).await else { continue };
        for call in calls::all() {
            let answer = calls::empty(&channel, &call).await;
            assert!(matches!(answer, Answer::NoConnection(_)), "{call}, {what}: {answer:?}");
        }
    }
    for (source, config) in
        (30..).zip([node(&authorities.ours, now + minutes(30)), node(&authorities.ours, now)])
    {
        let channel = daemon.channel(&config, source).await.unwrap();
        let answer = calls::empty(&channel, "Members/Key").await;
        assert!(matches!(answer, Answer::LetIn(None)), "it is good: {answer:?}");
    }
    let (number, removed) = certificate::worker(&daemon, "removed", 2).await;
    let channel = daemon.channel(&removed, 40).await.unwrap();
    let answer = calls::empty(&channel, "Members/Report").await;
    assert!(matches!(answer, Answer::LetIn(None)), "it is a node: {answer:?}");
    let request = v1::RemoveNodeRequest { request: None, node: "removed".into(), force: true };
    daemon.admin().await.remove_node(request).await.unwrap();
    let heard = async {
        while !matches!(calls::empty(&channel, "Members/Report").await, Answer::Refused(_)) {}
    };
    tokio::time::timeout(support::PATIENCE, heard).await.expect("the removal is soon known");
    let foreign = certificate::admin_by(&daemon, &authorities.theirs);
    let foreign = daemon.channel(&foreign, 41).await.unwrap();
    // The connection that it had, and one that it makes now.
    let again = daemon.channel(&removed, 42).await.unwrap();
    let gone = format!("node {number}, which was removed");
    may(&channel, &gone, &[Open::Token], &CONTROL).await;
    may(&again, &gone, &[Open::Token], &CONTROL).await;
    may(&foreign, "another cluster's administrator", &[Open::Token], &CONTROL).await;
}
