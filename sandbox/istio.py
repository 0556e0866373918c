"""Istio's custom resources, as far as rollouts meet them.

VirtualServices, DestinationRules and Gateways have Istio's fields; where Istio is open or nobody here
looks, so is ours. As in Istio's own definitions no list has a type: all are atomic.
"""

from sandbox.objects import Object

TEXT: Object = {"type": "string"}
FLAG: Object = {"type": "boolean"}
COUNT: Object = {"type": "integer", "format": "int32"}
PORT: Object = {"type": "integer", "maximum": 4294967295, "minimum": 0}
FLOAT: Object = {"type": "number", "format": "double"}
OPEN: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

ISTIO_VERSIONS = ("v1", "v1alpha3", "v1beta1")
SECURITY_VERSIONS = ("v1", "v1beta1")
STORED = "v1beta1"


def fields(**properties: Object) -> Object:
    """An object with these fields."""
    return {"type": "object", "properties": properties}


def required(*names: str, **properties: Object) -> Object:
    """An object with these fields, of which `names` must be there."""
    return fields(**properties) | {"required": list(names)}


def items(one: Object) -> Object:
    """A list."""
    return {"type": "array", "items": one}


def mapping(one: Object) -> Object:
    """An object with names of the user's own."""
    return {"type": "object", "additionalProperties": one}


TEXTS, LABELS = items(TEXT), mapping(TEXT)
MATCH = fields(exact=TEXT, prefix=TEXT, regex=TEXT)
PERCENT = fields(value=FLOAT)
DESTINATION = required("host", host=TEXT, port=fields(number=PORT), subset=TEXT)
CHANGES = fields(add=LABELS, remove=TEXTS, set=LABELS)
HEADERS = fields(request=CHANGES, response=CHANGES)

HTTP_MATCH = fields(
    authority=MATCH,
    gateways=TEXTS,
    headers=mapping(MATCH),
    ignoreUriCase=FLAG,
    method=MATCH,
    name=TEXT,
    port=PORT,
    queryParams=mapping(MATCH),
    scheme=MATCH,
    sourceLabels=LABELS,
    sourceNamespace=TEXT,
    statPrefix=TEXT,
    uri=MATCH,
    withoutHeaders=mapping(MATCH),
)
HTTP_ROUTE = fields(
    corsPolicy=fields(
        allowCredentials=FLAG,
        allowHeaders=TEXTS,
        allowMethods=TEXTS,
        allowOrigin=TEXTS,
        allowOrigins=items(MATCH),
        exposeHeaders=TEXTS,
        maxAge=TEXT,
        unmatchedPreflights=TEXT,
    ),
    delegate=fields(name=TEXT, namespace=TEXT),
    directResponse=required("status", body=fields(bytes=TEXT, string=TEXT), status=PORT),
    fault=fields(
        abort=fields(grpcStatus=TEXT, http2Error=TEXT, httpStatus=COUNT, percentage=PERCENT),
        delay=fields(exponentialDelay=TEXT, fixedDelay=TEXT, percent=COUNT, percentage=PERCENT),
    ),
    headers=HEADERS,
    match=items(HTTP_MATCH),
    mirror=DESTINATION,
    mirrorPercent=PORT | {"nullable": True},
    mirrorPercentage=PERCENT,
    mirrors=items(required("destination", destination=DESTINATION, percentage=PERCENT)),
    name=TEXT,
    redirect=fields(authority=TEXT, derivePort=TEXT, port=PORT, redirectCode=PORT, scheme=TEXT, uri=TEXT),
    retries=fields(
        attempts=COUNT,
        backoff=TEXT,
        perTryTimeout=TEXT,
        retryIgnorePreviousHosts=FLAG | {"nullable": True},
        retryOn=TEXT,
        retryRemoteLocalities=FLAG | {"nullable": True},
    ),
    rewrite=fields(authority=TEXT, uri=TEXT, uriRegexRewrite=fields(match=TEXT, rewrite=TEXT)),
    route=items(required("destination", destination=DESTINATION, headers=HEADERS, weight=COUNT)),
    timeout=TEXT,
)
STREAM_ROUTES = items(required("destination", destination=DESTINATION, weight=COUNT))
STREAM_MATCH = {
    "destinationSubnets": TEXTS,
    "gateways": TEXTS,
    "port": PORT,
    "sourceLabels": LABELS,
    "sourceNamespace": TEXT,
}
VIRTUAL_SERVICE = fields(
    exportTo=TEXTS,
    gateways=TEXTS,
    hosts=TEXTS,
    http=items(HTTP_ROUTE),
    tcp=items(fields(match=items(fields(**STREAM_MATCH, sourceSubnet=TEXT)), route=STREAM_ROUTES)),
    tls=items(
        required(
            "match",
            match=items(required("sniHosts", **STREAM_MATCH, sniHosts=TEXTS)),
            route=STREAM_ROUTES,
        )
    ),
)
POOL = fields(
    http=fields(
        h2UpgradePolicy=TEXT,
        http1MaxPendingRequests=COUNT,
        http2MaxRequests=COUNT,
        idleTimeout=TEXT,
        maxConcurrentStreams=COUNT,
        maxRequestsPerConnection=COUNT,
        maxRetries=COUNT,
        useClientProtocol=FLAG,
    ),
    tcp=fields(
        connectTimeout=TEXT,
        idleTimeout=TEXT,
        maxConnectionDuration=TEXT,
        maxConnections=COUNT,
        tcpKeepalive=OPEN,
    ),
)
EJECTION = fields(
    baseEjectionTime=TEXT,
    consecutive5xxErrors=PORT | {"nullable": True},
    consecutiveErrors=COUNT,
    consecutiveGatewayErrors=PORT | {"nullable": True},
    consecutiveLocalOriginFailures=PORT | {"nullable": True},
    interval=TEXT,
    maxEjectionPercent=COUNT,
    minHealthPercent=COUNT,
    splitExternalLocalOriginErrors=FLAG,
)
POLICY = fields(
    connectionPool=POOL,
    loadBalancer=OPEN,
    outlierDetection=EJECTION,
    portLevelSettings=items(OPEN),
    proxyProtocol=OPEN,
    retryBudget=OPEN,
    tls=OPEN,
    tunnel=OPEN,
)
DESTINATION_RULE = required(
    "host",
    exportTo=TEXTS,
    host=TEXT,
    subsets=items(required("name", labels=LABELS, name=TEXT, trafficPolicy=POLICY)),
    trafficPolicy=POLICY,
    workloadSelector=fields(matchLabels=LABELS),
)
GATEWAY = fields(
    selector=LABELS,
    servers=items(
        required(
            *("port", "hosts"),
            bind=TEXT,
            defaultEndpoint=TEXT,
            hosts=TEXTS,
            name=TEXT,
            port=required(
                "number", "protocol", "name", name=TEXT, number=PORT, protocol=TEXT, targetPort=PORT
            ),
            tls=OPEN,
        )
    ),
)


def definition(group: str, kind: str, short: list[str], spec: Object, columns: dict[str, str]) -> Object:
    """The CustomResourceDefinition of a kind of Istio's."""
    versions: tuple[str, ...] = ISTIO_VERSIONS if group.startswith("networking") else SECURITY_VERSIONS
    if kind == "EnvoyFilter":
        versions = ("v1alpha3",)
    singular = kind.lower()
    plural = f"{singular[:-1]}ies" if singular.endswith("cy") else f"{singular}s"
    stored = STORED if STORED in versions else versions[0]
    names = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": singular,
        "categories": ["istio-io", f"{group.partition('.')[0]}-istio-io"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": names | ({"shortNames": short} if short else {}),
            "versions": [_version(one, spec, columns, is_stored=one == stored) for one in versions],
        },
    }


def _version(name: str, spec: Object, columns: dict[str, str], *, is_stored: bool) -> Object:
    shown = [{"name": title, "type": "string", "jsonPath": path} for title, path in columns.items()]
    age = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    return {
        "name": name,
        "served": True,
        "storage": is_stored,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [*shown, age],
        "schema": {"openAPIV3Schema": fields(spec=spec, status=OPEN)},
    }


NETWORKING, SECURITY = "networking.istio.io", "security.istio.io"
DEFINITIONS = [
    definition(
        NETWORKING,
        "VirtualService",
        ["vs"],
        VIRTUAL_SERVICE,
        {"Gateways": ".spec.gateways", "Hosts": ".spec.hosts"},
    ),
    definition(NETWORKING, "DestinationRule", ["dr"], DESTINATION_RULE, {"Host": ".spec.host"}),
    definition(NETWORKING, "Gateway", ["gw"], GATEWAY, {}),
    definition(NETWORKING, "Sidecar", [], OPEN, {}),
    definition(NETWORKING, "EnvoyFilter", [], OPEN, {}),
    definition(SECURITY, "AuthorizationPolicy", ["ap"], OPEN, {"Action": ".spec.action"}),
    definition(SECURITY, "PeerAuthentication", ["pa"], OPEN, {"Mode": ".spec.mtls.mode"}),
    definition(SECURITY, "RequestAuthentication", ["ra"], OPEN, {}),
]
