"""The life of one primary, act by act, as a rollout would write it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from activities.cluster.observation import ObservationActivities
from activities.cluster.primary import ConcludeRequest, PrimaryActivities, PromoteRequest, count_as_promoted
from activities.cluster.traffic import Written
from canary.spec import CanarySpec
from canary.status import Outcome, Revision
from tests.activities.cluster.member import WORKLOADS, Member, Object, given, spec

T0 = datetime(2026, 1, 1, tzinfo=UTC)


class Story:
    """One canary's primary, act by act."""

    def __init__(self, member: Member, wanted: CanarySpec | None = None) -> None:
        self.member = member
        self.spec = wanted or spec()
        self.kind = str(self.spec.target.kind)
        self.activities = PrimaryActivities(member)
        self.moments = 0

    async def begin(self, recording: str = "canary") -> Revision:
        await self.member.add(*given(recording, *WORKLOADS))
        made = await self.create()
        await self.count()
        return made

    async def create(self) -> Revision:
        revision: Revision = await self.member.run(self.activities.create_primary, self.spec)
        return revision

    async def count(self) -> None:
        """The end of an initialisation."""
        await count_as_promoted(self.member.api, self.spec)

    def later(self) -> datetime:
        self.moments += 1
        return T0 + timedelta(seconds=self.moments)

    async def revision(self) -> Revision:
        seen = await self.member.run(ObservationActivities(self.member).observe, self.spec)
        assert seen.target is not None
        revision: Revision = seen.target.revision
        return revision

    async def request(self) -> PromoteRequest:
        return PromoteRequest(spec=self.spec, revision=await self.revision(), decided_at=self.later())

    async def promote(self, size: int = 0) -> Written:
        request = (await self.request()).model_copy(update={"size": size})
        written: Written = await self.member.run(self.activities.promote, request)
        return written

    async def restore(self, *, is_over: bool = False) -> Written:
        request = (await self.request()).model_copy(update={"is_over": is_over})
        written: Written = await self.member.run(self.activities.restore_primary, request)
        return written

    async def conclusion(self, outcome: Outcome, revision: Revision | None = None) -> ConcludeRequest:
        known = revision or await self.revision()
        return ConcludeRequest(spec=self.spec, revision=known, outcome=outcome, decided_at=self.later())

    async def conclude(self, outcome: Outcome = Outcome.PROMOTED, revision: Revision | None = None) -> None:
        await self.member.run(self.activities.conclude, await self.conclusion(outcome, revision))

    async def roll(self) -> None:
        assert await self.promote() is Written.DONE
        await self.conclude()

    async def release(self, image: str) -> None:
        container = {"name": "podinfod", "image": image}
        body = {"spec": {"template": {"spec": {"containers": [container]}}}}
        await self.member.change(self.kind, "podinfo", body, "strategic")

    async def configure(self, color: str, name: str = "podinfo-env") -> None:
        await self.member.change("ConfigMap", name, {"data": {"color": color}})

    async def primary(self) -> Object:
        return await self.member.read(self.kind, "podinfo-primary")

    async def image(self) -> str:
        return str((await self.primary())["spec"]["template"]["spec"]["containers"][0]["image"])

    async def color(self, name: str = "podinfo-env-primary") -> str:
        return str((await self.member.read("ConfigMap", name))["data"]["color"])


def config(name: str, color: str = "red", **fields: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"color": color},
    } | fields


def secret(name: str, **fields: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"k": "dg=="}} | fields


def using(*names: str, **reference: Any) -> Object:
    """The recorded Deployment with nothing but these ConfigMaps as its environment."""
    (body,) = given("canary", "Deployment")
    pod = body["spec"]["template"]["spec"]
    pod.pop("volumes")
    container = {"name": "podinfod", "image": "podinfo:1"}
    sources = [{"configMapRef": {"name": name, **reference}} for name in names]
    pod["containers"] = [container | {"envFrom": sources}]
    return body
