"""What the engine may do in a member cluster, and what for; `deploy/rbac.yaml` says the same."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Right:
    """Verbs on resources of one API group; a subresource stands behind a slash."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    purpose: str


PROXY = Right("", ("services/proxy",), ("get", "create"), "Prometheus and load testers by the API server")
"""Only for clusters that are reached by their API server."""

RIGHTS = (
    Right(
        "apps",
        ("deployments", "daemonsets"),
        ("get", "list", "watch", "create", "update", "patch", "delete"),
        "targets, primaries and load testers",
    ),
    Right(
        "apps",
        ("replicasets",),
        ("list",),
        "whether all pods of a target are of its present template, before it is paused",
    ),
    Right(
        "apps",
        ("controllerrevisions",),
        ("list", "create", "patch", "delete"),
        "the record of the promoted template",
    ),
    Right(
        "",
        ("services",),
        ("get", "list", "watch", "create", "update", "patch", "delete"),
        "the three Services of a workload, primaries of Services, and load testers",
    ),
    Right(
        "",
        ("configmaps", "secrets"),
        ("get", "list", "watch", "create", "update", "patch", "delete"),
        "configs that pods use, the primary's copies, and the tokens of load testers",
    ),
    Right("", ("endpoints",), ("get",), "endpoints are seen before traffic goes to them"),
    Right("", ("events",), ("create", "patch"), "what happens to a canary, told beside its target"),
    Right(
        "networking.istio.io",
        ("virtualservices",),
        ("get", "list", "watch", "create", "update", "patch", "delete"),
        "routes; another one for the same host may be in any namespace",
    ),
    Right(
        "networking.istio.io",
        ("destinationrules",),
        ("get", "list", "create", "patch", "delete"),
        "the two sides of the routes",
    ),
    Right(
        "autoscaling",
        ("horizontalpodautoscalers",),
        ("get", "list", "create", "patch", "delete"),
        "the primary's copy of its target's autoscaler",
    ),
    Right("flagger.app", ("canaries",), ("list",), "whether Flagger manages a target"),
    Right(
        "flagger.app",
        ("metrictemplates", "alertproviders"),
        ("get",),
        "what a Canary refers to and was not given with it",
    ),
    Right(
        "security.istio.io",
        ("authorizationpolicies", "peerauthentications", "requestauthentications"),
        ("list",),
        "policies that would stop matching",
    ),
    Right(
        "networking.istio.io", ("sidecars", "envoyfilters"), ("list",), "policies that would stop matching"
    ),
    Right("networking.k8s.io", ("networkpolicies",), ("list",), "policies that would stop matching"),
    Right("policy", ("poddisruptionbudgets",), ("list",), "policies that would stop matching"),
    Right("monitoring.coreos.com", ("podmonitors",), ("list",), "policies that would stop matching"),
    Right("", ("pods",), ("list",), "why a workload is not ready; whether a namespace holds pods yet"),
    Right(
        "",
        ("namespaces",),
        ("get", "create", "patch"),
        "sidecars: the label of a namespace without pods; istio-system, for a load tester",
    ),
)
"""Everywhere; what a source delivers needs rights of its own besides."""
