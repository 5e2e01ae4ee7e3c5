//! Requests and their answers as records: the operations of ZooKeeper's `OpCode`, and nothing of connections.

use super::code;
use super::jute::{Garbled, Reader, Writer};
use crate::clients::zookeeper::error::Refusal;
use crate::clients::zookeeper::{Creation, Operation, Outcome, Reconfiguration, Stat, WatchKind, ZooKeeperError};

/// A request that is ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// Its name in messages.
    pub(super) name: &'static str,
    /// The operation.
    pub(super) code: i32,
    /// Its record.
    pub(super) body: Vec<u8>,
}

impl Request {
    /// A request of this record.
    pub(super) fn new(name: &'static str, code: i32, body: Writer) -> Self {
        Self { name, code, body: body.done() }
    }

    /// A request about one node that has no watch.
    pub(super) fn of_node(name: &'static str, code: i32, path: &str) -> Self {
        Self::new(name, code, Writer::new().text(path).boolean(false))
    }
}

/// Version -1 means any.
fn version(expected: Option<i32>) -> i32 {
    expected.unwrap_or(-1)
}

/// Creates a node.
pub(super) fn create(path: &str, data: &[u8], creation: &Creation) -> Request {
    Request::new("create", code::CREATE, create_record(path, data, creation))
}

fn create_record(path: &str, data: &[u8], creation: &Creation) -> Writer {
    Writer::new().text(path).buffer(data).acl(&creation.acl).int(creation.mode.flags())
}

/// Writes a node.
pub(super) fn set(path: &str, data: &[u8], expected: Option<i32>) -> Request {
    Request::new("setData", code::SET_DATA, Writer::new().text(path).buffer(data).int(version(expected)))
}

/// Removes a node.
pub(super) fn delete(path: &str, expected: Option<i32>) -> Request {
    Request::new("delete", code::DELETE, Writer::new().text(path).int(version(expected)))
}

/// Writes an access list.
pub(super) fn set_acl(path: &str, acl: &[crate::clients::zookeeper::Acl], expected: Option<i32>) -> Request {
    Request::new("setACL", code::SET_ACL, Writer::new().text(path).acl(acl).int(version(expected)))
}

/// Reads an access list.
pub(super) fn get_acl(path: &str) -> Request {
    Request::new("getACL", code::GET_ACL, Writer::new().text(path))
}

/// Waits for the leader.
pub(super) fn sync(path: &str) -> Request {
    Request::new("sync", code::SYNC, Writer::new().text(path))
}

/// Adds a persistent watch.
pub(super) fn add_watch(path: &str, kind: WatchKind) -> Request {
    let mode = match kind {
        WatchKind::Node => 0,
        WatchKind::Tree => 1,
    };
    Request::new("addWatch", code::ADD_WATCH, Writer::new().text(path).int(mode))
}

/// Changes the membership. Lists are texts with commas; one that is empty is missing.
pub(super) fn reconfig(change: &Reconfiguration) -> Request {
    let leaving: Vec<_> = change.leaving.iter().map(u64::to_string).collect();
    let list = |entries: &[String]| (!entries.is_empty()).then(|| entries.join(","));
    let (joining, leaving) = (list(&change.joining), list(&leaving));
    let body = Writer::new()
        .optional(joining.as_deref())
        .optional(leaving.as_deref())
        // The whole membership at once is never sent.
        .optional(None)
        .long(change.from_version.unwrap_or(-1));
    Request::new("reconfig", code::RECONFIG, body)
}

/// Several operations, with their paths as the server knows them.
pub(super) fn multi(operations: &[Operation], absolute: impl Fn(&str) -> String) -> Request {
    let mut body = Vec::new();
    for operation in operations {
        let path = absolute(operation.path());
        let (code, record) = match operation {
            Operation::Check { version, .. } => (code::CHECK, Writer::new().text(&path).int(*version)),
            Operation::Create { data, creation, .. } => (code::CREATE, create_record(&path, data, creation)),
            Operation::Set { data, version: expected, .. } => {
                (code::SET_DATA, Writer::new().text(&path).buffer(data).int(version(*expected)))
            }
            Operation::Delete { version: expected, .. } => {
                (code::DELETE, Writer::new().text(&path).int(version(*expected)))
            }
        };
        body.extend(Writer::new().int(code).boolean(false).int(-1).done());
        body.extend(record.done());
    }
    body.extend(Writer::new().int(-1).boolean(true).int(-1).done());
    Request { name: "multi", code: code::MULTI, body }
}

/// What several operations have done, or which one was refused. `relative` makes paths those of the caller.
pub(super) fn read_multi(
    answer: &[u8],
    operations: &[Operation],
    relative: impl Fn(String) -> String,
) -> Result<Result<Vec<Outcome>, ZooKeeperError>, Garbled> {
    let mut reader = Reader::new(answer);
    let mut outcomes = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        let (kind, is_done, _) = (reader.int()?, reader.boolean()?, reader.int()?);
        if is_done {
            return Err(format!("{index} outcomes of {} operations", operations.len()));
        }
        outcomes.push(match kind {
            code::CHECK => Outcome::Checked,
            code::CREATE => Outcome::Created(relative(reader.text()?)),
            code::SET_DATA => Outcome::Set(reader.stat()?),
            code::DELETE => Outcome::Deleted,
            code::ERROR => {
                // Those before the one that is refused say 0; those behind it say that they were not tried (-2).
                let Some(refusal) = Refusal::of(reader.int()?) else { continue };
                let error = Box::new(ZooKeeperError::Refused(refusal, operation.path().to_owned()));
                return Ok(Err(ZooKeeperError::Operation { index, error }));
            }
            other => return Err(format!("an outcome of kind {other}")),
        });
    }
    if outcomes.len() == operations.len() { Ok(Ok(outcomes)) } else { Err("errors that are none".to_owned()) }
}

/// Data and stat.
pub(super) fn read_node(answer: &[u8]) -> Result<(Vec<u8>, Stat), Garbled> {
    let mut reader = Reader::new(answer);
    Ok((reader.buffer()?.to_vec(), reader.stat()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clients::zookeeper::Mode;

    fn operations() -> Vec<Operation> {
        vec![
            Operation::Check { path: "/a".to_owned(), version: 3 },
            Operation::Create { path: "/b".to_owned(), data: vec![], creation: Creation::open(Mode::Persistent) },
            Operation::Delete { path: "/c".to_owned(), version: None },
        ]
    }

    fn entry(kind: i32, record: Writer) -> Vec<u8> {
        [Writer::new().int(kind).boolean(false).int(0).done(), record.done()].concat()
    }

    #[test]
    fn the_operation_that_was_refused_is_named_and_not_those_that_were_not_tried() {
        let codes = [0, -110, -2];
        let answer: Vec<u8> = codes.iter().flat_map(|&code| entry(code::ERROR, Writer::new().int(code))).collect();
        let error = read_multi(&answer, &operations(), |path| path).unwrap().unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::NodeExists));
        assert!(matches!(error, ZooKeeperError::Operation { index: 1, .. }), "{error}");
        let done = [
            entry(code::CHECK, Writer::new()),
            entry(code::CREATE, Writer::new().text("/x/b")),
            entry(code::DELETE, Writer::new()),
        ];
        let outcomes = read_multi(&done.concat(), &operations(), |path| path.replace("/x", "")).unwrap().unwrap();
        assert_eq!(outcomes, [Outcome::Checked, Outcome::Created("/b".to_owned()), Outcome::Deleted]);
    }

    #[test]
    fn a_change_of_the_membership_is_never_sent_as_a_whole_membership() {
        let change =
            Reconfiguration { joining: vec!["server.4=x".to_owned()], leaving: vec![2, 3], from_version: Some(7) };
        let body = reconfig(&change).body;
        let mut reader = Reader::new(&body);
        assert_eq!(reader.text().unwrap(), "server.4=x");
        assert_eq!(reader.text().unwrap(), "2,3");
        assert_eq!(reader.int().unwrap(), -1);
        assert_eq!(reader.long().unwrap(), 7);
        assert!(reader.is_empty());
    }

    proptest! {
        #[test]
        fn any_answer_to_several_operations_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_multi(&bytes, &operations(), |path| path);
            let _ = read_node(&bytes);
        }
    }
}
