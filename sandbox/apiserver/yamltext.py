"""YAML bodies, read as the server reads them: JSON with another spelling."""

import json
from functools import cache
from typing import Any

from sandbox.apiserver.errors import bad_request


@cache
def _reader() -> Any:
    from ruamel.yaml import YAML

    reader = YAML(typ="safe", pure=True)
    reader.constructor.add_constructor(
        "tag:yaml.org,2002:timestamp", lambda constructor, node: constructor.construct_scalar(node)
    )
    return reader


def read_yaml(content: bytes) -> Any:
    """Read a body that is YAML, or JSON as most clients send it."""
    try:
        return json.loads(content)
    except ValueError:
        pass  # not JSON, so it has to be YAML
    try:
        return _reader().load(content.decode())
    except Exception as error:  # ruamel has many kinds
        raise bad_request(f"error decoding YAML: {error}") from error
