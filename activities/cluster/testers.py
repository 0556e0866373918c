"""Deploying load testers, over nobody else's objects."""

from collections.abc import Mapping

from activities.cluster import adoption, foreign, loadtester, marks, paths
from activities.cluster.api import ClusterApi, Object
from activities.cluster.errors import ApiError
from activities.cluster.loadtester import Guard
from activities.cluster.settings import ClusterSettings
from canary.loadtester import LoadTester, called_by, private, public
from canary.problem import Problem
from canary.spec import CanarySpec

SECRET = "Secret"  # noqa: S105 — the kind

REMEDY = "have workers deploy guarded ones (CANARY_GUARDED_LOAD_TESTER, docs/operations.md), and apply again"
"""What to do about load testers that anyone can run commands in."""


async def find(api: ClusterApi, tester: LoadTester) -> dict[str, Object | None]:
    """Look up what has the name of a load tester, by kind; a Secret only where there is to be a token."""
    kinds = (*loadtester.KINDS, SECRET) if api.settings.guarded_load_tester else loadtester.KINDS
    return {kind: await api.find(paths.one(kind, *tester)) for kind in kinds}


def is_as_set(settings: ClusterSettings, live: Mapping[str, Object | None]) -> bool:
    """Whether all of a load tester is there, and runs the image that one of this cluster is to run."""
    deployment = live["Deployment"]
    if deployment is None or None in live.values():
        return False
    containers = deployment["spec"]["template"]["spec"]["containers"]
    wanted = settings.guarded_load_tester or loadtester.IMAGE
    return wanted in [container.get("image") for container in containers]


def about_strangers(settings: ClusterSettings, spec: CanarySpec) -> list[Problem]:
    """Warn of a load tester that this canary calls, or has beside it, and that obeys everybody."""
    if settings.guarded_load_tester or not _wants_tester(settings, spec):
        return []
    text = f"Whoever reaches its load tester can run commands there: {REMEDY}"
    return [Problem(path="spec.testLoader", message=text, is_warning=True)]


def _wants_tester(settings: ClusterSettings, spec: CanarySpec) -> bool:
    if spec.test_loader is not None:
        return True
    hooks = [hook for hook in spec.analysis.webhooks if hook.secret_ref is None]
    # At a base URL of the cluster's own somebody else answers.
    return not settings.load_tester and any(called_by(spec, hook.url) for hook in hooks)


async def deploy_private(api: ClusterApi, spec: CanarySpec) -> None:
    """Deploy a workload's own load tester, which serves the canaries of its namespace.

    Raises:
        ApplicationError: somebody else has something of that name.
    """
    tester = private(spec)
    if tester is None:
        return
    live = await find(api, tester)
    for kind, found in live.items():
        adoption.refuse_told(foreign.about_load_tester(spec, kind, found))
    labels = {marks.CANARY: marks.owner(spec.target.name)}
    await _deploy(api, tester, labels, live.get(SECRET), f"^{spec.namespace}$")


async def deploy_public(api: ClusterApi) -> str:
    """Deploy a cluster's public load tester, which serves the canaries of all namespaces.

    Says what a person should know: what is there already and is somebody else's, such as what Kurator has
    installed, is left as it is; and a cluster that refuses a load tester gets all else.
    """
    tester = public(api.name)
    try:
        live = await find(api, tester)
        told = (foreign.about_public_load_tester(tester, kind, found) for kind, found in live.items())
        if text := next(filter(None, told), ""):
            return f"{text}."
        if live["Deployment"] is None:
            await _ensure_namespace(api, tester.namespace)
        await _deploy(api, tester, {}, live.get(SECRET), "")
    except ApiError as error:
        if not error.is_permanent:
            raise
        return f"The public load tester cannot be deployed: {error}"
    return ""


async def _ensure_namespace(api: ClusterApi, name: str) -> None:
    path = paths.namespace_path(name)
    if await api.find(path) is None:
        await api.apply(path, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


async def _deploy(
    api: ClusterApi, tester: LoadTester, labels: Mapping[str, str], secret: Object | None, namespaces: str
) -> None:
    """Write a load tester's objects; its token is made once, and of two who make it one is refused."""
    guard = None
    if image := api.settings.guarded_load_tester:
        if secret is None:
            body = loadtester.new_secret(tester, labels)
            secret = await api.create(paths.collection(SECRET, tester.namespace), body)
        guard = Guard(image, secret, namespaces)
    for body in loadtester.objects(tester, labels, guard):
        await api.apply(paths.one(body["kind"], *tester), body, force=True)
