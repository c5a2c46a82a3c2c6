//! Questions and answers as bytes (RFC 1035), by `hickory-proto`. Nothing here touches a socket.

use super::names::{Answer, Names};
use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::net::Ipv4Addr;

/// How long an answer of ours may be kept, in seconds.
const TTL: u32 = 1;
/// Bytes of a UDP message that pass everywhere without being cut up (DNS flag day 2020).
const UDP_BYTES: u16 = 1_232;

/// What is to be done about a message that came in.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Nothing: it is no question.
    Ignore,
    /// This is the answer, of at most so many bytes over UDP.
    Answer(Box<Message>, u16),
    /// Others have to be asked.
    Ask(Box<Message>),
}

/// What is to be done about `bytes` that came from `caller`. `turn` decides which of several addresses comes
/// first.
pub(super) fn judge(names: &Names, caller: Ipv4Addr, bytes: &[u8], turn: usize) -> Verdict {
    let Ok(asked) = Message::from_vec(bytes) else { return Verdict::Ignore };
    if asked.metadata.message_type != MessageType::Query {
        return Verdict::Ignore;
    }
    let most = asked.max_payload();
    let refuse = |code| Verdict::Answer(Box::new(reply(&asked, code)), most);
    let ([query], OpCode::Query) = (asked.queries.as_slice(), asked.metadata.op_code) else {
        return refuse(ResponseCode::NotImp);
    };
    if query.query_class != DNSClass::IN || query.query_type == RecordType::ANY {
        return refuse(ResponseCode::NotImp);
    }
    let text = query.name.to_ascii();
    let known = names.lookup(caller, text.trim_end_matches('.'));
    let mut answer = reply(&asked, ResponseCode::NoError);
    match known {
        Answer::Elsewhere => return Verdict::Ask(Box::new(asked)),
        Answer::Unknown => answer.metadata.response_code = ResponseCode::NXDomain,
        Answer::Addresses(mut addresses) if query.query_type == RecordType::A => {
            let count = addresses.len().max(1);
            addresses.rotate_left(turn % count);
            let record = |a| Record::from_rdata(query.name.clone(), TTL, RData::A(A(a)));
            answer.add_answers(addresses.into_iter().map(record));
        }
        Answer::Name(name) if query.query_type == RecordType::PTR => {
            if let Ok(name) = Name::from_str_relaxed(format!("{name}.")) {
                let data = RData::PTR(PTR(name));
                answer.add_answer(Record::from_rdata(query.name.clone(), TTL, data));
            }
        }
        // The name is there, with nothing of the kind asked for.
        Answer::Addresses(_) | Answer::Name(_) => {}
    }
    answer.metadata.authoritative = true;
    Verdict::Answer(Box::new(answer), most)
}

/// An answer to `asked` without any record.
pub(super) fn reply(asked: &Message, code: ResponseCode) -> Message {
    let mut answer = Message::response(asked.metadata.id, asked.metadata.op_code);
    answer.metadata = Metadata::response_from_request(&asked.metadata);
    answer.metadata.recursion_available = true;
    answer.metadata.response_code = code;
    answer.add_queries(asked.queries.iter().cloned());
    if asked.edns.is_some() {
        answer.set_edns(edns());
    }
    answer
}

/// The question as it is put to others: ours in all but what is asked.
pub(super) fn onward(query: Query) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(query);
    message.set_edns(edns());
    message
}

fn edns() -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_BYTES).set_version(0);
    edns
}

/// An answer as bytes for UDP: cut short, and saying so, where it has more than the `most` bytes that who asked
/// can take, or than pass everywhere.
pub(super) fn for_udp(most: u16, answer: &Message) -> Option<Vec<u8>> {
    let most = usize::from(most.min(UDP_BYTES));
    match answer.to_vec() {
        Ok(bytes) if bytes.len() <= most => Some(bytes),
        Ok(_) => {
            let mut short = reply(answer, answer.metadata.response_code);
            short.metadata.truncation = true;
            short.to_vec().ok()
        }
        Err(_) => None,
    }
}
