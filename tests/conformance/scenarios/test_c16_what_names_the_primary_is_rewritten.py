"""C16: labels, annotations, affinity and configs of the primary are rewritten."""

from typing import Any

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import NAME
from tests.conformance.world import World

RECONCILED = "kustomize.toolkit.fluxcd.io/reconcile"
"""What Flux marks objects with: a twin is not Flux's."""


@pytest.mark.proves("C16")
@pytest.mark.conformance
@together
async def test_the_primary_is_the_target_by_another_name(world: World) -> None:
    """Whatever names the target's pods or its configs names the primary's own; the rest is copied.

    C16: Flagger's deployment_controller.go.
    """
    case = Case(world, "kurator-member1", "rewritten")
    await case.deploy()
    await case.apply_object("configmaps", workload.config_map(color="red"))
    await case.cluster.api.patch(case.path("deployments"), {"spec": {"template": _more()}}, kind="strategic")
    await case.is_ready(NAME)
    await case.initialise()

    primary = (await case.get("deployments", "podinfo-primary"))["spec"]
    assert primary["selector"]["matchLabels"] == {"app": "podinfo-primary"}
    template = primary["template"]
    assert template["metadata"]["labels"] == {"app": "podinfo-primary", "tier": "web"}
    assert template["metadata"]["annotations"]["prometheus.io/scrape"] == "true"
    assert RECONCILED not in template["metadata"]["annotations"]
    apart = template["spec"]["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert apart[0]["podAffinityTerm"]["labelSelector"] == {"matchLabels": {"app": "podinfo-primary"}}
    together_with = template["spec"]["affinity"]["podAffinity"]
    assert together_with == _more()["spec"]["affinity"]["podAffinity"]
    (spread,) = template["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"] == {"matchLabels": {"app": "podinfo-primary"}}
    (container,) = template["spec"]["containers"]
    assert container["env"][0]["valueFrom"]["configMapKeyRef"]["name"] == "settings-primary"
    assert template["spec"]["volumes"][0]["configMap"]["name"] == "settings-primary"
    assert (await case.get("configmaps", "settings-primary"))["data"] == {"color": "red"}


def _more() -> dict[str, Any]:
    """What the target's pod template has beside the story's usual one."""
    apart = {"labelSelector": {"matchLabels": {"app": NAME}}, "topologyKey": "kubernetes.io/hostname"}
    spread = {**apart, "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
    weighted = [{"weight": 1, "podAffinityTerm": apart}]
    color = {"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "color"}}}
    return {
        "metadata": {"labels": {"tier": "web"}, "annotations": {RECONCILED: "disabled"}},
        "spec": {
            "affinity": {
                "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": weighted},
                "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": weighted},
            },
            "topologySpreadConstraints": [spread],
            "containers": [{"name": "podinfod", "env": [color]}],
            "volumes": [{"name": "settings", "configMap": {"name": "settings"}}],
        },
    }
