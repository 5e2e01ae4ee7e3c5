//! ZooKeeper's numbers of its operations (`ZooDefs.OpCode`).

pub(super) const CREATE: i32 = 1;
pub(super) const DELETE: i32 = 2;
pub(super) const EXISTS: i32 = 3;
pub(super) const GET_DATA: i32 = 4;
pub(super) const SET_DATA: i32 = 5;
pub(super) const GET_ACL: i32 = 6;
pub(super) const SET_ACL: i32 = 7;
pub(super) const SYNC: i32 = 9;
pub(super) const PING: i32 = 11;
pub(super) const GET_CHILDREN: i32 = 8;
pub(super) const CHECK: i32 = 13;
pub(super) const MULTI: i32 = 14;
pub(super) const RECONFIG: i32 = 16;
pub(super) const AUTH: i32 = 100;
pub(super) const SASL: i32 = 102;
pub(super) const SET_WATCHES: i32 = 105;
pub(super) const ADD_WATCH: i32 = 106;
pub(super) const CLOSE: i32 = -11;
/// In the answer to several operations: the entry is an error.
pub(super) const ERROR: i32 = -1;
