"""Istio's own structures inside a document: checked for their fields' names, then passed on as written."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from canary.documents.schema import LARGEST_PORT, MOST, YEAR, Document, NotDone, Structure, parse_duration

_SHORTEST = timedelta(milliseconds=1)


def _as_istio_takes_it(value: str) -> str:
    if not _SHORTEST <= parse_duration(value) <= YEAR:
        raise PydanticCustomError("duration", "must be between 1ms and 8784h")
    return value


MeshDuration = Annotated[str, AfterValidator(_as_istio_takes_it)]
"""A duration that goes into Istio's objects as it stands; none of them takes one below a millisecond."""


class IstioPart(Document):
    """A structure of Istio's that goes into the generated objects as it stands."""

    def as_written(self) -> Structure:
        """Return what the document says, without the defaults it leaves out."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class HttpRetry(IstioPart):
    """How often a failed request is tried again."""

    attempts: Annotated[int | None, Field(ge=0, le=MOST)] = None
    per_try_timeout: MeshDuration | None = None
    retry_on: str | None = None
    retry_remote_localities: bool | None = None


class HeaderOperations(IstioPart):
    """Headers to set, add and take away."""

    set: dict[str, str] | None = None
    add: dict[str, str] | None = None
    remove: list[str] | None = None


class Headers(IstioPart):
    """What becomes of the headers of requests and answers."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


class StringMatch(IstioPart):
    """One way to compare a text; none at all means that it is there."""

    exact: str | None = None
    prefix: str | None = None
    suffix: Annotated[str | None, NotDone("not supported: Istio knows exact, prefix and regex")] = None
    regex: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if len(self.model_fields_set) > 1:
            ways = {"ways": " and ".join(sorted(self.model_fields_set))}
            raise PydanticCustomError("ways", "must have one of exact, prefix or regex, has {ways}", ways)
        return self


class CorsPolicy(IstioPart):
    """Which other origins a browser may call from."""

    allow_origin: list[str] | None = None
    allow_origins: list[StringMatch] | None = None
    allow_methods: list[str] | None = None
    allow_headers: list[str] | None = None
    expose_headers: list[str] | None = None
    max_age: MeshDuration | None = None
    allow_credentials: bool | None = None


class HttpRewrite(IstioPart):
    """What a request's path and host are replaced with."""

    uri: str | None = None
    authority: str | None = None


class HttpMatch(IstioPart):
    """Which requests a route is for."""

    name: str | None = None
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: dict[str, StringMatch] | None = None
    without_headers: dict[str, StringMatch] | None = None
    query_params: dict[str, StringMatch] | None = None
    port: Annotated[int | None, Field(ge=0, le=LARGEST_PORT)] = None
    source_labels: dict[str, str] | None = None
    source_namespace: str | None = None
    gateways: list[str] | None = None
    ignore_uri_case: bool | None = None


class OutlierDetection(IstioPart):
    """When a pod is taken out of the balancing."""

    consecutive_errors: int | None = None
    consecutive_gateway_errors: int | None = None
    consecutive_5xx_errors: Annotated[int | None, Field(alias="consecutive5xxErrors")] = None
    consecutive_local_origin_failures: int | None = None
    split_external_local_origin_errors: bool | None = None
    interval: MeshDuration | None = None
    base_ejection_time: MeshDuration | None = None
    max_ejection_percent: int | None = None
    min_health_percent: int | None = None


class ConnectionPool(IstioPart):
    """Limits of the connections to a Service."""

    tcp: Structure | None = None
    http: Structure | None = None


class ClientTls(IstioPart):
    """How a client speaks TLS with a Service."""

    mode: str | None = None
    client_certificate: str | None = None
    private_key: str | None = None
    ca_certificates: str | None = None
    credential_name: str | None = None
    subject_alt_names: list[str] | None = None
    sni: str | None = None
    insecure_skip_verify: bool | None = None


class LoadBalancer(IstioPart):
    """How requests are spread over pods."""

    simple: str | None = None
    consistent_hash: Structure | None = None
    locality_lb_setting: Structure | None = None
    warmup_duration_secs: MeshDuration | None = None


class TrafficPolicy(IstioPart):
    """How clients reach the pods of a Service."""

    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTls | None = None
    port_level_settings: list[Structure] | None = None


def written(part: IstioPart | None) -> Structure | None:
    """Return what the document says of *part*, None where it says nothing."""
    return part.as_written() if part is not None else None
