package main

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/kubernetes/cmd/kubelet/app"
)

// kubelet is the part that runs pods on a node.
func kubelet() *cobra.Command { return app.NewKubeletCommand(context.Background()) }
