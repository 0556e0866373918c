"""The one sandboxed workflow runner that workers and replayers use."""

import dataclasses
from typing import Any

from temporalio.converter import StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy

OWN_PACKAGES = ("canary", "activities", "workflows")
LIBRARIES = ("kubernetes", "aiohttp", "prometheus_api_client", "httpx", "dulwich", "pydantic", "ruamel")
"""What activities import: workflows only name their methods, and must not load it anew each."""


@dataclasses.dataclass(frozen=True)
class _Runner(SandboxedWorkflowRunner):
    """Asks no workflow for whom a payload is: none of our converters wants to know.

    Temporal's enters the sandbox to ask, and compiles code for that, up to six times a payload: a sixth of
    all that a busy worker computed.
    """

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Create the instance of a workflow."""
        instance: Any = super().create_instance(det)
        instance.get_serialization_context = lambda _: None
        instance.get_external_store_context = lambda _: StorageDriverStoreContext(target=None)
        return instance  # type: ignore[no-any-return]


def build_runner() -> SandboxedWorkflowRunner:
    """Build the runner; a module that is imported anew in a workflow's sandbox is an error."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*OWN_PACKAGES, *LIBRARIES)
    policy = SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
    return _Runner(restrictions=dataclasses.replace(restrictions, import_notification_policy=policy))
