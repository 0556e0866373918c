"""Canaries of other workloads than a plain Deployment."""

from typing import Any

from tests.conformance import workload
from tests.conformance.workload import GOOD, NAME
from tests.soak.subject import Subject


class Daemons(Subject):
    """A DaemonSet."""

    workload = "daemonsets"

    def __init__(self, *arguments: Any, **analysis: Any) -> None:
        super().__init__(*arguments, **analysis)
        self.spec = {"targetRef": {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": NAME}}

    async def deploy(self) -> None:
        await self.case.deploy_daemons()

    async def is_away(self) -> bool:
        template = (await self.case.get(self.workload))["spec"]["template"]["spec"]
        return bool(template.get("nodeSelector"))


class Autoscaled(Subject):
    """A Deployment with an autoscaler, whose primary grows and shrinks."""

    def __init__(self, *arguments: Any, **analysis: Any) -> None:
        super().__init__(*arguments, **analysis)
        kind = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
        self.spec = {"autoscalerRef": {**kind, "name": NAME}}
        self.others = {self._scale: 2}

    async def deploy(self) -> None:
        await super().deploy()
        await self.case.apply_object("horizontalpodautoscalers", workload.autoscaler(2, 4))

    async def _scale(self) -> str:
        size = self.random.choice([2, 3, 4])
        path = self.case.path("deployments", f"{NAME}-primary")
        await self.case.cluster.api.patch(path, {"spec": {"replicas": size}}, fieldManager="autoscaler")
        return f"is scaled to {size}"


class Configured(Subject):
    """A Deployment with a ConfigMap that changes."""

    def __init__(self, *arguments: Any, **analysis: Any) -> None:
        super().__init__(*arguments, **analysis)
        self.others = {self._configure: 3}

    async def deploy(self) -> None:
        await self.case.deploy(envFrom=[{"configMapRef": {"name": "settings"}}])
        await self._configure()
        await self.case.is_ready(NAME)
        await self.case.is_served(*self.case.ways()[1:])

    async def _configure(self) -> str:
        text = f"{self.random.random()}"
        await self.case.apply_object("configmaps", workload.config_map(PODINFO_UI_MESSAGE=text))
        return f"changes its ConfigMap to {text}"


class Forwarded(Subject):
    """A Service that is led from the pods of one version to those of another."""

    workload = "services"

    def __init__(self, *arguments: Any, **analysis: Any) -> None:
        super().__init__(*arguments, **analysis)
        self.spec = {"targetRef": {"apiVersion": "v1", "kind": "Service", "name": NAME}}
        # Each version is a workload of its own, whose name the built-in query would not find.
        query = _success_rate(self.case.namespace)
        self.wanted["metrics"] = [{"name": "success", "query": query, "thresholdRange": {"min": 99}}]

    async def deploy(self) -> None:
        await self.case.deploy_versions(GOOD)

    async def release(self, *, is_good: bool) -> str:
        tag = self._next(is_good=is_good)
        await self.case.deploy_version(tag)
        await self.case.lead(tag)
        return tag

    async def go_back(self) -> str:
        tag = await self.case.version(f"{NAME}-primary")
        await self.case.lead(tag)
        return tag

    async def image(self, name: str) -> str:
        return workload.image(await self.case.version(name))

    async def is_away(self) -> bool:
        return True  # its pods are nobody's but the user's


def _success_rate(place: str) -> str:
    good, all_ = (
        f'sum(rate(istio_requests_total{{destination_workload_namespace="{place}"{also}}}[3s]))'
        for also in (',response_code!~"5.*"', "")
    )
    return f"{good} / {all_} * 100"
