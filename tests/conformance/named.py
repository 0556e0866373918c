"""Clusters that a kubeconfig names, with our request log and faults in front of each.

What of a cluster is not to be found by its API server the environment tells, see docs/testing.md.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from sandbox import handover
from sandbox.client import ApiError, KubeClient
from sandbox.gitserver import GitServer
from tests.conformance.ground import MEMBERS, UP_WITHIN, Need
from tests.conformance.process import Process
from tests.conformance.waiting import until
from tests.conformance.workload import LABEL

PREFIX = "CONFORMANCE_"
FAST_SCRAPES = 1.0
GATEWAY = "/apis/networking.istio.io/v1beta1/namespaces/istio-system/gateways/public-gateway"
INGRESS = "/api/v1/namespaces/istio-system/services/istio-ingressgateway"
QUOTAS = "/api/v1/resourcequotas"
NAMESPACES = "/api/v1/namespaces"
LISTENS = re.compile(r"^api (\S+)$", re.MULTILINE)
NOT_FOUND = 404


class UnfitError(Exception):
    """The stories cannot be told there: says what is missing, and the remedy."""


class Settings(BaseSettings):
    """What the environment tells, as `CONFORMANCE_<NAME>`; of two contexts each thing twice, with a comma."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    kubeconfig: Path
    contexts: str = ""
    gateway: str = ""
    mesh: str = ""
    services: str = ""
    prometheus: str = ""
    scrape_interval: float = 15.0
    scale_down_delay: str = "10s"

    @classmethod
    def read(cls) -> Self:
        """Read the environment.

        Raises:
            UnfitError: something in it is not what it should be.
        """
        try:
            return cls()
        except ValidationError as error:
            first = error.errors()[0]
            raise UnfitError(f"{PREFIX}{str(first['loc'][0]).upper()}: {first['msg']}.") from error

    def of(self, name: str, number: int) -> str:
        """What is told of one context; nothing where it is left out.

        Raises:
            UnfitError: it is told of fewer contexts than there are.
        """
        told = [text.strip() for text in str(getattr(self, name)).split(",")]
        if told == [""]:
            return ""
        if number >= len(told):
            raise UnfitError(f"{PREFIX}{name.upper()} says {len(told)}: write one for each context.")
        return told[number]


class Named:
    """The contexts of a kubeconfig; the namespaces of the stories are deleted in the end."""

    def __init__(self, settings: Settings) -> None:
        self.lacks = _lacks(settings)
        self._settings = settings
        self._contexts = [text.strip() for text in settings.contexts.split(",")]
        self._fronts: list[Process] = []
        self._urls: list[str] = []
        self._git: GitServer | None = None

    async def start(self, folder: Path) -> dict[str, Any]:
        """Put a front before each, and find what is around them.

        Raises:
            UnfitError: something is missing.
        """
        if len(self._contexts) >= len(MEMBERS):
            raise UnfitError(f"{PREFIX}CONTEXTS names {len(self._contexts)}: two are enough.")
        places = {MEMBERS[number]: self._told(number) for number in range(len(self._contexts))}
        for number, (name, place) in enumerate(places.items()):
            place["api"] = await self._front(number, folder / f"front-{number + 1}.log")
            place["faults"] = {"api": f"{place['api']}/_sandbox/faults"}
            async with KubeClient(place["api"], user_agent="test") as api:
                place["gateway"] = place["gateway"] or await _gateway(api)
                await _require_fit(api, name)
                if not await _is_there(api, QUOTAS):
                    self.lacks[Need.QUOTA] = "ResourceQuota is not served here"
        # Only what has passed is cleaned: what an earlier run left may be wanted.
        self._urls = [place["api"] for place in places.values()]
        self._write(folder, places)
        self._git = await GitServer.start(folder / "git")
        return {"git": self._git.url, "clusters": places}

    async def stop(self) -> None:
        """Delete the namespaces of the stories, and end what was started."""
        try:
            for url in self._urls:
                await _clean(url)
        finally:
            for front in self._fronts:
                await front.stop()
            if self._git is not None:
                await self._git.stop()

    def _told(self, number: int) -> dict[str, Any]:
        found = {
            name: self._settings.of(name, number) for name in ("gateway", "mesh", "services", "prometheus")
        }
        for name, what in {"mesh": "with a sidecar", "services": "without a sidecar"}.items():
            if not found[name]:
                raise UnfitError(
                    f"{PREFIX}{name.upper()} is not set: give the URL of a proxy in a pod {what}, "
                    "which passes requests on to whatever their Host header names."
                )
        return found

    async def _front(self, number: int, log: Path) -> str:
        context = self._contexts[number]
        options = ["--context", context] if context else []
        kubeconfig = str(self._settings.kubeconfig)
        front = await Process.start("sandbox", "front", "--kubeconfig", kubeconfig, *options, log=log)
        self._fronts.append(front)

        async def listens() -> str | None:
            is_alive, said = front.is_alive, await asyncio.to_thread(log.read_text)
            if not is_alive:
                raise UnfitError(said.strip())
            found = LISTENS.search(said)
            return found[1] if found else None

        url: str = await until(listens, UP_WITHIN, "the front listens")
        return url

    def _write(self, folder: Path, places: dict[str, dict[str, Any]]) -> None:
        servers = {name: str(place["api"]) for name, place in places.items()}
        handover.write(folder / "kubeconfig", handover.kubeconfig(servers, MEMBERS[0]))
        clusters = {name: self._entry(name, place["prometheus"]) for name, place in places.items()}
        handover.write(folder / "clusters.yaml", json.dumps({"clusters": clusters}))

    def _entry(self, name: str, prometheus: str) -> dict[str, str]:
        told = {"prometheus": prometheus} if prometheus else {}
        delay = self._settings.scale_down_delay
        return {"kubeconfig": "./kubeconfig", "context": name, "scaleDownDelay": delay, **told}


def _lacks(settings: Settings) -> dict[Need, str]:
    """What is known to be missing before anything is asked."""
    found = {
        Need.METRICS_FAULTS: "only the sandbox's Prometheus can be broken",
        Need.CONNECT: "only the sandbox's mesh takes them from outside",
        Need.IMAGES: "only the sandbox has them",
    }
    if settings.scrape_interval > FAST_SCRAPES:
        found[Need.SCRAPES] = f"{PREFIX}SCRAPE_INTERVAL says {settings.scrape_interval:g} seconds"
    if "," not in settings.contexts:
        found[Need.MEMBERS] = f"{PREFIX}CONTEXTS names one"
    return found


async def _is_there(api: KubeClient, path: str) -> bool:
    return await _found(api, path) is not None


async def _found(api: KubeClient, path: str, **query: str) -> dict[str, Any] | None:
    try:
        return await api.get(path, **query)
    except ApiError as error:
        if error.status == NOT_FOUND:
            return None
        raise UnfitError(f"The API server does not answer: {error}") from error


async def _gateway(api: KubeClient) -> str:
    """Find the address of Istio's ingress gateway."""
    found = await _found(api, INGRESS) or {}
    for ingress in found.get("status", {}).get("loadBalancer", {}).get("ingress", []):
        return f"http://{ingress.get('ip') or ingress['hostname']}"
    raise UnfitError(
        f"{PREFIX}GATEWAY is not set, and Service istio-system/istio-ingressgateway has no address: "
        "give the URL that Istio's ingress gateway is reached by."
    )


async def _require_fit(api: KubeClient, name: str) -> None:
    if not await _is_there(api, GATEWAY):
        raise UnfitError(
            f"{name} has no Gateway istio-system/public-gateway: apply one, for port 80 and all hosts."
        )
    left = await _found(api, NAMESPACES, labelSelector=LABEL)
    if left and left["items"]:
        raise UnfitError(f"{name} has namespaces of another run: kubectl delete namespace -l {LABEL}")


async def _clean(url: str) -> None:
    async with KubeClient(url, user_agent="test") as api:
        found = await api.list(NAMESPACES, labelSelector=LABEL)
        for namespace in found["items"]:
            await api.delete(f"{NAMESPACES}/{namespace['metadata']['name']}")

        async def are_gone() -> bool:
            return not (await api.list(NAMESPACES, labelSelector=LABEL))["items"]

        await until(are_gone, UP_WITHIN, "the stories' namespaces are gone")
