"""The HorizontalPodAutoscaler: keeps its target within its bounds; there are no resource metrics to go by."""

from sandbox.client import KubeClient
from sandbox.controllers import rollout
from sandbox.controllers.conditions import condition_of
from sandbox.controllers.informers import Informers
from sandbox.controllers.pods import format_time, utc_now
from sandbox.controllers.recorder import Recorder
from sandbox.controllers.workqueue import WorkQueue
from sandbox.objects import Object, key_of, path_of

AUTOSCALERS = "/apis/autoscaling/v2/horizontalpodautoscalers"
TARGETS = {
    ("apps", "Deployment"): "/apis/apps/v1/deployments",
    ("apps", "ReplicaSet"): "/apis/apps/v1/replicasets",
}
NO_METRICS = (
    "the HPA was unable to compute the replica count: unable to get metrics: unable to fetch metrics from"
    " resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
)
DISABLED = "scaling is disabled since the replica count of the target is zero"


class AutoscalerController:
    """Scales targets that are outside their autoscaler's bounds, but never one that was scaled to zero."""

    def __init__(self, client: KubeClient, informers: Informers, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder
        self._autoscalers = informers.of(AUTOSCALERS)
        self._targets = {kind: informers.of(path) for kind, path in TARGETS.items()}
        self.queue = WorkQueue("autoscalers", self._sync)
        self._autoscalers.subscribe(self.queue.add_object)
        for informer in self._targets.values():
            informer.subscribe(self._target_changed)

    def _target_changed(self, _kind: str, obj: Object, old: Object | None) -> None:
        if old and rollout.replicas_of(obj) == rollout.replicas_of(old):
            return
        for autoscaler in self._autoscalers.in_namespace(obj["metadata"]["namespace"]):
            reference = autoscaler["spec"]["scaleTargetRef"]
            if (reference["kind"], reference["name"]) == (obj["kind"], obj["metadata"]["name"]):
                self.queue.add(key_of(autoscaler))

    async def _sync(self, key: str) -> None:
        autoscaler = self._autoscalers.objects.get(key)
        if not autoscaler:
            return
        target = self._target(autoscaler)
        if target is None:
            await self._write_status(autoscaler, [_no_target(autoscaler)], None, None)
            return
        now = rollout.replicas_of(target)
        wanted = _within_bounds(autoscaler, now)
        able = ("AbleToScale", "True", "SucceededGetScale")
        text = "the HPA controller was able to get the target's current scale"
        if wanted != now:
            await self._scale(autoscaler, target, wanted)
            able = ("AbleToScale", "True", "SucceededRescale")
            text = f"the HPA controller was able to update the target scale to {wanted}"
        active = ("ScalingActive", "False", "FailedGetResourceMetric", NO_METRICS)
        if not now:
            active = ("ScalingActive", "False", "ScalingDisabled", DISABLED)
        await self._write_status(autoscaler, [(*able, text), active], now, wanted)

    def _target(self, autoscaler: Object) -> Object | None:
        reference = autoscaler["spec"]["scaleTargetRef"]
        group = reference.get("apiVersion", "").rpartition("/")[0]
        informer = self._targets.get((group, reference["kind"]))
        key = f"{autoscaler['metadata']['namespace']}/{reference['name']}"
        return informer.objects.get(key) if informer else None

    async def _scale(self, autoscaler: Object, target: Object, wanted: int) -> None:
        path = path_of(target, f"{target['kind'].lower()}s")
        await self._client.patch(f"{path}/scale", {"spec": {"replicas": wanted}})
        is_growing = wanted > rollout.replicas_of(target)
        bound = "below Spec.MinReplicas" if is_growing else "above Spec.MaxReplicas"
        text = f"New size: {wanted}; reason: Current number of replicas {bound}"
        self._recorder.record(autoscaler, "SuccessfulRescale", text)

    async def _write_status(
        self,
        autoscaler: Object,
        conditions: list[tuple[str, str, str, str]],
        now: int | None,
        wanted: int | None,
    ) -> None:
        known = autoscaler.get("status", {})
        status = {name: known[name] for name in ("lastScaleTime",) if name in known}
        if now != wanted:
            status["lastScaleTime"] = format_time(utc_now())
        status |= {"currentReplicas": now or 0, "desiredReplicas": wanted or 0, "currentMetrics": None}
        status["conditions"] = [_condition(known, *item) for item in conditions]
        if any(known.get(name) != value for name, value in status.items()):
            path = path_of(autoscaler, "horizontalpodautoscalers")
            await self._client.patch(f"{path}/status", {"status": status})


def _within_bounds(autoscaler: Object, now: int) -> int:
    least = autoscaler["spec"].get("minReplicas", 1)
    return min(max(now, least), autoscaler["spec"]["maxReplicas"]) if now or not least else 0


def _no_target(autoscaler: Object) -> tuple[str, str, str, str]:
    reference = autoscaler["spec"]["scaleTargetRef"]
    plural = f"{reference['kind'].lower()}s.{reference.get('apiVersion', '').rpartition('/')[0]}"
    text = "the HPA controller was unable to get the target's current scale"
    return "AbleToScale", "False", "FailedGetScale", f'{text}: {plural} "{reference["name"]}" not found'


def _condition(known: Object, kind: str, status: str, reason: str, message: str) -> Object:
    old = condition_of(known, kind)
    time = old["lastTransitionTime"] if old and old["status"] == status else format_time(utc_now())
    fresh = {"type": kind, "status": status, "lastTransitionTime": time}
    return fresh | {"reason": reason, "message": message}
