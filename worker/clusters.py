"""The clusters a worker can reach: from its clusters file, and from kubeconfig Secrets of the host."""

import logging
import ssl
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from activities.cluster.api import ClusterApi
from activities.cluster.errors import (
    ApiError,
    ClusterUnreachableError,
    ServedElsewhereError,
    UnknownClusterError,
)
from activities.cluster.settings import ClusterSettings
from canary.application import ClusterRef
from canary.documents.rules import object_name_mistakes
from canary.documents.schema import Duration
from worker.attached import note, read_kubeconfig
from worker.kubeconfigs import check_texts, loading
from worker.settings import checked_image, checked_task_queue, checked_url

logger = logging.getLogger(__name__)
CONNECTIONS = 200
"""Requests to one API server at once; each watch keeps one for good."""
HOST = "host"
"""The name of the cluster whose Secrets hold the kubeconfigs of others."""


class ClustersFileError(Exception):
    """The clusters file cannot be read; says where and what is allowed."""


class ClusterEntry(BaseModel):
    """One cluster of the clusters file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kubeconfig: Path | None = None
    """Relative to the clusters file; without one, the worker's own service account."""
    context: str | None = None
    prometheus: str | None = None
    prometheus_ca: Path | None = Field(default=None, alias="prometheusCA")
    """Relative to the clusters file."""
    load_tester: str | None = Field(default=None, alias="loadTester")
    guarded_load_tester: str | None = Field(default=None, alias="guardedLoadTester")
    """None: the worker's setting counts; empty: Flagger's load tester is deployed there."""
    reach: str = Field(default="", pattern="^(|direct|apiServer)$")
    scale_down_delay: Duration = Field(default=timedelta(seconds=30), alias="scaleDownDelay")
    root_namespace: str = Field(default="istio-system", alias="rootNamespace", min_length=1)
    require_sidecars: bool = Field(default=True, alias="requireSidecars")
    task_queue: str = Field(default="", alias="taskQueue")
    """Whose workers serve it; empty: all that are given this file."""

    @field_validator("task_queue")
    @classmethod
    def _check_task_queue(cls, value: str) -> str:
        return checked_task_queue(value)

    @field_validator("guarded_load_tester")
    @classmethod
    def _check_guarded_load_tester(cls, value: str | None) -> str | None:
        return value and checked_image(value)

    @field_validator("scale_down_delay", mode="before")
    @classmethod
    def _read_seconds(cls, value: Any) -> Any:
        return f"{value}s" if isinstance(value, int | float) and not isinstance(value, bool) else value

    @field_validator("kubeconfig", "prometheus_ca", mode="before")
    @classmethod
    def _check_path(cls, value: Any) -> Any:
        if value == "":
            raise ValueError("write the path of a file, or leave the key out")
        return value

    @field_validator("prometheus", "load_tester")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        return value if value is None else checked_url(value)

    def settings(
        self, name: str, folder: Path, task_queue: str = "", guarded_load_tester: str = ""
    ) -> ClusterSettings:
        """What activities are told of the cluster in a worker with these settings.

        Raises:
            ClustersFileError: a file that it names is not what it should be.
        """
        return ClusterSettings(
            name=name,
            prometheus=self.prometheus,
            prometheus_ca=_read_ca(name, folder / self.prometheus_ca) if self.prometheus_ca else None,
            load_tester=self.load_tester,
            guarded_load_tester=(
                guarded_load_tester if self.guarded_load_tester is None else self.guarded_load_tester
            ),
            reach=self.reach or ("apiServer" if self.kubeconfig else "direct"),
            scale_down_delay=self.scale_down_delay,
            root_namespace=self.root_namespace,
            requires_sidecars=self.require_sidecars,
            task_queue="" if self.task_queue == task_queue else self.task_queue,
        )


class ClustersFile(BaseModel):
    """The clusters file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clusters: dict[str, ClusterEntry]

    @field_validator("clusters")
    @classmethod
    def _check_names(cls, value: dict[str, ClusterEntry]) -> dict[str, ClusterEntry]:
        mistakes = [mistake.message for name in value for mistake in object_name_mistakes((), name)]
        if mistakes:
            raise ValueError(mistakes[0])
        return value


def read_clusters_file(path: Path) -> ClustersFile:
    """Read the clusters file.

    Raises:
        ClustersFileError: it is not there, not YAML, or says something unknown.
    """
    try:
        return ClustersFile.model_validate(YAML(typ="safe").load(path.read_text()))
    except OSError as error:
        raise ClustersFileError(
            f"{path}: {error.strerror}; CANARY_CLUSTERS names the clusters file."
        ) from error
    except YAMLError as error:
        raise ClustersFileError(f"{path}: not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "a mapping with the key `clusters` is needed"
        said = first["msg"].removeprefix("Value error, ")
        raise ClustersFileError(f"{path}: {where}: {said}") from error
    except ValueError as error:  # no text in UTF-8, or a number or date that cannot be
        raise ClustersFileError(f"{path}: cannot be read: {error}") from error


def _read_ca(name: str, path: Path) -> str:
    try:
        text = path.read_text()
        ssl.create_default_context().load_verify_locations(cadata=text)
    except (OSError, ValueError) as error:  # a file that is no PEM is either
        raise ClustersFileError(
            f"clusters.{name}.prometheusCA: {path}: no certificates as PEM can be read there ({error})"
        ) from error
    return text


class ConfiguredClusters:
    """Connects to the clusters of a clusters file, each once."""

    def __init__(
        self, path: Path, *, allow_exec: bool = False, task_queue: str = "", guarded_load_tester: str = ""
    ) -> None:
        self._allow_exec = allow_exec
        self._guarded_load_tester = guarded_load_tester
        self._folder = path.resolve().parent
        self._entries = read_clusters_file(path).clusters
        self._settings = {
            name: entry.settings(name, self._folder, task_queue, guarded_load_tester)
            for name, entry in self._entries.items()
        }
        if task_queue and all(one.task_queue for one in self._settings.values()):
            raise ClustersFileError(f"{path}: no cluster of it is served by task queue {task_queue}.")
        self._connected: dict[str, ClusterApi] = {}
        self._retired: list[ClusterApi] = []

    async def get(self, name: str) -> ClusterApi:
        """Return the API of a cluster: of the clusters file, else by its kubeconfig Secret.

        Raises:
            UnknownClusterError: nothing tells how to reach it, or what tells so may not be used.
        """
        if name not in self._connected:
            connected = await self._connect(name)
            if name in self._connected:  # someone else was quicker
                await connected.close()
            else:
                self._connected[name] = connected
        return self._connected[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The clusters of the file."""
        return tuple(self._entries)

    async def attach(self, cluster: ClusterRef) -> None:
        """Note in the host cluster which Secret a cluster is reached by; the clusters file comes first."""
        if cluster.name in self._entries or cluster.kubeconfig is None:
            return
        await note(await self.get(HOST), cluster)
        if (known := self._connected.pop(cluster.name, None)) is not None:
            self._retired.append(known)  # somebody may be in the middle of a request

    async def close(self) -> None:
        """Close every connection."""
        for api in (*self._connected.values(), *self._retired):
            await api.close()

    async def _connect(self, name: str) -> ClusterApi:
        settings = self._settings.get(name) or ClusterSettings(
            name=name, guarded_load_tester=self._guarded_load_tester
        )
        return ClusterApi(settings, await self._client_of(name), partial(self._renewed, name))

    async def _renewed(self, name: str) -> ApiClient | None:
        """Read again how a cluster is reached, for what was read before is refused."""
        try:
            found = await self._client_of(name)
        except (UnknownClusterError, ApiError, ClusterUnreachableError) as error:
            logger.warning("credentials not renewed", extra={"cluster": name, "cause": str(error)})
            return None
        logger.info("credentials read again", extra={"cluster": name})
        return found

    async def _client_of(self, name: str) -> ApiClient:
        configuration = Configuration()
        configuration.connection_pool_maxsize = CONNECTIONS
        entry = self._entries.get(name)
        if entry is None:
            return await self._client_of_attached(name, configuration)
        if entry.kubeconfig is None and self._settings[name].task_queue:
            raise ServedElsewhereError(name, entry.task_queue)
        return await self._client_of_entry(name, entry, configuration)

    async def _client_of_entry(
        self, name: str, entry: ClusterEntry, configuration: Configuration
    ) -> ApiClient:
        """Read how a cluster of the file is reached: its kubeconfig, else the service account here.

        That of another cluster's workers is theirs: here it would lead to the wrong cluster.
        """
        if entry.kubeconfig is None:
            with loading(name, "the service account here"):
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
                return _client(configuration)
        path = self._folder / entry.kubeconfig
        with loading(name, str(path)):
            path.open("rb").close()  # the library takes a file that it does not find for an empty one
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                str(path),
                context=entry.context,
                client_configuration=configuration,
                persist_config=False,
            )
            return _client(configuration)

    async def _client_of_attached(self, name: str, configuration: Configuration) -> ApiClient:
        if HOST not in self._entries:
            raise UnknownClusterError(name)
        found = await read_kubeconfig(await self.get(HOST), name, allow_exec=self._allow_exec)
        with loading(name, found.where):
            await config.load_kube_config_from_dict(  # type: ignore[no-untyped-call]
                found.content, client_configuration=configuration
            )
            return _client(configuration)


def _client(configuration: Configuration) -> ApiClient:
    """A client that takes its proxy from the kubeconfig or else the environment, and nothing more from there.

    Left alone it would look for both a proxy and a .netrc before each request, and fail at a .netrc with a
    password for the host that a token is sent to.
    """
    check_texts(configuration)
    parts = urlsplit(configuration.host)
    if configuration.proxy is None and not proxy_bypass(parts.netloc):
        configuration.proxy = getproxies().get(parts.scheme)
    configuration.client_session_kwargs = {"trust_env": False}
    return ApiClient(configuration)
