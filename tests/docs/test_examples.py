"""What the examples ask Prometheus for, asked."""

import re

import pytest
from ruamel.yaml import YAML

from sandbox.metrics.labels import labels_of
from sandbox.metrics.promql import engine
from sandbox.metrics.tsdb import Tsdb
from tests.docs.pages import ROOT

VARIABLES = {"namespace": "webapp", "target": "backend", "interval": "1m", "variables.codes": "4.."}
WORKLOAD = {"destination_workload_namespace": "webapp", "destination_workload": "backend"}


@pytest.mark.parametrize(
    ("answers", "share"),
    [
        pytest.param(["200"], [0.0], id="none of them is data"),
        pytest.param(["200", "404"], [50.0], id="half"),
        pytest.param([], [], id="no requests are no data"),
    ],
)
def test_the_share_of_client_errors_is_told_without_any(answers: list[str], share: list[float]) -> None:
    template = YAML(typ="safe").load(ROOT / "examples" / "metric-template.yaml")
    query = re.sub(r"\{\{ ([\w.]+) \}\}", lambda name: VARIABLES[name[1]], template["spec"]["query"])
    store = Tsdb()
    for code in answers:
        labels = {"__name__": "istio_requests_total", "reporter": "destination", "response_code": code}
        for second in range(0, 121, 5):
            store.append(labels_of(labels | WORKLOAD), second * 1000, second)

    found = engine.instant(query, store, 120_000).value

    assert isinstance(found, list)
    assert [sample.value for sample in found] == share
