"""A pod's status, as the kubelet writes it."""

from dataclasses import dataclass, field
from datetime import datetime

from sandbox.controllers.pods import format_time, utc_now
from sandbox.objects import Object

HOST = "127.0.0.1"


@dataclass
class Container:
    """What is to be said of one container."""

    name: str
    image: str
    is_ready: bool = False
    restarts: int = 0
    state: Object = field(default_factory=lambda: waiting("ContainerCreating"))
    last: Object = field(default_factory=dict)

    @property
    def is_running(self) -> bool:
        """Tell whether it runs."""
        return "running" in self.state

    def status(self) -> Object:
        """Return its entry of `containerStatuses`."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": f"sandbox://{self.image}" if self.is_running else "",
            "containerID": f"sandbox://{self.name}" if self.is_running else "",
            "ready": self.is_ready,
            "started": self.is_running,
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last,
        }


def waiting(reason: str, message: str = "") -> Object:
    """Make the state of a container that waits."""
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def running(since: datetime) -> Object:
    """Make the state of a container that runs."""
    return {"running": {"startedAt": format_time(since)}}


def crashed(since: datetime) -> Object:
    """Make the state of a container that has just ended with exit code 1."""
    times = {"startedAt": format_time(since), "finishedAt": format_time(utc_now())}
    return {"terminated": {"exitCode": 1, "reason": "Error"} | times}


class PodStatus:
    """The status of one pod; the times of its conditions' transitions are kept."""

    def __init__(self, address: str, containers: list[Container], known: Object) -> None:
        self._address = address
        self._containers = containers
        self._start = known.get("startTime") or format_time(utc_now())
        self._conditions: dict[str, Object] = {item["type"]: item for item in known.get("conditions", [])}

    def render(self) -> Object:
        """Return the status as of now."""
        unready = [item.name for item in self._containers if not item.is_ready]
        problem = {}
        if unready:
            message = f"containers with unready status: [{' '.join(unready)}]"
            problem = {"reason": "ContainersNotReady", "message": message}
        # Once its containers were started a pod stays Running, also while they crash.
        is_begun = any(item.is_running or item.last for item in self._containers)
        self._set("PodReadyToStartContainers", "True", {})
        self._set("Initialized", "True", {})
        self._set("Ready", str(not unready), problem)
        self._set("ContainersReady", str(not unready), problem)
        self._set("PodScheduled", "True", {})
        return {
            "phase": "Running" if is_begun else "Pending",
            "conditions": list(self._conditions.values()),
            "hostIP": HOST,
            "hostIPs": [{"ip": HOST}],
            "podIP": self._address,
            "podIPs": [{"ip": self._address}],
            "startTime": self._start,
            "containerStatuses": [item.status() for item in self._containers],
        }

    def _set(self, kind: str, status: str, problem: Object) -> None:
        known = self._conditions.get(kind)
        time = format_time(utc_now())
        if known and known["status"] == status:
            time = known["lastTransitionTime"]
        fresh = {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": time}
        self._conditions[kind] = fresh | problem


def unschedulable(message: str) -> Object:
    """Make the status of a pod that no node takes."""
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastProbeTime": None,
        "lastTransitionTime": format_time(utc_now()),
    }
    return {"phase": "Pending", "conditions": [condition]}
