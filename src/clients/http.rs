//! URLs of HTTP APIs: which scheme one has, as it is parsed and not as it is written, and whether what is secret may go
//! there.

use reqwest::Url;

/// The flag that lets secrets go to another machine unencrypted.
pub const PLAIN_HTTP_FLAG: &str = "--allow-plain-http";

/// Whether a URL is spoken to with TLS.
pub fn is_tls(url: &str) -> bool {
    Url::parse(url.trim()).is_ok_and(|url| url.scheme() == "https")
}

/// Checks the URL of an HTTP API; `secret` names what is sent there and nobody else may see. In go the URL and whether
/// [`PLAIN_HTTP_FLAG`] is given, out comes a fragment for "URL: …".
pub fn check(url: &str, secret: Option<&str>, may_be_plain: bool) -> Result<(), String> {
    // It is not repeated: what is no URL may hold a password anywhere.
    let no_api = || "this is not the URL of an HTTP API; one starts with http:// or https://".to_owned();
    let parsed = Url::parse(url.trim()).map_err(|_| no_api())?;
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        return Err(no_api());
    }
    let secret = secret.or_else(|| parsed.password().map(|_| "the password in the URL"));
    match secret {
        Some(secret) if parsed.scheme() == "http" && !may_be_plain && !is_loopback(&parsed) => Err(format!(
            "{secret} would go to {} unencrypted; use an https:// URL, or {PLAIN_HTTP_FLAG} where the network is trusted",
            parsed.host_str().unwrap_or_default()
        )),
        _ => Ok(()),
    }
}

/// Whether a URL leads to this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or(host == "localhost" || host.ends_with(".localhost"), |address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_read_whatever_their_case() {
        assert!(is_tls("https://a") && is_tls("HTTPS://a") && is_tls("hTTps://a:8443/x"));
        assert!(!is_tls("http://a") && !is_tls("HTTP://a") && !is_tls("httpsx://a") && !is_tls("https") && !is_tls(""));
    }

    #[test]
    fn a_secret_goes_unencrypted_to_this_machine_only() {
        for url in ["http://127.0.0.1:9090", "http://localhost", "http://[::1]:80/x", "http://[::ffff:127.0.0.1]"] {
            assert_eq!(check(url, Some("the token"), false), Ok(()), "{url}");
        }
        for url in ["http://prometheus:9090", "HTTP://prometheus", "http://10.0.0.1", "http://localhost.evil.example"] {
            let why = check(url, Some("the token"), false).unwrap_err();
            assert!(why.starts_with("the token would go to ") && why.contains(PLAIN_HTTP_FLAG), "{why}");
            assert_eq!(check(url, Some("the token"), true), Ok(()), "{url}");
            assert_eq!(check(url, None, false), Ok(()), "{url}");
        }
        assert_eq!(check("HTTPS://prometheus", Some("the token"), false), Ok(()));
        assert!(check("http://ann:secret@prometheus", None, false).unwrap_err().starts_with("the password in the URL"));
    }

    #[test]
    fn what_is_no_url_of_an_http_api_is_said() {
        for url in ["", "prometheus:9090", "ftp://a", "file:///etc/passwd", "http://", "/x"] {
            assert!(check(url, None, true).unwrap_err().contains("starts with http:// or https://"), "{url}");
        }
    }
}
