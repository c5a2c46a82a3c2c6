//! What is answered to which bytes.

use super::message::{Verdict, for_udp, judge};
use super::names::Names;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use model::{
    Carrier, Mesh, MeshView, NamedReplica, NamedService, NetworkView, NodeId, Slot, TaskId,
};
use std::net::Ipv4Addr;
use std::sync::Arc;

const CALLER: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 2);

/// One service, `web`, with that many replicas.
fn names(replicas: u8) -> Names {
    let replica = |n: u8| NamedReplica {
        task: TaskId { index: n.into(), position: 0 },
        slot: Slot::Number(n.into()),
        node: NodeId(1),
        address: [10, 128, 0, n].into(),
    };
    let web = NamedService {
        name: "web".parse().unwrap(),
        aliases: [].into(),
        address: Some([10, 176, 0, 0].into()),
        replicas: (1..=replicas).map(replica).collect(),
        leaving: [].into(),
        fixed: [].into(),
        prefer_local: false,
        foreign: false,
    };
    let network = NetworkView {
        project: "shop".parse().unwrap(),
        subnets: [(NodeId(1), "10.128.0.0/23".parse().unwrap())].into(),
        services: vec![web],
        networks: [].into(),
        others: [].into(),
        internal: false,
    };
    let mesh = Mesh { pool: "10.128.0.0/10".parse().unwrap(), carrier: Carrier::Direct };
    Names::new(&MeshView { mesh, networks: vec![Arc::new(network)] }, NodeId(1))
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn verdict(asked: &Message, turn: usize) -> Verdict {
    judge(&names(3), CALLER, &asked.to_vec().unwrap(), turn)
}

/// The code of the answer, and its addresses or names.
fn answer(name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
    let Verdict::Answer(answer, _) = verdict(&question(name, kind), 0) else {
        panic!("{name} is not answered")
    };
    assert_eq!(answer.metadata.id, 7);
    assert!(answer.answers.iter().all(|r| r.ttl == 1), "kept for long");
    let data = answer.answers.iter().map(|r| match &r.data {
        RData::A(address) => address.0.to_string(),
        RData::PTR(name) => name.0.to_ascii(),
        other => panic!("{other:?}"),
    });
    (answer.metadata.response_code, data.collect())
}

#[test]
fn names_are_answered_for() {
    let none: Vec<String> = Vec::new();
    let ok = ResponseCode::NoError;
    assert_eq!(answer("web.", RecordType::A), (ok, vec!["10.176.0.0".into()]));
    assert_eq!(answer("WeB.", RecordType::A), (ok, vec!["10.176.0.0".into()]));
    assert_eq!(answer("tasks.web.", RecordType::A).1.len(), 3);
    assert_eq!(
        answer("web.", RecordType::AAAA),
        (ok, none.clone()),
        "there is one, of another kind"
    );
    let back = answer("2.0.128.10.in-addr.arpa.", RecordType::PTR);
    assert_eq!(back, (ok, vec!["web.2.".into()]));
    let unknown = (ResponseCode::NXDomain, none.clone());
    assert_eq!(answer("tasks.db.", RecordType::A), unknown);
    assert_eq!(answer("9.0.128.10.in-addr.arpa.", RecordType::PTR), unknown);
    assert_eq!(answer("web.", RecordType::ANY), (ResponseCode::NotImp, none));
    assert!(matches!(verdict(&question("example.com.", RecordType::A), 0), Verdict::Ask(_)));
}

#[test]
fn replicas_take_turns_at_coming_first() {
    let first = |turn| match verdict(&question("tasks.web.", RecordType::A), turn) {
        Verdict::Answer(answer, _) => answer.answers[0].data.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        [first(0), first(1), first(2), first(3)].map(|a| a[9..].to_owned()),
        ["1", "2", "3", "1"]
    );
}

#[test]
fn attack_23_what_is_no_question_is_not_answered() {
    for bytes in [&[][..], &[0; 11], &[0xff; 512]] {
        assert!(matches!(judge(&names(1), CALLER, bytes, 0), Verdict::Ignore), "{bytes:?}");
    }
    let mut reply = question("web.", RecordType::A);
    reply.metadata.message_type = MessageType::Response;
    assert!(matches!(verdict(&reply, 0), Verdict::Ignore), "two servers would answer each other");
    let mut two = question("web.", RecordType::A);
    two.add_query(Query::query(Name::from_ascii("db.").unwrap(), RecordType::A));
    let Verdict::Answer(answer, _) = verdict(&two, 0) else { panic!("not answered") };
    assert_eq!(answer.metadata.response_code, ResponseCode::NotImp);
}

#[test]
fn a_long_answer_is_cut_short_and_says_so() {
    let mut asked = question("tasks.web.", RecordType::A);
    let mut send = |payload: Option<u16>| {
        asked.edns = payload.map(|bytes| {
            let mut edns = Edns::new();
            edns.set_max_payload(bytes);
            edns
        });
        let bytes = asked.to_vec().unwrap();
        let Verdict::Answer(answer, most) = judge(&names(50), CALLER, &bytes, 0) else {
            panic!("not answered")
        };
        let sent = for_udp(most, &answer).unwrap();
        (sent.len(), Message::from_vec(&sent).unwrap())
    };
    let (length, short) = send(None);
    assert!(short.metadata.truncation && short.answers.is_empty() && length <= 512);
    let (length, whole) = send(Some(4_096));
    assert!(!whole.metadata.truncation && whole.answers.len() == 50 && length <= 1_232);
}
