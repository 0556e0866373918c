"""The MetricTemplates and AlertProviders that a document names and was not given with, read where it runs."""

import asyncio
from http import HTTPStatus

from activities.cluster import paths
from activities.cluster.api import ClusterApi, Object
from activities.cluster.errors import ApiError
from canary.documents.reading import Key
from canary.documents.unread import Objects, Unread, mistakes_of_read, read_in, unread
from canary.problem import Problem
from canary.spec import CanarySpec
from canary.stored import Stored


class Referenced(Stored):
    """A spec with what was read for it, and what was wrong with that."""

    spec: CanarySpec
    problems: tuple[Problem, ...] = ()
    missing: tuple[Problem, ...] = ()
    """What is not there."""


async def read_references(api: ClusterApi, spec: CanarySpec) -> Referenced:
    """Read what *spec* names and was not given; a kind that a cluster does not know is not there."""
    wanted = tuple(unread(spec))
    keys = tuple({each.key for each in wanted})
    answers = dict(zip(keys, await asyncio.gather(*(_find(api, key) for key in keys)), strict=True))
    found: Objects = {key: answer for key, answer in answers.items() if isinstance(answer, dict)}
    refused = [_refused(api, each) for each in wanted if isinstance(answers[each.key], ApiError)]
    return Referenced(
        spec=read_in(spec, found),
        problems=(*refused, *mistakes_of_read(spec, found)),
        missing=tuple(_missing(api, each) for each in wanted if answers[each.key] is None),
    )


async def _find(api: ClusterApi, key: Key) -> Object | ApiError | None:
    try:
        return await api.find(paths.one(key.kind, key.namespace, key.name))
    except ApiError as error:
        if error.status == HTTPStatus.FORBIDDEN:
            return error
        raise


def _refused(api: ClusterApi, wanted: Unread) -> Problem:
    text = (
        f"The worker may not get {wanted.key} in {api.name}: allow it (deploy/rbac.yaml) or pass it with -f"
    )
    return Problem(path=wanted.path, message=text)


def _missing(api: ClusterApi, wanted: Unread) -> Problem:
    text = f"{wanted.key} not found in {api.name}; pass it with -f"
    return Problem(path=wanted.path, message=text, is_missing=True)
