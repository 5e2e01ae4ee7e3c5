//! The check at a command's start: does the API server allow all that the command will need there? Asked before anything
//! is changed, so that a right that is missing does not show after the work, when its result can't be kept any more.

use std::fmt::Write as _;

use crate::clients::kubernetes::Kubernetes;
use crate::context::Context;
use crate::context::flags::LockIn;
use crate::context::rights::{LockKind, Rule, Setup, Workload, rules};
use crate::exit::Stop;
use crate::state::place::Place;

impl Context {
    /// Refuses a run that lacks a right in Kubernetes, with every rule that its Role lacks. Does nothing where state is kept in
    /// files, and goes on where the API server does not answer such questions.
    pub async fn check_rights(&self, workload: Workload, setup: &Setup) -> anyhow::Result<()> {
        let Place::Kubernetes(kubernetes) = self.place().await? else { return Ok(()) };
        self.check_rules(workload, &rules(workload, setup), kubernetes.as_ref()).await
    }

    /// What the rights of this run depend on; whoever declares topics says who does.
    pub fn rights_setup(&self, cluster_id: &str) -> Setup {
        let lock = match self.flags.kubernetes.lock {
            LockIn::Auto | LockIn::Kafka => LockKind::Kafka,
            LockIn::Lease => LockKind::Lease,
            LockIn::File => LockKind::File,
            LockIn::None => LockKind::None,
        };
        let cluster = self.cluster_ref(cluster_id);
        Setup { cluster, owner: String::new(), lock, reads_config_maps: false, maps: Vec::new() }
    }

    async fn check_rules(
        &self,
        workload: Workload,
        needed: &[Rule],
        kubernetes: &dyn Kubernetes,
    ) -> anyhow::Result<()> {
        let identity = kubernetes.identity();
        let rights: Vec<_> = needed.iter().flat_map(Rule::rights).collect();
        let lacking = match kubernetes.lacking(&identity.namespace, &rights).await {
            Ok(lacking) => lacking,
            Err(error) => {
                tracing::debug!(%error, "which rights this run has could not be asked");
                return Ok(());
            }
        };
        let lacks = |rule: &&Rule| rule.rights().iter().any(|right| lacking.contains(right));
        let missing: Vec<_> = needed.iter().filter(lacks).collect();
        if missing.iter().all(|rule| rule.is_optional) {
            for rule in missing {
                tracing::info!("this run lacks a right that it can do without: {}", rule.yaml(0).replace('\n', " "));
            }
            return Ok(());
        }
        let mut words = format!(
            "{} lacks rights in namespace {} that `toolbox {}` needs. Nothing was changed. Add these rules to its Role \
             (`toolbox rbac {}` prints the whole Role):",
            identity.asker(),
            identity.namespace,
            self.command,
            workload.name(),
        );
        for rule in missing {
            let _ = write!(words, "\n{}", rule.yaml(0).trim_end());
        }
        Err(Stop::refused(words).into())
    }
}
