//! The words for what goes wrong with TLS and below it.

use std::io;

use rustls::AlertDescription;
use rustls::CertificateError;
use rustls::Error;

use crate::clients::kafka::tls::config::Shown;
use crate::clients::kafka::tls::verifier::Disbelief;

/// A sentence for a certain TLS failure; none where the connection merely ended.
pub(in crate::clients) fn of_tls(error: &io::Error, shown: &Shown) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => match other.0.downcast_ref::<Disbelief>() {
            Some(disbelief) => disbelief.to_string(),
            None => format!("the broker's certificate is not accepted: {other}"),
        },
        Error::AlertReceived(alert) => of_alert(*alert, shown.certificate(), shown.is_missed()),
        Error::InvalidMessage(_) => {
            "this port answers something that is not TLS: is it a plaintext port, or no Kafka broker at all?".to_owned()
        }
        Error::PeerIncompatible(why) => {
            format!(
                "the broker shares no TLS version or cipher suite with this program ({why:?}): see ssl.enabled.protocols and ssl.cipher.suites on both sides"
            )
        }
        other => format!("TLS failed: {other}"),
    })
}

/// Said where a broker asked for a certificate and got none.
const WANTS_CERTIFICATE: &str =
    "the broker wants a client certificate, and none is set: give ssl.keystore.location or ssl.keystore.key";

/// What a broker means by an alert. In TLS 1.3 it arrives only with the first answer.
fn of_alert(alert: AlertDescription, identity: Option<&str>, is_missed: bool) -> String {
    use AlertDescription as Alert;
    match (alert, identity) {
        (
            Alert::CertificateRequired | Alert::NoCertificate | Alert::BadCertificate | Alert::CertificateUnknown,
            None,
        ) => WANTS_CERTIFICATE.to_owned(),
        // Newer Java versions say so in TLS 1.2.
        (Alert::HandshakeFailure, None) if is_missed => WANTS_CERTIFICATE.to_owned(),
        (Alert::CertificateExpired, Some(shown)) => {
            format!(
                "the broker refuses the client certificate ({shown}) as expired: renew it, or check the broker's clock"
            )
        }
        (
            Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateRequired
            | Alert::AccessDenied,
            Some(shown),
        ) => format!(
            "the broker refuses the client certificate ({shown}): its CA must stand in the broker's trust store (alert {alert:?})"
        ),
        (Alert::ProtocolVersion, _) => {
            "the broker speaks none of the TLS versions that are enabled here: see ssl.enabled.protocols on both sides"
                .to_owned()
        }
        (Alert::HandshakeFailure | Alert::InsufficientSecurity, None) => format!(
            "the broker broke the TLS handshake off (alert {alert:?}): it shares no cipher suite or TLS version with this program, or it wants a client certificate and none is set"
        ),
        (Alert::HandshakeFailure | Alert::InsufficientSecurity, Some(_)) => format!(
            "the broker broke the TLS handshake off (alert {alert:?}): it shares no cipher suite or TLS version with this program, or it does not like the client certificate's key"
        ),
        (Alert::UnrecognisedName, _) => "the broker's TLS does not know the host name that was asked for".to_owned(),
        _ => format!("the broker ended TLS with the alert {alert:?}: its log has the reason"),
    }
}

/// An error of the network in a few words.
pub(in crate::clients) fn show_tcp(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: nothing listens there".to_owned(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the broker closed the connection".to_owned()
        }
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        _ => match error.to_string().split_once("failed to lookup address information: ") {
            Some((_, why)) => format!("this host name is not found (DNS: {why})"),
            None => error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_about_certificates_tell_none_from_a_refused_one() {
        let none = of_alert(AlertDescription::CertificateRequired, None, true);
        assert!(none.contains("wants a client certificate, and none is set"), "{none}");
        let refused = of_alert(AlertDescription::UnknownCA, Some("CN=me"), false);
        assert!(refused.contains("refuses the client certificate (CN=me)"), "{refused}");
        let asked = |is_missed| of_alert(AlertDescription::HandshakeFailure, None, is_missed);
        assert_eq!(asked(true), none);
        assert!(asked(false).contains("it shares no cipher suite"), "{}", asked(false));
    }

    #[test]
    fn the_network_speaks_plain_words() {
        let words = |kind| show_tcp(&io::Error::from(kind));
        assert_eq!(words(io::ErrorKind::ConnectionRefused), "connection refused: nothing listens there");
        assert_eq!(words(io::ErrorKind::ConnectionReset), "the broker closed the connection");
        let dns = io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(show_tcp(&dns), "this host name is not found (DNS: Name or service not known)");
    }
}
