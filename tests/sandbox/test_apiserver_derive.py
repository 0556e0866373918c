from sandbox.apiserver import derive
from sandbox.apiserver.builtin import TYPES


def test_the_types_are_those_of_the_installed_client() -> None:
    assert derive.TYPES_FILE.read_text().splitlines() == derive.types()
    assert derive.TEXTS_FILE.read_text().splitlines() == derive.texts()


def test_every_type_has_its_fields() -> None:
    container = TYPES["PodSpec"].fields["containers"].item

    assert container.fields["ports"].keys == ("containerPort", "protocol")
    assert container.fields["env"].patch_key == "name"
    assert TYPES["ServiceSpec"].fields["selector"].atomic
    assert "status" in TYPES["Deployment"].by_value
