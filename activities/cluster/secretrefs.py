"""The Secrets that a document names: whether they are there is found out before anything is begun."""

import asyncio
from collections.abc import Iterator
from http import HTTPStatus
from typing import NamedTuple

from activities.cluster import paths
from activities.cluster.api import ClusterApi
from activities.cluster.errors import ApiError
from canary.problem import Problem
from canary.spec import CanarySpec


class SecretRef(NamedTuple):
    """A Secret, and where the document names it."""

    namespace: str
    name: str
    path: str


async def missing_secrets(api: ClusterApi, spec: CanarySpec) -> list[Problem]:
    """Name the Secrets that are not there; one that may not be read is told of where it is used."""
    wanted = tuple(named(spec))
    are_there = await asyncio.gather(*(_is_there(api, each) for each in wanted))
    return [
        Problem(
            path=each.path,
            message=f"Secret {each.name} not found in namespace {each.namespace} of {api.name}",
            is_missing=True,
        )
        for each, is_there in zip(wanted, are_there, strict=True)
        if not is_there
    ]


def named(spec: CanarySpec) -> Iterator[SecretRef]:
    """Yield the Secrets of metric providers, alert providers and hooks."""
    analysis = spec.analysis
    for index, metric in enumerate(analysis.metrics):
        template = metric.template
        if template is not None and template.provider.secret_ref:
            path = f"spec.analysis.metrics[{index}].templateRef"
            yield SecretRef(template.namespace, template.provider.secret_ref, path)
    for index, alert in enumerate(analysis.alerts):
        if alert.provider is not None and alert.provider.secret_ref:
            path = f"spec.analysis.alerts[{index}].providerRef"
            yield SecretRef(alert.provider.namespace, alert.provider.secret_ref, path)
    for index, hook in enumerate(analysis.webhooks):
        if hook.secret_ref:
            path = f"spec.analysis.webhooks[{index}].secretRef"
            yield SecretRef(spec.namespace, hook.secret_ref, path)


async def _is_there(api: ClusterApi, wanted: SecretRef) -> bool:
    try:
        return await api.is_there(paths.one("Secret", wanted.namespace, wanted.name))
    except ApiError as error:
        if error.status == HTTPStatus.FORBIDDEN:
            return True
        raise
