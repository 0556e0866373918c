"""Whatever is sent, the answer is an object or a Status: never a fault of the server's own."""

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.apiserver import crd, routes
from sandbox.apiserver.errors import StatusError
from sandbox.apiserver.handlers import Handlers
from sandbox.apiserver.objects import Objects
from sandbox.apiserver.registry import Registry
from sandbox.apiserver.request import Options, Place
from sandbox.apiserver.store import Store

LABELS = {"app": "web"}
POD_SPEC = {
    "containers": [
        {
            "name": "app",
            "image": "podinfo:1",
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "x"}}},
            ],
            "ports": [{"containerPort": 80, "name": "http"}],
            "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}},
            "readinessProbe": {"httpGet": {"port": "http"}},
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "lifecycle": {"preStop": {"exec": {"command": ["x"]}}},
        }
    ],
    "volumes": [{"name": "v", "configMap": {"name": "c"}}],
    "tolerations": [{"key": "k"}],
}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": POD_SPEC}
WORKLOAD = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": TEMPLATE}
STRATEGY = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/namespaces/default/pods": {"spec": POD_SPEC},
    "/api/v1/namespaces/default/services": {
        "spec": {"ports": [{"port": 80, "name": "http"}], "selector": LABELS}
    },
    "/api/v1/namespaces/default/configmaps": {"data": {"a": "b"}, "binaryData": {"c": "AA=="}},
    "/api/v1/namespaces/default/secrets": {"data": {"a": "AA=="}, "stringData": {"b": "c"}, "type": "Opaque"},
    "/api/v1/namespaces/default/endpoints": {
        "subsets": [{"addresses": [{"ip": "1.2.3.4"}], "ports": [{"port": 1}]}]
    },
    "/api/v1/namespaces/default/events": {"involvedObject": {"namespace": "default"}, "source": {}},
    "/apis/apps/v1/namespaces/default/deployments": {"spec": {**WORKLOAD, "strategy": STRATEGY}},
    "/apis/apps/v1/namespaces/default/daemonsets": {"spec": {**WORKLOAD, "updateStrategy": STRATEGY}},
    "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers": {
        "spec": {
            "scaleTargetRef": {"apiVersion": "v1", "kind": "D", "name": "d"},
            "maxReplicas": 2,
            "metrics": [],
            "behavior": {},
        }
    },
    "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies": {
        "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 1}]}]}
    },
    "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings": {
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "u"}],
    },
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": {
        "spec": {
            "group": "lab.example",
            "scope": "Namespaced",
            "names": {"plural": "x", "kind": "X"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}
                    },
                }
            ],
        }
    },
}
JUNK = st.sampled_from([None, [], {}, "x", "", 0, -1, True, [None], {"x": None}, [{}], 1.5])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in entries:
        found += places(child, (*path, key))
    return found


def replaced(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    copied = copy.deepcopy(value)
    parent = copied
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = junk
    return copied


class Asker:
    """Asks the handlers, and lets nothing but a Status be a failure."""

    def __init__(self) -> None:
        self.registry = Registry()
        objects = Objects(Store(), self.registry)
        objects.create(
            Place(self.registry.builtin("namespaces"), ""), {"metadata": {"name": "default"}}, Options()
        )
        self.handlers = Handlers(objects)

    def ask(self, method: str, path: str, body: Any, kind: str = "application/json") -> None:
        target = routes.find(self.registry, path)
        sent = (json.dumps(body).encode(), kind, "fuzz/1")
        with contextlib.suppress(StatusError):
            self.handlers.handle(method, target, {"fieldManager": "fuzz"}, sent)

    def serve_definitions(self) -> None:
        for definition in self.handlers.objects.store.collection(crd.STORAGE).objects.values():
            crd.serve(definition, self.registry)
            self.ask(
                "POST",
                "/apis/lab.example/v1/namespaces/default/x",
                {"metadata": {"name": "x"}, "spec": {"a": 1}},
            )


@pytest.mark.parametrize("path", BODIES)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_junk_in_an_object(path: str, data: st.DataObject) -> None:
    whole = {
        "metadata": {"name": "x", "labels": LABELS, "annotations": {"a": "b"}, "finalizers": []},
        **BODIES[path],
    }
    junk = replaced(whole, data.draw(st.sampled_from(places(whole))), data.draw(JUNK))
    asker = Asker()

    asker.ask("POST", path, junk)
    asker.serve_definitions()
    if "apiextensions" not in path:
        asker.ask("POST", path, whole)
    for kind in ("merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml"):
        asker.ask("PATCH", f"{path}/x", junk, f"application/{kind}")
    asker.ask("PUT", f"{path}/x", junk)
    asker.ask("DELETE", f"{path}/x", {})
