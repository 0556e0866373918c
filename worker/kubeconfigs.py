"""Kubeconfigs that cannot be used: told in one sentence, in which nothing stands that they hold."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from yaml import MarkedYAMLError, YAMLError

from activities.cluster.errors import UnknownClusterError

_UNUSABLE = (
    config.ConfigException,
    YAMLError,
    OSError,  # a TLS error is one too
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
)
"""What the client library stumbles with over a file that a person wrote; it looks at no type in it."""
_REMEDY = "compare with `kubectl config view`"


@contextmanager
def loading(cluster: str, where: str) -> Iterator[None]:
    """Say of which cluster's way in something cannot be read, and why.

    Raises:
        UnknownClusterError: without its cause, whose words may quote keys and go into histories.
    """
    try:
        yield
    except _UNUSABLE as error:
        raise UnknownClusterError(cluster, f"its way in cannot be read: {_worded(error, where)}") from None


def check_texts(configuration: Configuration) -> None:
    """See that what is only used at a request is text, as it must be.

    Raises:
        TypeError: it is not.
    """
    for value in (configuration.host, configuration.proxy, configuration.tls_server_name):
        if not isinstance(value, str | None):
            raise TypeError


def _worded(error: Exception, where: str) -> str:
    match error:
        case ssl.SSLError():
            text = "its certificates or keys are no PEM; the fields that end in -data hold it as base64"
        case PermissionError():
            text = f"{error.strerror}; let user {os.geteuid()}, as whom the worker runs, read it"
        case OSError():
            text = f"{error.strerror}; name a file that is there"
        case MarkedYAMLError() if error.problem_mark is not None:
            text = f"line {error.problem_mark.line + 1} is not YAML; {_REMEDY}"
        case config.ConfigException():
            text = str(error).partition("{")[0].rstrip("/. ")  # from there on it quotes a whole entry
        case _:
            text = f"it is no kubeconfig ({type(error).__name__}); {_REMEDY}"
    return f"{(isinstance(error, OSError) and error.filename) or where}: {text}"
