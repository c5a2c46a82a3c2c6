//! Files of released formats must load for ever. `UPDATE=1 cargo test -p consensus golden` writes one that
//! is missing; an existing one is never rewritten.

use crate::encoding::{self, FORMAT, seal};
use crate::machine::encode;
use crate::snapshots::Taken;
use crate::types::{
    EntryRecord, Holds, LogIdRecord, Member, MembersRecord, StoredRecord, VoteRecord,
};
use model::{
    ClusterId, Command, Entry, Facts, Found, Join, JoinToken, RequestId, Role, State, Time,
    WallTime,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::path::Path;

fn loads<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, wanted: &T) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = folder.join(format!("{name}-v{FORMAT}.bin"));
    if !path.exists() && std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(&path, seal(wanted)).unwrap();
    }
    let bytes = fs::read(&path).unwrap();
    assert_eq!(&encoding::open::<T>(&bytes).unwrap(), wanted, "{name}");
}

fn founding() -> Entry {
    let token = JoinToken { digest: "digest".into(), sealed: vec![4, 5] };
    let node = Join {
        name: "node1".parse().unwrap(),
        role: Role::Manager,
        address: [10, 0, 0, 1].into(),
        control_port: 7070,
        edge_port: 7071,
        key_digest: "key".into(),
        facts: Facts {
            milli_cpus: 4_000,
            memory: 1 << 33,
            os: "linux".into(),
            level: 1,
            ..Facts::default()
        },
        replace: false,
    };
    let found = Found {
        cluster: ClusterId("00112233445566778899aabbccddeeff".into()),
        authority: "certificate".into(),
        sealed_key: vec![1, 2, 3],
        manager_token: token.clone(),
        worker_token: token,
        mesh: None,
        node,
    };
    Entry {
        at: Time(5),
        wall: WallTime(1_700_000_000_000),
        request: Some(RequestId { stamp: Time(0), high: 1, low: 2 }),
        command: Command::Found(found),
    }
}

fn members() -> MembersRecord {
    let member = |n: u8| Member { address: ([10, 0, 0, n], 7070).into(), disk: format!("disk{n}") };
    MembersRecord {
        voters: vec![BTreeSet::from([2]), BTreeSet::from([2, 5])],
        members: BTreeMap::from([(2, member(1)), (5, member(2)), (9, member(3))]),
    }
}

#[test]
fn golden_entries_load() {
    let id = LogIdRecord { term: 3, index: 17 };
    loads("entry-command", &EntryRecord { id, holds: Holds::Command(encode(&founding())) });
    loads("entry-blank", &EntryRecord { id, holds: Holds::Blank });
    loads("entry-members", &EntryRecord { id, holds: Holds::Members(members()) });
    loads("command", &founding());
    loads("vote", &VoteRecord { term: 3, node: 2, committed: true });
}

#[test]
fn golden_snapshots_load() {
    let mut state = State::default();
    state.apply(2, &founding());
    let last = LogIdRecord { term: 1, index: 2 };
    let members = StoredRecord { at: Some(LogIdRecord { term: 1, index: 0 }), members: members() };
    loads("snapshot", &Taken { last: Some(last), members, state });
}
