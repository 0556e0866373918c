"""What the load tester of a pod is told by its container: whom it serves, and by which token."""

import argparse
from collections.abc import Mapping

from sandbox.loadtester import Rules
from sandbox.node.behaviour import Kind, behaviour_of
from sandbox.node.environment import Environment
from sandbox.objects import Object


async def rules_of(environment: Environment, container: Object, env: Mapping[str, str]) -> Rules:
    """Read the options of `python -m sandbox loadtester` that matter here; gates live as long as the pod."""
    if behaviour_of(container["image"], env).kind is not Kind.LOAD_TESTER:
        return Rules()
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--token-file")
    parser.add_argument("--namespace-regexp", default="")
    options, _ = parser.parse_known_args([*container.get("command", []), *container.get("args", [])])
    token = env.get("LOADTESTER_TOKEN", "")
    if options.token_file:
        token = (await environment.file(container, options.token_file)).strip()
    return Rules(token, options.namespace_regexp)
