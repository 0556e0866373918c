"""`python -m worker`: connect, serve three queues until SIGTERM or SIGINT."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime, TelemetryConfig

from worker.assembly import build_activities, build_workers
from worker.clusters import ClustersFileError, ConfiguredClusters
from worker.endpoint import EndpointError, SdkMetrics, metering
from worker.herald import listening
from worker.logs import SDK, configure
from worker.settings import WorkerSettings

logger = logging.getLogger("worker")
RARELY = (10_000, 20, 50)
"""When garbage is looked for among the youngest objects, the younger, and all.

That last look stops everything, with 500 canaries for a quarter of a second: far rarer is often enough.
"""
INTERRUPTED = 130
LONGEST_STOP = 18.0
"""Seconds from the signal to the end: what runs gets ten of them, but the SDK may wait without end.

Leaving loses nothing: whatever was going on is durable.
"""


class NoTemporalError(Exception):
    """There is no connection to Temporal as its environment says."""


async def connect(runtime: Runtime) -> Client:
    """Connect to Temporal as its environment says (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, …).

    Raises:
        NoTemporalError: it does not answer, or the environment says what cannot be.
    """
    try:
        options = ClientConfig.load_client_connect_config()
        options.setdefault("target_host", "localhost:7233")
        if "://" in options["target_host"]:  # the SDK warns, and means to refuse it one day
            raise ValueError(f"{options['target_host']} is no HOST:PORT, for it has a scheme")  # noqa: TRY301 — as others
        return await Client.connect(**options, data_converter=pydantic_data_converter, runtime=runtime)
    except (RuntimeError, ValueError, OSError) as error:
        where = "TEMPORAL_ADDRESS, TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE and TEMPORAL_TLS_*"
        raise NoTemporalError(
            f"no connection to Temporal: {str(error).splitlines()[0]}; see {where}"
        ) from error


async def serve(settings: WorkerSettings) -> None:
    """Run the Workers until a signal asks to stop; what runs gets a grace period to end."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, stopped.set)
    clusters = ConfiguredClusters(
        settings.clusters,
        allow_exec=settings.allow_exec_kubeconfig,
        task_queue=settings.task_queue,
        guarded_load_tester=settings.guarded_load_tester,
    )
    sdk = SdkMetrics() if settings.metrics else None
    runtime = sdk.runtime if sdk else Runtime(telemetry=TelemetryConfig(logging=SDK))
    client = await connect(runtime)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(clusters.close)
        kubectl = Path(sys.executable).with_name("kubectl")
        activities = build_activities(settings, clusters, client, kubectl, stack)
        herald = await stack.enter_async_context(activities.herald)
        stack.enter_context(listening(herald))
        if settings.metrics and sdk:
            figures = await stack.enter_async_context(metering(settings.metrics, client, sdk))
            stack.enter_context(listening(figures))
        workers = [
            await stack.enter_async_context(worker) for worker in build_workers(client, settings, activities)
        ]
        gc.freeze()  # what is there by now stays: no look for garbage need go through it
        gc.set_threshold(*RARELY)
        logger.info("ready")
        await stopped.wait()
        logger.info("stopping")
        loop.call_later(LONGEST_STOP, _leave, 0)
        await asyncio.gather(*(worker.shutdown() for worker in workers))  # their graces at once


def main() -> None:
    """Serve; leaves by `os._exit`, for a Temporal client may abort the interpreter's own exit."""
    try:
        settings = WorkerSettings(**_arguments())
    except ValidationError as error:
        sys.exit(
            "\n".join(
                f"CANARY_{str(one['loc'][0]).upper()}: {one['msg'].removeprefix('Value error, ')}"
                for one in error.errors()
            )
        )
    configure(settings.log_level)
    code = 0
    try:
        asyncio.run(serve(settings))
    except (ClustersFileError, EndpointError, NoTemporalError, RuntimeError) as error:
        logger.error("cannot start: %s", error)  # noqa: TRY400 — the sentence is all there is to know
        code = 1
    except KeyboardInterrupt:  # before there was anything to end
        code = INTERRUPTED
    _leave(code)


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _arguments() -> dict[str, Any]:
    """What the command line says that the environment would say otherwise."""
    parser = argparse.ArgumentParser(
        prog="canary-worker",
        description="Serve rollouts; CANARY_* and TEMPORAL_* in the environment say how.",
    )
    text = "serve a single cluster, from within it: the `taskQueue` that the clusters file gives it"
    parser.add_argument("--task-queue", metavar="NAME", default=argparse.SUPPRESS, help=text)
    return vars(parser.parse_args())


if __name__ == "__main__":
    main()
