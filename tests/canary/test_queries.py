"""Templates as Go fills them in, as far as Flagger's templates go."""

from datetime import timedelta

import pytest

from canary.errors import TemplateError
from canary.queries import render_query
from canary.spec import MetricSpec, MetricTemplate, ServiceSpec, TargetRef
from tests.canary.rollouts import a_spec

SPEC = a_spec(
    name="shop", target=TargetRef(name="backend"), service=ServiceSpec(name="front", port=80), namespace="web"
)
VARIABLES = {"extra": "yes", "with-dash": "also", "braces": "{{ target }}"}


def filled(query: str) -> str:
    template = MetricTemplate(name="mine", namespace="web", query=query)
    metric = MetricSpec(name="mine", template=template, variables=VARIABLES)
    return render_query(SPEC, metric, timedelta(minutes=1))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("{{ name }}", "shop", id="name"),
        pytest.param("{{ namespace }}", "web", id="namespace"),
        pytest.param("{{ target }}", "backend", id="target"),
        pytest.param("{{ service }}", "front", id="service"),
        pytest.param("{{ ingress }}", "backend", id="the ingress is called as the target"),
        pytest.param("{{ route }}", "backend", id="the route is called as the target"),
        pytest.param("{{ interval }}", "1m", id="interval"),
        pytest.param("{{ variables.extra }}", "yes", id="a variable of one's own"),
        pytest.param('{{ index variables "with-dash" }}', "also", id="a variable whose name has a dash"),
        pytest.param("{{ variables.braces }}", "{{ target }}", id="a value is not filled in again"),
        pytest.param("{{target}}", "backend", id="without white space"),
        pytest.param("{{\n  target\n}}", "backend", id="over several lines"),
        pytest.param("a {{- target -}} b", "abackendb", id="a minus sign takes white space away"),
        pytest.param("a {{- target }} b", "abackend b", id="on one side"),
        pytest.param("a {{/* why */}} b", "a b", id="a comment"),
        pytest.param('{{ "{{" }}', "{{", id="a text"),
        pytest.param("{{ `x` }}", "x", id="a raw text"),
        pytest.param('up{a="}}"}', 'up{a="}}"}', id="braces that close nothing"),
        pytest.param("a\n  b\tc ", "a b c", id="white space is collapsed"),
    ],
)
def test_fills_a_template_in(query: str, expected: str) -> None:
    assert filled(query) == expected


@pytest.mark.parametrize(
    ("query", "why"),
    [
        pytest.param(
            "{{ nonsense }}",
            "{{ nonsense }} is none of name, namespace, target, service, ingress, route, interval, "
            "variables.<name>",
            id="unknown",
        ),
        pytest.param(
            "{{ variables.none }}",
            "{{ variables.none }} is not given in templateVariables",
            id="no such variable",
        ),
        pytest.param(
            '{{ index variables "a-b" }}',
            "{{ variables.a-b }} is not given in templateVariables",
            id="no such variable with a dash",
        ),
        pytest.param("{{ target", "a {{ has no }}", id="not closed"),
        pytest.param("{{ target }} {{", "a {{ has no }}", id="the second not closed"),
        pytest.param("{{ if target }}x{{ end }}", "{{ if target }} is none of", id="a condition"),
        pytest.param("{{-target}}", "{{ -target }} is none of", id="a minus sign that is none"),
        pytest.param("{{ }}", "{{  }} is none of", id="empty"),
    ],
)
def test_names_what_cannot_be_filled_in(query: str, why: str) -> None:
    with pytest.raises(TemplateError) as caught:
        filled(query)

    assert why in str(caught.value)
