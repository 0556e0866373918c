"""What a worker prints of what is logged."""

import logging

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
TALKATIVE = ("httpx", "httpcore")
"""They write whole addresses, which of alerts and hooks may be secrets."""


def configure(level: str) -> None:
    """Print from *level* on; whoever listens to workflows hears more than that."""
    logging.basicConfig(level=level, format=FORMAT)
    for handler in logging.getLogger().handlers:
        handler.setLevel(level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
