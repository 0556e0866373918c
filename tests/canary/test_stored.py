"""What is stored in Temporal outlives the code that wrote it."""

from importlib import import_module
from pathlib import Path

import pytest

import canary
from canary.stored import Stored

MODULES = sorted(path.stem for path in Path(canary.__path__[0]).glob("[!_]*.py"))


def stored() -> list[type[Stored]]:
    """Every model of the core that is stored."""
    modules = [import_module(f"canary.{name}") for name in MODULES]
    classes = {each for module in modules for each in vars(module).values() if isinstance(each, type)}
    return sorted((each for each in classes if issubclass(each, Stored)), key=lambda each: each.__name__)


@pytest.mark.parametrize("model", stored(), ids=lambda model: model.__name__)
def test_what_a_later_version_wrote_can_be_read(model: type[Stored]) -> None:
    assert model.model_config["extra"] == "ignore"
    assert model.model_config["frozen"]


def test_a_field_of_a_later_version_is_left_out() -> None:
    assert Stored.model_validate({"later": 1}) == Stored()
