"""Which load testers are for a canary."""

import pytest

from canary.loadtester import LoadTester, called_by, private, public
from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, TargetRef, TestLoader

BARE = CanarySpec(
    cluster="member1",
    namespace="webapp",
    name="backend",
    target=TargetRef(name="backend"),
    service=ServiceSpec(name="backend", port=9898),
    analysis=AnalysisSpec(),
)
SPEC = BARE.model_copy(update={"test_loader": TestLoader(name="backend-testloader")})
OWN = LoadTester("webapp", "backend-testloader")
SHARED = LoadTester("istio-system", "istio-system-testloader-member1-loadtester")


def test_each_is_called_by_its_address() -> None:
    assert (private(SPEC), private(BARE), public("member1")) == (OWN, None, SHARED)
    assert (called_by(SPEC, OWN.address), called_by(SPEC, SHARED.address)) == (OWN, SHARED)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("http://backend-testloader/gate/check", OWN, id="short"),
        pytest.param("http://backend-testloader.webapp.svc:80/", OWN, id="with svc"),
        pytest.param("http://BACKEND-testloader.webapp.svc.cluster.local", OWN, id="in full"),
        pytest.param("http://backend-testloader.webapp.example.com/", None, id="outside"),
        pytest.param("http://backend-testloader.shop/", None, id="of another namespace"),
        pytest.param(f"http://{SHARED.name}/", None, id="short, of another namespace"),
        pytest.param("http://webapp/backend-testloader.webapp", None, id="in its path"),
        pytest.param("http://backend-testloader.webapp@evil.example.com/", None, id="as a user"),
        pytest.param("http://[/", None, id="no address"),
        pytest.param("", None, id="empty"),
    ],
)
def test_a_hook_calls_a_load_tester_of_the_canary_or_none(url: str, expected: LoadTester | None) -> None:
    assert called_by(SPEC, url) == expected


def test_what_a_canary_has_no_longer_is_not_for_it() -> None:
    assert called_by(BARE, OWN.address) is None
