"""The load testers that the engine deploys: their names and addresses, and which hooks go to them."""

from typing import NamedTuple
from urllib.parse import urlsplit

from canary.spec import CanarySpec

PROVIDER_NAMESPACE = "istio-system"
"""Where Kurator's public load tester runs, and what its Helm release begins with."""
_DOMAINS = ("", ".svc", ".svc.cluster.local")


class LoadTester(NamedTuple):
    """A Deployment and a Service of one name; a Secret of that name as well, where a token guards it."""

    namespace: str
    name: str

    @property
    def address(self) -> str:
        """What hooks call."""
        return f"http://{self.name}.{self.namespace}/"


def private(spec: CanarySpec) -> LoadTester | None:
    """The load tester of a workload's own, if its document wants one."""
    return None if spec.test_loader is None else LoadTester(spec.namespace, spec.test_loader.name)


def public(cluster: str) -> LoadTester:
    """The load tester of a cluster that everybody there shares, named as Kurator's Helm chart names it."""
    return LoadTester(PROVIDER_NAMESPACE, f"{PROVIDER_NAMESPACE}-testloader-{cluster}-loadtester")


def called_by(spec: CanarySpec, url: str) -> LoadTester | None:
    """Which of the load testers that are for a canary its hook goes to: its own, the public one, or neither.

    Another canary's is not: whoever writes a document may name any address in it, and gets no token so.
    """
    host = _host(url)
    for tester in (private(spec), public(spec.cluster)):
        if tester is not None and host in _hosts(tester, spec.namespace):
            return tester
    return None


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _hosts(tester: LoadTester, namespace: str) -> set[str]:
    full = {f"{tester.name}.{tester.namespace}{domain}" for domain in _DOMAINS}
    return full | ({tester.name} if tester.namespace == namespace else set())
