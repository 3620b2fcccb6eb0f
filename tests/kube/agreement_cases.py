"""Changes of the chart's values, each with whether a cluster accepts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Case:
    """One change to the smallest values."""

    name: str
    values: Mapping[str, Any]
    accepted: bool
    stricter: str = ""
    """Why the schema refuses what this server stores."""


NO_SUCH_OBJECT: Final = "no such object can exist, so no pod would start"
OLDER: Final = "Kubernetes refuses it before 1.34"
WEBHOOK: Final = "the operator's webhook refuses it, which is not here"


def _router(**values: Any) -> Mapping[str, Any]:
    return {"router": values}


def _cpu(amount: object) -> Mapping[str, Any]:
    return _router(resources={"requests": {"cpu": amount}})


def _secret_files(*pairs: tuple[str, str]) -> Mapping[str, Any]:
    return {"ingest": {"channelSecretsFiles": [{"tenant": tenant, "secret": secret} for tenant, secret in pairs]}}


def _peer(**peer: Any) -> Mapping[str, Any]:
    return {"networkPolicy": {"customersFrom": [peer]}}


def _certificates(duration: str) -> Mapping[str, Any]:
    return {"tls": {"certManager": {"enabled": True, "issuerRef": {"name": "ca"}, "duration": duration}}}


def _toleration(**toleration: Any) -> Mapping[str, Any]:
    return _router(tolerations=[toleration])


_SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
_CONFIG = {"name": "more", "configMap": {"name": "more"}}
_MOUNT = {"name": "more", "mountPath": "/etc/more"}
_GATEWAY = {"enabled": True, "parentRefs": [{"name": "public"}]}

CASES: Final[Sequence[Case]] = (
    # Names
    Case("fullnameOverride with a dot", {"fullnameOverride": "chapar.prod"}, accepted=False),
    Case("fullnameOverride with a digit first", {"fullnameOverride": "1chapar"}, accepted=False),
    Case("fullnameOverride with a hyphen last", {"fullnameOverride": "chapar-"}, accepted=False, stricter="the chart would cut the hyphen"),
    Case("fullnameOverride", {"fullnameOverride": "chapar-prod"}, accepted=True),
    Case("nameOverride with a dot", {"nameOverride": "contact.chapar"}, accepted=False),
    Case("nameOverride", {"nameOverride": "contact"}, accepted=True),
    Case("clusterDomain", {"clusterDomain": "k8s.example.com"}, accepted=True),
    Case("a pull secret with capitals", {"imagePullSecrets": [{"name": "Registry"}]}, accepted=False, stricter=NO_SUCH_OBJECT),
    Case("a pull secret with dots", {"imagePullSecrets": [{"name": "registry.example"}]}, accepted=True),
    Case("a Secret with a dot", _secret_files(("shop", "a.b")), accepted=True),
    Case("a Secret with two dots", _secret_files(("shop", "a..b")), accepted=False, stricter=NO_SUCH_OBJECT),
    Case("a Secret with a hyphen after a dot", _secret_files(("shop", "a.-b")), accepted=False, stricter=NO_SUCH_OBJECT),
    Case("the same Secret twice", _secret_files(("shop", "a"), ("shop", "a")), accepted=False),
    Case("the same Secret for two tenants", _secret_files(("shop", "a"), ("bank", "a")), accepted=True),
    Case("a key of a Secret with a slash", {"ingest": {"database": {"existingSecret": "a", "key": "a/b"}}}, accepted=False),
    Case("a service account by name", {"serviceAccount": {"create": True, "name": "contact.chapar"}}, accepted=True),
    Case("a service account with capitals", {"serviceAccount": {"create": True, "name": "Contact"}}, accepted=False),
    # Labels and annotations
    Case("commonLabels", {"commonLabels": {"example.com/team": "contact_1.a"}}, accepted=True),
    Case("a label with a space", {"commonLabels": {"team": "two words"}}, accepted=False),
    Case("a label that is too long", {"podLabels": {"team": "x" * 64}}, accepted=False),
    Case("a label's key with a space", {"podLabels": {"a b": "c"}}, accepted=False),
    Case("podLabels", _router(podLabels={"team": ""}), accepted=True),
    Case("an annotation's key with a space", _router(podAnnotations={"a b": "c"}), accepted=False),
    Case("annotations", _router(podAnnotations={"example.com/any": "any: {text}"}), accepted=True),
    Case("an annotation of a Service", {"router": {"service": {"annotations": {"a/b/c": "d"}}}}, accepted=False),
    # Resources
    Case("half a CPU as a number", _cpu(0.5), accepted=True),
    Case("half a CPU as text", _cpu("0.5"), accepted=True),
    Case("a CPU as an integer", _cpu(1), accepted=True),
    Case("500m", _cpu("500m"), accepted=True),
    Case("an exponent", _cpu("5e-1"), accepted=True),
    Case("an unknown suffix", _cpu("500x"), accepted=False),
    Case("a negative CPU", _cpu("-1"), accepted=False),
    Case("text", _cpu("half"), accepted=False),
    Case("bytes as a number", _router(resources={"limits": {"memory": 1073741824}}), accepted=True),
    Case("1Gi", _router(resources={"limits": {"memory": "1Gi"}}), accepted=True),
    Case("1GB", _router(resources={"limits": {"memory": "1GB"}}), accepted=False),
    # Scheduling
    Case("a toleration", _toleration(key="dedicated", operator="Exists", effect="NoSchedule"), accepted=True),
    Case("an unknown effect", _toleration(key="dedicated", operator="Exists", effect="Never"), accepted=False),
    Case("an unknown operator", _toleration(key="dedicated", operator="In"), accepted=False),
    Case("an unknown field of a toleration", _toleration(key="dedicated", seconds=3), accepted=False),
    Case("an unknown kind of affinity", _router(affinity={"nodeAntiAffinity": {}}), accepted=False),
    Case("a node's label", _router(nodeSelector={"kubernetes.io/arch": "arm64"}), accepted=True),
    Case("a priority class with capitals", _router(priorityClassName="High"), accepted=False),
    Case("spread", _router(topologySpreadConstraints=[_SPREAD]), accepted=True),
    Case("spread with skew 0", {"topologySpreadConstraints": [_SPREAD | {"maxSkew": 0}]}, accepted=False),
    Case("spread with an unknown policy", {"topologySpreadConstraints": [_SPREAD | {"whenUnsatisfiable": "Ask"}]}, accepted=False),
    Case("no spread", {"topologySpreadConstraints": []}, accepted=True),
    # Disruption budgets
    Case("a budget in per cent", _router(podDisruptionBudget={"minAvailable": "50%"}), accepted=True),
    Case("a budget of nothing", {"podDisruptionBudget": {"enabled": True, "maxUnavailable": 0}}, accepted=True),
    Case("a budget in words", {"podDisruptionBudget": {"enabled": True, "maxUnavailable": "half"}}, accepted=False),
    Case("a negative budget", {"podDisruptionBudget": {"enabled": True, "maxUnavailable": -1}}, accepted=False),
    Case("an unknown eviction policy", _router(podDisruptionBudget={"unhealthyPodEvictionPolicy": "Never"}), accepted=False),
    # Additions to pods
    Case("a variable", _router(extraEnv=[{"name": "A", "value": "1"}]), accepted=True),
    Case("a variable with a space", _router(extraEnv=[{"name": "A B", "value": "1"}]), accepted=False, stricter=OLDER),
    Case("an unknown field of a variable", {"extraEnv": [{"name": "A", "text": "1"}]}, accepted=False),
    Case("a volume", _router(extraVolumes=[_CONFIG], extraVolumeMounts=[_MOUNT]), accepted=True),
    Case("a volume named as the chart's own", _router(extraVolumes=[_CONFIG | {"name": "tls"}]), accepted=False),
    Case("a volume with a dot", _router(extraVolumes=[_CONFIG | {"name": "a.b"}]), accepted=False),
    Case("a mount without a path", _router(extraVolumes=[_CONFIG], extraVolumeMounts=[{"name": "more"}]), accepted=False),
    Case("no numbers of users, as OpenShift wants", {"podSecurityContext": {"runAsUser": None, "fsGroup": None}}, accepted=True),
    # Services and routes
    Case("a load balancer", {"router": {"service": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}}}, accepted=True),
    Case("a traffic policy without one", {"router": {"service": {"externalTrafficPolicy": "Local"}}}, accepted=False),
    Case("a range of addresses", {"router": {"service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/33"]}}}, accepted=False),
    Case("an external name", {"ingest": {"service": {"type": "ExternalName"}}}, accepted=False),
    Case("e-mail on the port of the web", {"ingest": {"smtp": {"enabled": True, "port": 80}}}, accepted=False),
    Case("e-mail on its own Service", {"ingest": {"smtp": {"service": {"enabled": True}}}}, accepted=True),
    Case("an Ingress", {"ingress": {"enabled": True, "ingest": {"host": "a.example"}}}, accepted=True),
    Case("an Ingress with a path in its host", {"ingress": {"enabled": True, "ingest": {"host": "a.example/b"}}}, accepted=False),
    Case("a class with capitals", {"ingress": {"enabled": True, "className": "Nginx", "ingest": {"host": "a.example"}}}, accepted=False),
    Case("a Gateway", {"gateway": {**_GATEWAY, "ingest": {"host": "a.example"}}}, accepted=True),
    Case("a Gateway with a port in the host", {"gateway": {**_GATEWAY, "ingest": {"host": "a.example:8443"}}}, accepted=False),
    # Network policies
    Case("a network", _peer(ipBlock={"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}), accepted=True),
    Case("a network of IPv6", _peer(ipBlock={"cidr": "2001:db8::/32"}), accepted=True),
    Case("an address instead of a network", _peer(ipBlock={"cidr": "10.0.0.1"}), accepted=False),
    Case("an impossible network", _peer(ipBlock={"cidr": "10.0.0.0/33"}), accepted=False),
    Case("an impossible address", _peer(ipBlock={"cidr": "10.0.0.256/32"}), accepted=False),
    Case("a peer of no kind", _peer(), accepted=False),
    Case("an unknown kind of peer", _peer(podSelectors={}), accepted=False),
    Case("port 0", {"networkPolicy": {"providerPorts": [0]}}, accepted=False),
    # Operators
    Case("a duration of a certificate", _certificates("1h30m"), accepted=True),
    Case("a duration in days", _certificates("90d"), accepted=False, stricter=WEBHOOK),
    Case("an interval", {"monitoring": {"podMonitor": {"enabled": True, "interval": "1m30s"}}}, accepted=True),
    Case("an interval without a unit", {"monitoring": {"podMonitor": {"enabled": True, "interval": "15"}}}, accepted=False),
    Case("dashboards", {"monitoring": {"dashboards": {"enabled": True}}}, accepted=True),
)  # fmt: skip
"""Cases in which the schema could differ from the server; the names of the groups are those of `values.yaml`."""
