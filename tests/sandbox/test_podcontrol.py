"""Pods made and deleted, while the cache lags behind."""

from typing import Any, cast

import pytest

from sandbox.client import ERRORS, ApiError, KubeClient
from sandbox.controllers.podcontrol import PodControl, make_pod
from sandbox.controllers.recorder import Recorder
from sandbox.controllers.workqueue import WorkQueue
from sandbox.objects import Object

OWNER = {
    "apiVersion": "apps/v1",
    "kind": "ReplicaSet",
    "metadata": {"name": "web-1", "namespace": "shop", "uid": "owner"},
    "spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}},
}
KEY = "shop/web-1"


class Server:
    """Answers every request, or refuses it."""

    def __init__(self, status: int = 200) -> None:
        self._status = status

    async def create(self, _path: str, body: Object) -> Object:
        return self._answer(body)

    async def delete(self, _path: str, _options: Object) -> Object:
        return self._answer({})

    def _answer(self, body: Object) -> Object:
        if self._status != 200:
            raise ERRORS.get(self._status, ApiError)(self._status, {})
        return body


async def _idle(_key: str) -> None:
    """Do nothing about an owner."""


def _control(status: int = 200) -> PodControl:
    client = cast("KubeClient", Server(status))
    return PodControl(client, Recorder(client, "test"), "ReplicaSet", WorkQueue("test", _idle))


def _pod(**meta: Any) -> Object:
    pod = make_pod(OWNER)
    pod["metadata"] |= {"uid": "pod", **meta}
    return pod


async def test_owner_waits_until_its_new_pod_is_seen() -> None:
    control, pod = _control(), _pod()

    await control.create(OWNER, pod)
    assert not control.is_settled(KEY)
    keys = control.observe("ADDED", pod, None)

    assert keys == {KEY}
    assert control.is_settled(KEY)


@pytest.mark.parametrize(
    ("kind", "meta"), [("MODIFIED", {"deletionTimestamp": "2026-01-01T00:00:00Z"}), ("DELETED", {})]
)
async def test_owner_waits_until_its_pod_is_seen_to_end(kind: str, meta: Object) -> None:
    control, pod = _control(), _pod()

    await control.delete(OWNER, pod)
    control.observe("MODIFIED", pod, pod)
    assert not control.is_settled(KEY)
    control.observe(kind, _pod(**meta), pod)

    assert control.is_settled(KEY)


@pytest.mark.parametrize("status", [404, 500])
async def test_nothing_is_waited_for_that_was_refused(status: int) -> None:
    control, pod = _control(status), _pod()

    with pytest.raises(ApiError):
        await control.create(OWNER, pod)

    assert control.is_settled(KEY)


async def test_pod_that_is_gone_need_not_be_deleted() -> None:
    control = _control(404)

    await control.delete(OWNER, _pod())

    assert control.is_settled(KEY)


def test_pods_of_other_owners_are_not_ours() -> None:
    pod = make_pod(OWNER | {"kind": "DaemonSet"})

    assert _control().observe("ADDED", pod, None) == set()
