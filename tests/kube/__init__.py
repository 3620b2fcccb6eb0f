"""The chart and the Strimzi manifests on a real Kubernetes API server: `make kube-check` (docs/decisions/0074-chart-on-a-real-api-server.md).

There is an API server with its etcd, and no kubelet and no controller manager: objects are validated, defaulted, stored and deleted as in a
cluster, and no container starts. Where Helm waits for a controller, `hooks.py` does the controller's part.
"""
