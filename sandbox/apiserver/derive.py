"""Write down what the server must know of the built-in kinds, from the models of the `kubernetes` client.

Run by hand (`python -m sandbox.apiserver.derive`) when that client is upgraded; the server reads the texts
only. builtin_types.txt has one type a line: its name, then `field:type`, `!` after the fields that are always
written. builtin_texts.txt has the descriptions of the fields that are columns of tables.
"""

import re
from pathlib import Path
from typing import Any

from sandbox.apiserver.columns import COLUMNS
from sandbox.apiserver.furthercolumns import FURTHER

TYPES_FILE = Path(__file__).with_name("builtin_types.txt")
TEXTS_FILE = Path(__file__).with_name("builtin_texts.txt")
ROOTS = (
    *("CoreV1Event", "EventsV1Event", "V2HorizontalPodAutoscaler", "V1Scale"),
    *(
        "V1ConfigMap",
        "V1Endpoints",
        "V1Namespace",
        "V1Node",
        "V1Pod",
        "V1Secret",
        "V1ServiceAccount",
        "V1Service",
    ),
    *(
        "V1ControllerRevision",
        "V1DaemonSet",
        "V1Deployment",
        "V1ReplicaSet",
        "V1Lease",
    ),
    *(
        "V1EndpointSlice",
        "V1Ingress",
        "V1NetworkPolicy",
        "V1PodDisruptionBudget",
        "V1CustomResourceDefinition",
    ),
    *("V1ClusterRoleBinding", "V1ClusterRole", "V1RoleBinding", "V1Role", "V1SelfSubjectAccessReview"),
)
SCALARS = {
    "str": "string",
    "int": "int",
    "bool": "bool",
    "float": "float",
    "datetime": "time",
    "bytes": "bytes",
}


def short(name: str) -> str:
    """Name a type as Go does, without the version where it is the first."""
    return re.sub(r"^(CoreV1|V1)(?=[A-Z])", "", name)


def written(declared: str, annotation: str) -> str:
    """Translate a declared Python type into the notation of the file."""
    if nested := re.fullmatch(r"List\[(.*)\]", declared):
        return "[]" + written(nested[1], "")
    if nested := re.fullmatch(r"Dict\[str, (.*)\]", declared):
        return "{}" + written(nested[1], "")
    if declared == "object":
        return "intOrString" if "int," in annotation.replace("Annotated[int", "int") else "any"
    return SCALARS.get(declared) or short(declared)


def _infos(model: Any) -> dict[str, Any]:
    return {info.serialization_alias or key: info for key, info in model.model_fields.items()}


def types() -> list[str]:
    """Give a line for every type that the root kinds reach."""
    from kubernetes.client import models

    todo, found = list(ROOTS), dict[str, str]()
    while todo:
        name = todo.pop()
        if name in found:
            continue
        model: Any = getattr(models, name)
        infos, fields = _infos(model), []
        for field, declared in model.openapi_types.items():
            alias = model.attribute_map[field]
            mark = "!" if infos[alias].is_required() else ""
            fields.append(f"{alias}{mark}:{written(declared, str(infos[alias].annotation))}")
            todo += [word for word in re.findall(r"[A-Z]\w+", declared) if word not in {"List", "Dict"}]
        found[name] = " ".join([short(name), *fields])
    return sorted(found.values())


def texts() -> list[str]:
    """Give a line for every field that a column is about."""
    from kubernetes.client import models

    found = []
    for about in sorted({column.about for columns in (COLUMNS | FURTHER).values() for column in columns}):
        if re.fullmatch(r"\w+\.\w+", about):
            name, _, field = about.partition(".")
            model = next(getattr(models, p + name) for p in ("", "V1", "CoreV1") if hasattr(models, p + name))
            text = _infos(model)[field].description
            if name == "ObjectMeta":  # whose empty lines the generator of the models has made two spaces
                text = text.replace("  ", "\\n\\n")
            found.append(f"{about} {text}")
    return found


if __name__ == "__main__":
    TYPES_FILE.write_text("\n".join(types()) + "\n")
    TEXTS_FILE.write_text("\n".join(texts()) + "\n")
