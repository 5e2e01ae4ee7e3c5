//! Whether a request comes from where it says: names in `Host` that are not ours are refused (a name that an attacker points
//! at this address, DNS rebinding), and so is whatever a page of another site lets a browser send.
//!
//! Address literals and `localhost` can't be pointed anywhere else; kubelet and Prometheus use the pod's address.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, HOST, HeaderName, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::agent::port::parameters::shown;
use crate::agent::port::refusal::Refusal;

/// Longest body: no request needs one.
const BODY_BYTES_MAX: u64 = 64 << 10;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Names, besides address literals and `localhost`, under which this port may be addressed.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    names: Vec<String>,
    /// The flag that adds names, where the command has one.
    flag: Option<&'static str>,
}

impl Hosts {
    /// Of these names, whatever their case, which this flag gave.
    pub fn new(names: impl IntoIterator<Item = String>, flag: &'static str) -> Self {
        let names = names.into_iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase()).collect();
        Self { names, flag: Some(flag) }
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = self.host(uri, headers)?;
        for site in headers.get_all(SEC_FETCH_SITE) {
            if site == "cross-site" || site == "same-site" {
                return Err(foreign("a page of another site"));
            }
        }
        for origin in headers.get_all(ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            if !is_of(origin, &host) {
                return Err(foreign(&format!("a page of `{}`", shown(origin))));
            }
        }
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > BODY_BYTES_MAX) {
            let words = "no request of this port needs a body: parameters stand in the query, as `?rate=50MB/s`";
            return Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, words.to_owned()));
        }
        Ok(())
    }

    /// Under which name or address this port was addressed.
    fn host(&self, uri: &Uri, headers: &HeaderMap) -> Result<Authority, Refusal> {
        let mut hosts: Vec<_> = headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default()).collect();
        // A target that is a whole URL goes before the header (RFC 9112, 3.2.2): both must be ours.
        hosts.extend(uri.authority().map(Authority::as_str));
        let mut first = None;
        for host in hosts {
            let authority: Authority =
                host.parse().map_err(|_| Refusal::wrong(format!("`{}` is no host", shown(host))))?;
            if !self.is_ours(authority.host()) || authority.as_str().contains('@') {
                let name = shown(authority.host());
                let or = self.flag.map(|flag| format!(", or start the command with {flag} {name}")).unwrap_or_default();
                let words = format!("this port is not known as `{name}`: use its address{or}");
                return Err(Refusal(StatusCode::MISDIRECTED_REQUEST, words));
            }
            if authority.port().is_none() && authority.as_str() != authority.host() {
                return Err(Refusal::wrong(format!("`{}` has no port that is a number", shown(host))));
            }
            if first.as_ref().is_some_and(|first: &Authority| first != &authority) {
                return Err(Refusal::wrong("the request names two hosts"));
            }
            first = Some(authority);
        }
        first.ok_or_else(|| Refusal::wrong("the header `Host` is missing"))
    }

    fn is_ours(&self, host: &str) -> bool {
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        literal.parse::<IpAddr>().is_ok() || name == "localhost" || self.names.contains(&name)
    }
}

/// Whether an origin is the port itself, as this client addresses it.
fn is_of(origin: &str, host: &Authority) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else { return false };
    let port = |authority: &Authority, default| authority.port_u16().unwrap_or(default);
    let default = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let Some(authority) = origin.authority() else { return false };
    authority.host().eq_ignore_ascii_case(host.host()) && port(authority, default) == port(host, default)
}

fn foreign(whose: &str) -> Refusal {
    let words = format!("this request was sent by {whose}: only pages of this port itself, and programs, are served");
    Refusal(StatusCode::FORBIDDEN, words)
}

/// Lets a request pass, or answers it.
pub(super) async fn check(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    match hosts.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(uri: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let hosts = Hosts::new(["Throttle.kafka.svc".to_owned()], "--api-host");
        hosts.check(&uri.parse().unwrap(), &map).map_or_else(|Refusal(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn a_name_that_is_not_ours_is_answered_with_the_flag_of_the_command_that_serves() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "probe.kafka.svc:8079".parse().unwrap());
        let words = |hosts: &Hosts| hosts.check(&Uri::from_static("/live"), &headers).unwrap_err().1;
        let probe = words(&Hosts::new(Vec::new(), "--host"));
        assert!(probe.ends_with("or start the command with --host probe.kafka.svc"), "{probe}");
        assert!(words(&Hosts::default()).ends_with("use its address"), "no flag of that command gives names");
    }

    #[test]
    fn addresses_localhost_and_listed_names_are_hosts_and_other_names_are_not() {
        for host in ["127.0.0.1:8080", "10.1.2.3", "[::1]:8080", "[fd00::1]", "localhost", "LOCALHOST:1", "localhost."]
        {
            assert_eq!(status("/healthz", &[("host", host)]), 200, "{host}");
        }
        for host in ["throttle.kafka.svc", "throttle.kafka.svc.:8080", "THROTTLE.KAFKA.SVC:80"] {
            assert_eq!(status("/healthz", &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "x@127.0.0.1"] {
            assert_eq!(status("/healthz", &[("host", host)]), 421, "{host}");
        }
        for host in ["", "a b", "[::1", "127.0.0.1:x"] {
            assert!([400, 421].contains(&status("/healthz", &[("host", host)])), "{host}");
        }
        assert_eq!(status("/healthz", &[]), 400);
        assert_eq!(status("/healthz", &[("host", "localhost"), ("host", "127.0.0.1")]), 400);
        assert_eq!(status("http://evil.example/healthz", &[("host", "127.0.0.1")]), 421);
    }

    #[test]
    fn a_page_of_another_site_is_refused_and_one_of_the_port_itself_is_not() {
        let host = ("host", "127.0.0.1:8080");
        assert_eq!(status("/throttle", &[host, ("origin", "http://127.0.0.1:8080")]), 200);
        assert_eq!(status("/throttle", &[("host", "localhost"), ("origin", "http://localhost:80")]), 200);
        for origin in ["http://evil.example", "http://127.0.0.1:3000", "null", "", "file://127.0.0.1:8080", "http://"] {
            assert_eq!(status("/throttle", &[host, ("origin", origin)]), 403, "{origin}");
        }
        for (site, expected) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
            assert_eq!(status("/throttle", &[host, ("sec-fetch-site", site)]), expected, "{site}");
        }
        assert_eq!(status("/throttle", &[host, ("content-length", "65537")]), 413);
    }
}
