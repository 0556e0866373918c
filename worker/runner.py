"""The one sandboxed workflow runner that workers and replayers use."""

import dataclasses

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy

OWN_PACKAGES = ("canary", "activities", "workflows")
LIBRARIES = ("kubernetes", "aiohttp", "prometheus_api_client", "httpx", "dulwich", "pydantic", "ruamel")
"""What activities import: workflows only name their methods, and must not load it anew each."""


def build_runner() -> SandboxedWorkflowRunner:
    """Build the runner; a module that is imported anew in a workflow's sandbox is an error."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*OWN_PACKAGES, *LIBRARIES)
    policy = SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
    return SandboxedWorkflowRunner(
        restrictions=dataclasses.replace(restrictions, import_notification_policy=policy)
    )
