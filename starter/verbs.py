"""The commands by which a person takes a hand: one shape, one verb each."""

from collections.abc import Callable

import typer

from starter.options import As, Cluster, Name, Namespace, Reason

VERBS = {
    "abort": "Send all traffic back to the primary and end the rollout.",
    "restart": "Start the analysis again, from weight zero.",
    "approve": "Answer the gate that the rollout waits for: it goes on.",
}


def add_verbs(app: typer.Typer) -> None:
    """Give the command line a command for each verb."""
    for verb, text in VERBS.items():
        app.command(verb, help=text)(_sender(verb))


def _sender(verb: str) -> Callable[..., None]:
    def send_wish(  # noqa: PLR0913 — the command's own options
        context: typer.Context,
        name: Name,
        *,
        namespace: Namespace = "default",
        cluster: Cluster = None,
        reason: Reason = "",
        who: As = None,
    ) -> None:
        from starter import connection, names
        from starter.commands import send, wish

        reference = names.Reference(name, namespace, cluster)
        connection.run(context, lambda client: send(client, reference, wish(verb, who, reason)))

    return send_wish
