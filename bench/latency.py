"""How fast a change, an abort and a failing metric become what users get."""

import time

from bench.figure import Bound, Figure
from bench.log import asked
from bench.stage import MEMBER, Options, stage
from tests.conformance.case import Case
from tests.conformance.hooks import Hook
from tests.conformance.waiting import until
from tests.conformance.workload import BAD, NAME, success_rate
from tests.conformance.world import World
from workflows.contract import Verb

SOON = Bound(median=0.5, maximum=1.0)
AT_ONCE = Bound(median=0.3, maximum=1.0)
USER = "test"
"""What the bench calls itself in requests."""


async def measure(options: Options) -> list[Figure]:
    """Measure them one after the other, each on a canary of its own."""
    async with stage() as world:
        changes, aborts = await changes_and_aborts(world, options)
        hanging = await _aborts_while_a_check_hangs(world, options)
        failing = await _failing_metrics(world, options)
    return [
        Figure(
            "template change → canary scaled up",
            "s",
            changes,
            "the API server's log: from the PATCH of the pod template to the engine's PATCH of the target's "
            "replicas, the rollout running by then",
            "0.1-0.9 interval (90 s: median 56 s)",
            SOON,
        ),
        Figure(
            "`abort` → 100/0 written",
            "s",
            aborts,
            "from sending the Update to the API server's log of the PATCH of the VirtualService",
            "no such command; rollback hook 0.6-0.9 interval",
            AT_ONCE,
        ),
        Figure(
            "`abort` while a check hangs → 100/0 written",
            "s",
            hanging,
            "as above, with a rollout webhook that does not answer",
            "no such command",
            AT_ONCE,
        ),
        Figure(
            "failing metric → 100/0 written",
            "s",
            failing,
            "from the deciding check's answers, as the history has them, to the log of the PATCH",
            "1.0 interval (2.0-3.0 after the fault)",
            Bound(maximum=0.5),
        ),
    ]


async def change(case: Case, tag: str) -> tuple[str, float]:
    """Release a version; gives the rollout's run and the seconds until its canary was scaled up."""
    path = f"/namespaces/{case.namespace}/deployments/{NAME}"
    before = await case.cluster.asked_so_far()
    await case.release(tag)
    run = await case.rollout_begins()

    async def scaled() -> float | None:
        for entry in await asked(case.cluster, before):
            if entry.is_write and entry.is_done and path in entry.path:
                return entry.at
        return None

    at: float = await until(scaled, 20, f"{NAME} in {case.namespace} is scaled up")
    (sent,) = [one.at for one in await asked(case.cluster, before, agent=USER) if one.is_write]
    return run, at - sent


async def put_back(case: Case, since: int) -> float:
    """Wait until the routes are at 100/0 again; gives when they were written."""
    await case.weight_is(0, within=20)
    path = f"/namespaces/{case.namespace}/virtualservices/"
    writes = [one for one in await asked(case.cluster, since) if one.is_write and path in one.path]
    return writes[-1].at


async def changes_and_aborts(world: World, options: Options) -> tuple[list[float], list[float]]:
    """Release a version and abort it at its first weight, again and again; gives the seconds of both."""
    case = Case(world, MEMBER, "latency")
    await case.deploy()
    await case.initialise(interval="1s")
    changes, aborts = [], []
    for trial in range(options.many(20, 3)):
        run, seconds = await change(case, f"6.2.{trial}")
        changes.append(seconds)
        await case.weight_is(10, within=20)
        aborts.append(await _abort(case))
        await case.rollout_ends(run)
    return changes, aborts


async def _aborts_while_a_check_hangs(world: World, options: Options) -> list[float]:
    case = Case(world, MEMBER, "hanging")
    await case.deploy()
    aborts = []
    async with Hook() as hook:
        await case.initialise(interval="1s", webhooks=[hook.document(timeout="60s")])
        for trial in range(options.many(20, 3)):
            hook.hang()
            run, _ = await change(case, f"6.2.{trial}")
            await hook.called.wait()
            aborts.append(await _abort(case))
            await case.rollout_ends(run)
    return aborts


async def _abort(case: Case) -> float:
    before = await case.cluster.asked_so_far()
    sent = time.time()
    await case.wish(Verb.ABORT)
    return await put_back(case, before) - sent


async def _failing_metrics(world: World, options: Options) -> list[float]:
    case = Case(world, MEMBER, "failing")
    await case.deploy()
    await case.initialise(interval="2s", threshold=1, metrics=[success_rate()])
    found = []
    async with case.canary_load(rate=40):
        for trial in range(options.many(10, 2)):
            run, _ = await change(case, BAD.replace("6.3.0", f"6.3.{trial}"))
            await case.weight_is(10, within=20)
            before = await case.cluster.asked_so_far()
            written = await put_back(case, before)
            ended = await case.rollout_ends(run)
            assert ended.outcome == "RolledBack", ended
            found.append(written - ended.checks[-1].at.timestamp())
    return found
