"""Flagger's AlertProvider, and the alerts of a Canary that refer to one."""

import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit

from canary.alert import AlertProvider as Provider
from canary.alert import AlertType, Severity
from canary.documents.flux import SecretRef
from canary.documents.mistake import Mistake
from canary.documents.rules import address_mistakes, object_name_mistakes
from canary.documents.schema import Document, Metadata, Structure, Text

_TOKEN_PATH = re.compile(
    r"(/powerautomate/automations/direct)?/(services|api/webhooks|webhookb2|workflows|hooks)/.+"
)
"""How the services' own addresses begin; what follows lets anyone who knows it post."""


class AlertProviderBody(Document):
    """Where alerts are sent.

    Of our own beside Flagger's types: `webhook`, any address that takes the alert as plain JSON.
    """

    type: Literal["slack", "msteams", "discord", "rocket", "gchat", "webhook"]
    channel: Text = "general"
    username: Text = "durable-canary"
    address: Text | None = None
    proxy: Text | None = None
    secret_ref: SecretRef | None = None


class AlertProvider(Document):
    """Flagger's AlertProvider."""

    api_version: Literal["flagger.app/v1beta1"]
    kind: Literal["AlertProvider"]
    metadata: Metadata
    spec: AlertProviderBody
    status: Structure | None = None

    def provider(self) -> Provider:
        """Return whom the engine tells; its Secret is in the document's own namespace."""
        given = self.spec
        return Provider(
            type=AlertType(given.type),
            name=self.metadata.name,
            namespace=self.metadata.namespace,
            channel=given.channel,
            username=given.username,
            address=given.address,
            secret_ref=given.secret_ref.name if given.secret_ref else None,
            proxy=given.proxy,
        )


class ProviderRef(Document):
    """An AlertProvider, by default in the Canary's namespace."""

    name: Text
    namespace: Text | None = None


class Alert(Document):
    """Whom to tell of a Canary, and of how grave matters; a severity that is left out is info (T10)."""

    name: Text
    severity: Literal["", "info", "warn", "error"] = ""
    provider_ref: ProviderRef

    @property
    def least(self) -> Severity:
        """The severity from which on the alert tells."""
        return Severity(self.severity or Severity.INFO)


def alert_provider_mistakes(body: AlertProviderBody) -> Iterator[Mistake]:
    """Yield what keeps alerts from being sent, or a Secret from being one."""
    if body.address is None and body.secret_ref is None:
        yield Mistake((), "address or secretRef is required: without one there is nowhere to send alerts to")
    if body.address is not None:
        yield from _address_mistakes(body.address)
    if body.proxy is not None:
        yield from address_mistakes(("proxy",), body.proxy)
    if body.secret_ref is not None:
        yield from object_name_mistakes(("secretRef", "name"), body.secret_ref.name)


def _address_mistakes(address: str) -> Iterator[Mistake]:
    found = list(address_mistakes(("address",), address))
    yield from found
    if not found and _TOKEN_PATH.fullmatch(urlsplit(address).path):
        yield Mistake(
            ("address",),
            "must not carry a token in its path: put it as `address` into a Secret, name that in secretRef",
        )
