//! The webhook's certificate over time: read again when its files change, replaced before it expires, and the API server
//! kept trusting one that this process made.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::clients::kubernetes::{Kubernetes, KubernetesError};
use crate::clients::tls_server::{Certificates, add_to_bundle};
use crate::commands::rollout::agent::drain::board::Board;
use crate::output;

/// How often it is looked whether the API server still trusts it: an `apply` of the manifests may have taken that away.
const TRUSTED_AGAIN_EVERY: Duration = Duration::from_secs(30);

/// How often the configuration is read again where another replica was faster.
const ATTEMPTS: u32 = 5;

/// The certificate, and for whom.
pub struct Certificate {
    certificates: Arc<Certificates>,
    /// The ValidatingWebhookConfiguration that gets it, where this process made it.
    configuration: Option<String>,
    /// When the API server was seen trusting it last.
    trusted_at: Option<Instant>,
}

impl Certificate {
    /// A certificate; `configuration` names the ValidatingWebhookConfiguration that a self-made one is written into.
    pub fn new(certificates: Arc<Certificates>, configuration: Option<String>) -> Self {
        Self { certificates, configuration, trusted_at: None }
    }

    /// Looks after it: fails where clients do not accept it any more, or where the API server can't be updated with it.
    pub async fn look_after(
        &mut self,
        kubernetes: &dyn Kubernetes,
        now: Timestamp,
        board: &Board,
    ) -> anyhow::Result<()> {
        match self.certificates.refresh(now) {
            Ok(true) => {
                let until = self.certificates.valid_until();
                output::say(&format!("the webhook has another certificate from now on, valid until {until}"));
                self.trusted_at = None;
            }
            Ok(false) => {}
            // While a mounted Secret changes, a key may be newer than its certificate for a moment.
            Err(error) => tracing::warn!(%error, "the webhook keeps its former certificate"),
        }
        board.set_valid_until(self.certificates.valid_until());
        if let Some(trouble) = self.certificates.trouble(now) {
            bail!("{trouble}: the API server calls this webhook in vain, and denies all evictions that it is to judge");
        }
        let is_due = self.trusted_at.is_none_or(|at| at.elapsed() >= TRUSTED_AGAIN_EVERY);
        if let Some(configuration) = self.configuration.as_deref().filter(|_| is_due) {
            trust(kubernetes, configuration, &self.certificates.pem(), now).await?;
            self.trusted_at = Some(Instant::now());
        }
        Ok(())
    }
}

/// Adds the certificate to what the API server trusts, beside those of other replicas.
async fn trust(kubernetes: &dyn Kubernetes, configuration: &str, pem: &str, now: Timestamp) -> anyhow::Result<()> {
    for _ in 0..ATTEMPTS {
        let found = kubernetes.trust_bundles(configuration).await;
        let found =
            found.with_context(|| format!("failed to read the ValidatingWebhookConfiguration {configuration}"))?;
        let Some(found) = found else {
            bail!(
                "there is no ValidatingWebhookConfiguration {configuration}: evictions are not guarded. Apply \
                 manifests/drain-guard, or name another one with --webhook-configuration"
            );
        };
        let Some((_, before)) = found.webhooks.first() else { return Ok(()) };
        let is_same = found.webhooks.iter().all(|(_, bundle)| bundle == before);
        let wanted = match add_to_bundle(before, pem, now) {
            Some(wanted) => wanted,
            None if is_same => return Ok(()),
            None => String::from_utf8_lossy(before).into_owned(),
        };
        match kubernetes.set_trust_bundles(configuration, &found, &wanted).await {
            Ok(()) => {
                output::say(&format!("the API server trusts the webhook's certificate (caBundle of {configuration})"));
                return Ok(());
            }
            Err(KubernetesError::Conflict { .. } | KubernetesError::Unreachable { .. }) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("failed to write the caBundle of {configuration}"));
            }
        }
    }
    bail!("the caBundle of {configuration} could not be written in {ATTEMPTS} attempts: others change it all the time")
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::clients::kubernetes::{Identity, Memory, TrustBundles};

    const NAME: &str = "kafka-drain-guard";

    fn server(webhooks: &[(&str, &str)]) -> Memory {
        let identity = Identity {
            namespace: "kafka".into(),
            pod: None,
            service_account: None,
            source: "memory".into(),
            server: "memory".into(),
        };
        let server = Memory::new(identity);
        let webhooks = webhooks.iter().map(|(name, bundle)| ((*name).to_owned(), bundle.as_bytes().to_vec())).collect();
        server.add_webhooks(NAME, TrustBundles { webhooks });
        server
    }

    fn certificate(now: Timestamp) -> (Certificate, Arc<Certificates>) {
        let certificates = Certificates::self_made(vec!["drain-guard.kafka.svc".into()], now).unwrap();
        let certificates = Arc::new(certificates);
        (Certificate::new(Arc::clone(&certificates), Some(NAME.to_owned())), certificates)
    }

    async fn bundle(server: &Memory) -> String {
        let found = server.trust_bundles(NAME).await.unwrap().unwrap();
        assert!(found.webhooks.iter().all(|(_, bundle)| *bundle == found.webhooks[0].1));
        String::from_utf8(found.webhooks[0].1.clone()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn replicas_add_their_certificates_and_what_an_apply_took_away_is_put_back() {
        let server = server(&[("evict.a.b", ""), ("other.a.b", "rubbish")]);
        let (board, now) = (Board::default(), Timestamp::now());
        let ((mut one, first), (mut two, second)) = (certificate(now), certificate(now));
        one.look_after(&server, now, &board).await.unwrap();
        assert_eq!(bundle(&server).await, first.pem());
        two.look_after(&server, now, &board).await.unwrap();
        assert_eq!(bundle(&server).await, format!("{}{}", first.pem(), second.pem()));
        server.add_webhooks(NAME, TrustBundles { webhooks: vec![("evict.a.b".into(), Vec::new())] });
        one.look_after(&server, now, &board).await.unwrap();
        assert_eq!(bundle(&server).await, "", "it is looked at every half minute");
        tokio::time::advance(TRUSTED_AGAIN_EVERY).await;
        one.look_after(&server, now, &board).await.unwrap();
        assert_eq!(bundle(&server).await, first.pem());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_certificate_is_made_in_the_last_third_of_the_old_ones_life() {
        let (server, board, now) = (server(&[("evict.a.b", "")]), Board::default(), Timestamp::now());
        let (mut one, certificates) = certificate(now);
        one.look_after(&server, now, &board).await.unwrap();
        let old = certificates.pem();
        let later = now + SignedDuration::from_hours(24 * 200);
        one.look_after(&server, later, &board).await.unwrap();
        assert_eq!(certificates.pem(), old);
        let later = now + SignedDuration::from_hours(24 * 250);
        one.look_after(&server, later, &board).await.unwrap();
        assert_ne!(certificates.pem(), old);
        assert_eq!(bundle(&server).await, format!("{old}{}", certificates.pem()));
        let expired = now + SignedDuration::from_hours(24 * 400);
        tokio::time::advance(TRUSTED_AGAIN_EVERY).await;
        one.look_after(&server, expired, &board).await.unwrap();
        assert!(!bundle(&server).await.contains(&old), "what has expired is left out");
    }

    #[tokio::test]
    async fn a_configuration_that_is_missing_or_forbidden_is_named() {
        let (server, board, now) = (server(&[]), Board::default(), Timestamp::now());
        let certificates = Arc::new(Certificates::self_made(vec!["x".into()], now).unwrap());
        let mut missing = Certificate::new(certificates, Some("nowhere".to_owned()));
        let error = missing.look_after(&server, now, &board).await.unwrap_err();
        assert!(error.to_string().contains("evictions are not guarded"), "{error}");
        server.forbid(crate::clients::kubernetes::Verb::Get, crate::clients::kubernetes::Resource::ValidatingWebhooks);
        let error = format!("{:#}", missing.look_after(&server, now, &board).await.unwrap_err());
        assert!(error.contains("may not get validatingwebhookconfigurations"), "{error}");
    }
}
