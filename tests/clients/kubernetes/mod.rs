//! The contract of `clients::kubernetes::Kubernetes`, on a real API server and in memory; and what only one of them can
//! show: roles, kubeconfigs, a server that went away.

mod cases;
mod live;

/// Runs each case on both.
macro_rules! contract {
    ($($case:ident),+ $(,)?) => {
        /// In memory.
        mod in_memory {
            $(
                #[tokio::test]
                async fn $case() {
                    super::cases::$case(&super::twin()).await;
                }
            )+
        }

        /// On a real API server.
        mod on_a_server {
            $(
                #[tokio::test]
                async fn $case() {
                    super::cases::$case(&super::live::door().await).await;
                }
            )+
        }
    };
}

contract!(
    a_configmap_is_read_as_it_was_written,
    what_is_not_there_is_none_and_no_error,
    a_configmap_is_created_once,
    only_what_was_read_last_can_be_replaced,
    a_replacement_removes_what_it_lacks,
    a_selector_finds_all_pages_in_order,
    every_kind_of_selector_means_the_same,
    what_is_no_selector_is_invalid,
    a_namespace_that_is_missing_is_named,
    a_name_or_a_key_that_is_not_legal_is_invalid,
    a_configmap_beyond_its_limit_is_invalid,
    a_lease_is_read_as_it_was_written,
    of_two_that_take_a_lease_one_is_told_of_the_conflict,
    a_lease_without_a_duration_is_invalid,
    leases_are_found_by_label_in_order,
    an_event_is_cut_to_the_limits_and_written_once,
);

/// A server in memory with one namespace.
pub(crate) fn twin() -> kafka_toolbox::clients::kubernetes::Memory {
    use kafka_toolbox::clients::kubernetes::{Identity, Memory, Pod};
    Memory::new(Identity {
        namespace: "kafka".into(),
        pod: Some(Pod { name: "topics-1".into(), uid: None }),
        service_account: Some("kafka/toolbox".into()),
        source: "memory".into(),
        server: "memory".into(),
    })
}
