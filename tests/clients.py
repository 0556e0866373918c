"""Clients of the sandbox's API server, which speaks plain HTTP."""

from pathlib import Path

from kubernetes.aio.client import ApiClient, Configuration

_ONE_CERTIFICATE = str(Path(__file__).parent / "activities" / "self-signed.pem")


def api_client(url: str) -> ApiClient:
    """Make a client; it reads one certificate, for all the system's take longer than many a test."""
    return ApiClient(Configuration(host=url, ssl_ca_cert=_ONE_CERTIFICATE))
