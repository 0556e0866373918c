"""What stands in a cluster before anybody comes: namespaces, Istio's kinds, a gateway and Prometheus."""

import asyncio
from urllib.parse import urlsplit

from sandbox.client import KubeClient, NotFoundError
from sandbox.istio import DEFINITIONS
from sandbox.objects import Object

MANAGER = "sandbox"
NAMESPACES = ("default", "kube-system", "istio-system")
DEFINITION_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SERVED_WITHIN = 10.0
GATEWAY: Object = {
    "apiVersion": "networking.istio.io/v1beta1",
    "kind": "Gateway",
    "metadata": {"name": "public-gateway", "namespace": "istio-system"},
    "spec": {
        "selector": {"istio": "ingressgateway"},
        "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
    },
}


async def install(client: KubeClient, prometheus: str) -> None:
    """Apply everything; `prometheus` is the URL that the Service istio-system/prometheus leads to."""
    await asyncio.gather(*(_apply(client, "/api/v1/namespaces", _namespace(name)) for name in NAMESPACES))
    await asyncio.gather(*(_apply(client, DEFINITION_PATH, one) for one in DEFINITIONS))
    service, endpoints = _prometheus(prometheus)
    await _apply(client, "/api/v1/namespaces/istio-system/services", service)
    await _apply(client, "/api/v1/namespaces/istio-system/endpoints", endpoints)
    await _gateway(client)


async def install_kubeconfig(client: KubeClient, name: str, kubeconfig: str) -> None:
    """Keep a member's kubeconfig in the host cluster, in the Secret that an AttachedCluster names."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "stringData": {f"{name}.config": kubeconfig},
    }
    await _apply(client, "/api/v1/namespaces/default/secrets", secret)


async def _gateway(client: KubeClient) -> None:
    """Apply the Gateway; a kind just defined takes a real API server a moment to serve."""
    async with asyncio.timeout(SERVED_WITHIN):
        while True:
            try:
                await _apply(
                    client, "/apis/networking.istio.io/v1beta1/namespaces/istio-system/gateways", GATEWAY
                )
            except NotFoundError:
                await asyncio.sleep(0.05)
            else:
                return


async def _apply(client: KubeClient, collection: str, obj: Object) -> None:
    await client.apply(f"{collection}/{obj['metadata']['name']}", obj, manager=MANAGER)


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _prometheus(url: str) -> tuple[Object, Object]:
    place = {"name": "prometheus", "namespace": "istio-system"}
    address = urlsplit(url)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": place,
        "spec": {"ports": [{"name": "http", "port": 9090, "protocol": "TCP"}]},
    }
    endpoints = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": place,
        "subsets": [
            {
                "addresses": [{"ip": address.hostname}],
                "ports": [{"name": "http", "port": address.port, "protocol": "TCP"}],
            }
        ],
    }
    return service, endpoints
