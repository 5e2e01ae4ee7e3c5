//! A real Kubernetes control plane and node.
