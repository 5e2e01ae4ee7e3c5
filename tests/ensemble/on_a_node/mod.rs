//! The manifests of ensembles and quorums on a real kubelet: init containers write what servers start from, real servers run in the
//! pods, `ensemble watch` gives joiners their votes, and a pod is ready once its server is a member.
//!
//! The image has a shell alone: Java, the servers' jars and the program of this build are folders of this machine, mounted where the
//! servers' own images have them.

mod bed;
mod controllers;
mod servers;
