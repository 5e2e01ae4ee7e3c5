//! How a connection becomes one of a session: who we are is said and proved before the first request.
//!
//! A connect request without a session's id makes a new session; with it, the session goes on, wherever it was before.

use std::time::Duration;

use super::code;
use super::dial::{Dialer, Failed};
use super::digest_md5::Exchange;
use super::jute::{Reader, Writer};
use super::wire::{Header, Wire};
use crate::clients::zookeeper::ZooKeeperError;
use crate::clients::zookeeper::settings::{Login, Scheme};
use crate::cluster::address::show_address;
use crate::formats::secret::ExposeSecret;

/// The code of a refused login.
const AUTH_FAILED: i32 = -115;
/// The code of a server that wants SASL.
const SASL_REQUIRED: i32 = -124;
/// The number of a login with `addauth`.
const AUTH_XID: i32 = -4;
/// The number of the exchange of SASL; requests go on from there.
const SASL_XID: i32 = 1;
/// Answers that may come before the one that is waited for.
const OTHERS_MAX: usize = 100;
/// Longest password of a session that is kept, in bytes; ZooKeeper's have 16.
const PASSWORD_BYTES_MAX: usize = 64;
/// Shortest session that is believed: a server that says less would end it before a ping could reach it.
const SESSION_MIN: Duration = Duration::from_millis(100);

/// A session, as servers know it.
#[derive(Debug, Default)]
pub(super) struct Identity {
    /// Its number; 0 before the first server gave one.
    id: i64,
    password: Vec<u8>,
    /// The last transaction that any server showed us: one that is behind it refuses us.
    pub(super) last_zxid: i64,
    /// The number of the next request.
    pub(super) xid: i32,
}

impl Identity {
    /// The number of the next request: positive, since others have a meaning of their own.
    pub(super) fn next_xid(&mut self) -> i32 {
        self.xid = self.xid.checked_add(1).unwrap_or(SASL_XID + 1);
        self.xid
    }

    /// The session's number, as ZooKeeper's logs show it.
    pub(super) fn show(&self) -> String {
        format!("0x{:x}", self.id)
    }
}

/// Opens a connection to a server, and makes or continues the session; how long it lives without a request of ours.
pub(super) async fn open(
    dialer: &Dialer,
    identity: &mut Identity,
    host: &str,
    port: u16,
) -> Result<(Wire, Duration), Failed> {
    let stream = dialer.connect(host, port).await?;
    let mut wire = Wire::new(stream, dialer.settings.bytes_max);
    let address = show_address(host, port);
    let broken = |error: std::io::Error| dialer.why_no_session(&address, &error);
    let wanted = i32::try_from(dialer.settings.session.as_millis()).unwrap_or(i32::MAX);
    let request = Writer::new()
        .int(0)
        .long(identity.last_zxid)
        .int(wanted)
        .long(identity.id)
        .buffer(if identity.password.is_empty() { &[0; 16] } else { &identity.password })
        .boolean(false);
    wire.write(&request.done()).await.map_err(broken)?;
    let answer = wire.read().await.map_err(broken)?;
    let lifetime = take_session(identity, &answer)?;
    if let Some(login) = &dialer.settings.login {
        match login.scheme {
            Scheme::Digest => send_login(&mut wire, login).await,
            Scheme::Sasl => exchange(&mut wire, login).await,
        }
        .map_err(|trouble| match trouble {
            Trouble::Broken(error) => dialer.why_no_session(&address, &error),
            Trouble::Failed(failed) => failed,
        })?;
    }
    Ok((wire, lifetime))
}

/// Reads the answer to a connect request; a session of no length has expired.
fn take_session(identity: &mut Identity, answer: &[u8]) -> Result<Duration, Failed> {
    let garbled = |why| Failed::Now(format!("its answer is not ZooKeeper's: {why}"));
    let mut reader = Reader::new(answer);
    let mut read = || Ok::<_, String>((reader.int()?, reader.int()?, reader.long()?, reader.buffer()?));
    let (_, timeout, id, password) = read().map_err(garbled)?;
    let lifetime = Duration::from_millis(u64::try_from(timeout).unwrap_or(0));
    if lifetime.is_zero() {
        return Err(Failed::Certainly(ZooKeeperError::SessionExpired));
    }
    if id == 0 || password.len() > PASSWORD_BYTES_MAX || lifetime < SESSION_MIN {
        return Err(garbled("a session that can't be used".to_owned()));
    }
    identity.id = id;
    identity.password = password.to_vec();
    Ok(lifetime)
}

/// Why a login did not work.
enum Trouble {
    Broken(std::io::Error),
    Failed(Failed),
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error)
    }
}

fn refused(why: String) -> Trouble {
    Trouble::Failed(Failed::Certainly(ZooKeeperError::AuthFailed(why)))
}

/// `addauth digest`: the server hashes the password, and compares it with access lists later.
async fn send_login(wire: &mut Wire, login: &Login) -> Result<(), Trouble> {
    let secret = format!("{}:{}", login.user, login.password.expose_secret());
    let record = Writer::new().int(AUTH_XID).int(code::AUTH).int(0).text("digest").buffer(secret.as_bytes());
    wire.write(&record.done()).await?;
    answer_to(wire, AUTH_XID, login).await.map(drop)
}

/// SASL DIGEST-MD5: nothing, challenge, response, the server's proof.
async fn exchange(wire: &mut Wire, login: &Login) -> Result<(), Trouble> {
    let challenge = step(wire, &[], login).await?;
    let exchange = Exchange::answer(&challenge, &login.user, &login.password, &nonce()?).map_err(refused)?;
    let last = step(wire, exchange.response.as_bytes(), login).await?;
    if exchange.is_proved(&last) {
        Ok(())
    } else {
        Err(refused("the server does not know the password itself".to_owned()))
    }
}

async fn step(wire: &mut Wire, token: &[u8], login: &Login) -> Result<Vec<u8>, Trouble> {
    wire.write(&Writer::new().int(SASL_XID).int(code::SASL).buffer(token).done()).await?;
    let answer = answer_to(wire, SASL_XID, login).await?;
    let token = Reader::new(&answer).buffer().map_err(|why| refused(format!("its answer can't be read: {why}")))?;
    Ok(token.to_vec())
}

/// The body of the answer with this number.
async fn answer_to(wire: &mut Wire, xid: i32, login: &Login) -> Result<Vec<u8>, Trouble> {
    for _ in 0..OTHERS_MAX {
        let frame = wire.read().await?;
        let header = Header::read(&frame).map_err(|why| Trouble::Failed(Failed::Now(why)))?;
        match header.code {
            AUTH_FAILED => {
                return Err(refused(format!("the server refuses {} user {}", login.scheme.name(), login.user)));
            }
            SASL_REQUIRED => {
                return Err(refused("the server wants SASL: give --zookeeper-login sasl with a user".to_owned()));
            }
            0 if header.xid == xid => return Ok(frame.slice(Header::BYTES..).to_vec()),
            code if header.xid == xid => {
                return Err(refused(format!("the server answers code {code} to {}", login.scheme.name())));
            }
            _ => {}
        }
    }
    Err(Trouble::Failed(Failed::Now("it answers to everything but the login".to_owned())))
}

/// Letters and digits that were never used before.
fn nonce() -> Result<String, Trouble> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Trouble::Failed(Failed::Now("the machine gives no random bytes".to_owned())))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_requests_stay_positive_for_ever() {
        let mut identity = Identity { xid: i32::MAX, ..Identity::default() };
        assert_eq!(identity.next_xid(), 2);
        assert_eq!(identity.next_xid(), 3);
    }

    #[test]
    fn a_session_of_no_length_has_expired_and_one_that_makes_no_sense_is_not_taken() {
        let answer =
            |timeout: i32, id: i64, password: &[u8]| Writer::new().int(0).int(timeout).long(id).buffer(password).done();
        let mut identity = Identity::default();
        let taken = take_session(&mut identity, &answer(4000, 7, &[1; 16])).unwrap();
        assert_eq!((taken, identity.show()), (Duration::from_secs(4), "0x7".to_owned()));
        let expired = take_session(&mut identity, &answer(0, 0, &[])).unwrap_err();
        assert!(matches!(expired, Failed::Certainly(ZooKeeperError::SessionExpired)));
        for wrong in [answer(4000, 0, &[]), answer(1, 7, &[]), answer(4000, 7, &[0; 65]), vec![0; 5]] {
            assert!(matches!(take_session(&mut identity, &wrong), Err(Failed::Now(_))));
        }
    }
}
