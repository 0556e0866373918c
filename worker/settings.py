"""What a worker is told by its environment."""

import logging
import re
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_TAKEN = re.compile(r"canary|.*(-checks|-watch)")
"""Names of the shared queues, and what other queues' names are made with."""
_IMAGE = re.compile(r"[\w.-]+(:\d+)?(/[\w.-]+)*(:[\w.-]+)?(@sha256:[0-9a-f]{64})?")
_LARGEST_PORT = 65535
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):\d{1,5}")


def checked_task_queue(value: str) -> str:
    """Give the name of a cluster's task queue back, if it can be one.

    Raises:
        ValueError: a sentence on what can.
    """
    if value and (_TAKEN.fullmatch(value) or value.split() != [value]):
        raise ValueError(
            "write a name without blanks that is not `canary`, nor ends in `-checks` or `-watch`"
        )
    return value


def checked_image(value: str) -> str:
    """Give the name of an image back, if it can be one.

    Raises:
        ValueError: a sentence on what can.
    """
    if value and not _IMAGE.fullmatch(value):
        raise ValueError("write an image, for instance `registry.example.com/durable-canary:0.1.0`")
    return value


def checked_url(value: str) -> str:
    """Give a base URL back, if it can be one.

    Raises:
        ValueError: a sentence on what can.
    """
    try:
        parts = urlsplit(value)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError("write a URL that begins with http:// or https://")
    return value


class WorkerSettings(BaseSettings):
    """Settings, each from the environment variable `CANARY_<NAME>`; Temporal's own come from `TEMPORAL_*`."""

    model_config = SettingsConfigDict(env_prefix="CANARY_", frozen=True, extra="ignore")

    clusters: Path = Path("clusters.yaml")
    """The clusters file."""
    task_queue: str = ""
    """The cluster's task queue that a worker inside it serves; empty: the shared ones, and all workflows."""
    reports: Path = Path("reports")
    """The folder that rollout reports are written to."""
    cache: Path = Path(".cache")
    """The folder that git sources are cloned to."""
    metrics: str | None = None
    """Where Prometheus metrics are served, for instance `0.0.0.0:9464`; not at all by default."""
    guarded_load_tester: str = ""
    """An image of this project, for load testers that run commands for those alone who carry their token."""
    allow_exec_kubeconfig: bool = False
    """Whether kubeconfigs from Secrets may run commands and read files of this machine."""
    checks: int = Field(default=50, gt=0)
    """How many checks, builds and notifications run at once."""
    writes: int = Field(default=200, gt=0)
    """How many reads and writes of Kubernetes run at once."""
    watches: int = Field(default=100, gt=0)
    """How many clusters one worker watches at the most."""
    log_level: str = "INFO"

    @field_validator("task_queue")
    @classmethod
    def _check_task_queue(cls, value: str) -> str:
        return checked_task_queue(value)

    @field_validator("guarded_load_tester")
    @classmethod
    def _check_guarded_load_tester(cls, value: str) -> str:
        return checked_image(value)

    @field_validator("metrics")
    @classmethod
    def _check_metrics(cls, value: str | None) -> str | None:
        if value and (not _ADDRESS.fullmatch(value) or int(value.rpartition(":")[2]) > _LARGEST_PORT):
            raise ValueError("write `host:port`, for instance `0.0.0.0:9464`")
        return value

    @field_validator("log_level")
    @classmethod
    def _check_log_level(cls, value: str) -> str:
        if value.upper() not in logging.getLevelNamesMapping():
            raise ValueError("write one of `DEBUG`, `INFO`, `WARNING`, `ERROR`")
        return value.upper()
