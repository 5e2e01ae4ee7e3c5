//! Prometheus and Datadog behind TLS with a CA of one's own: `SSL_CERT_FILE` names it, and without it nothing is asked.

use std::time::Duration;

use super::tokens::endpoint;
use crate::live::kafka::{Cluster, Kind};
use crate::live::security::certificates::{Authority, BROKER_NAMES};
use crate::support::toolbox::Toolbox;

#[test]
fn load_is_measured_over_tls_with_a_ca_of_ones_own_and_not_without_it() {
    let cluster = Cluster::shared(Kind::Kafka43Kraft);
    let authority = Authority::new("a CA of one's own");
    let pair = || Some(authority.broker(&BROKER_NAMES, 2020..2100));
    let toolbox = || Toolbox::new(&cluster.bootstrap()).with("DD_API_KEY", "api-key-1").with("DD_APP_KEY", "app-key-2");
    for (source, flag) in [("prometheus", "--prometheus-url"), ("datadog", "--datadog-url")] {
        for is_trusted in [true, false] {
            let (url, asked) = endpoint("200 OK", "{}", pair());
            let base = url.trim_end_matches("/token");
            let mut toolbox = toolbox();
            if is_trusted {
                let file = toolbox.file("ca.pem", &authority.certificate);
                toolbox = toolbox.with("SSL_CERT_FILE", &file);
            }
            toolbox.run(&["throttle", "run", "--dry-run", "--load", source, flag, base]).ends_with(0);
            let request = asked.recv_timeout(Duration::from_secs(if is_trusted { 10 } else { 1 }));
            assert_eq!(request.is_ok(), is_trusted, "{source}: {request:?}");
            assert!(request.is_err() || request.unwrap().starts_with("GET /api/v1/query?"), "{source}");
        }
    }
}
