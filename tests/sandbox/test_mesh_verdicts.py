"""What a real Istio says of objects: recorded/istio-verdicts.jsonl, asked on 30 November 2026.

It is the judgement of Istio 1.31's schemas and of its webhook, at the commit eed52ebb66ad.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.apiserver import crd, structural
from sandbox.istio import DEFINITIONS
from sandbox.mesh.validation import mistakes, mistakes_of_rule

Object = dict[str, Any]

NUMBERS = "numbers are read as JSON has them"
CODE = "a redirect with another code leads nowhere in Envoy, which refuses it"
UNREAD = "nobody here looks at it"
KNOWN = {
    "http port 80.0": NUMBERS,
    "http redirect code 300": CODE,
    "http redirect code 304": CODE,
    "http redirect code 399": CODE,
    "http regex '(?:(?:a{100}){100})' 19": "the size of an expression is not reckoned",
    "http timeout '+1s'": "nobody writes it",
    "http timeout '10000000h'": NUMBERS,
    "tcp subnet odd": UNREAD,
    "dr lb locality both": UNREAD,
    "dr lb locality sum": UNREAD,
    "dr ports big": "there is no such port",
}
"""Where the sandbox differs, and why."""
CHECKS = {"VirtualService": mistakes, "DestinationRule": mistakes_of_rule}
RESOURCES = {
    one["spec"]["names"]["kind"]: crd._resource(one["spec"], one["spec"]["versions"][0])
    for one in DEFINITIONS
}


def recorded() -> list[Any]:
    lines = (Path(__file__).parent / "recorded/istio-verdicts.jsonl").read_text().splitlines()
    return [
        pytest.param(
            one,
            id=one["name"],
            marks=[pytest.mark.xfail(reason=KNOWN[one["name"]])] if one["name"] in KNOWN else [],
        )
        for one in map(json.loads, lines)
    ]


def refusals(kind: str, spec: Object) -> list[str]:
    """What the API server and the mesh say of an object."""
    unknown: list[str] = []
    body = structural.prune({"spec": copy.deepcopy(spec)}, RESOURCES[kind], unknown)
    wrong = [str(one) for one in structural.validate(body, RESOURCES[kind])]
    return [*unknown, *wrong] or CHECKS[kind](body)


@pytest.mark.parametrize("told", recorded())
def test_an_object_is_refused_where_istio_refuses_it(told: Object) -> None:
    found = refusals(told["kind"], told["spec"])

    assert bool(found) == ("refused" in told), (found, told.get("refused"))
