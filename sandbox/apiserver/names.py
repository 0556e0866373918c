"""The rules of metadata: names, labels, annotations, owners, finalizers."""

import ipaddress
import json
import re
from collections.abc import Iterator
from typing import Any

from sandbox.apiserver.causes import forbidden, required, wrong
from sandbox.apiserver.errors import Cause
from sandbox.apiserver.registry import Resource

Object = dict[str, Any]
LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SERVICE_LABEL = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_QUALIFIED = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_PATH_SEGMENT = re.compile(r"^(?!\.{1,2}$)[^/%]+$")
_LONGEST_LABEL, LONGEST_NAME = 63, 253
_ANNOTATIONS_SIZE = 256 * 1024
_PROPAGATING = ("orphan", "foregroundDeletion")

SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
    "must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
    "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SERVICE_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
    "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
    "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_NAME_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


def metadata(resource: Resource, meta: Object) -> Iterator[Cause]:
    """Check the metadata of an object."""
    name = meta.get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from _name(resource, name)
    yield from labels(meta.get("labels") or {}, "metadata.labels")
    yield from annotations(meta, "metadata.annotations")
    if meta.get("generation", 0) < 0:
        yield wrong("metadata.generation", meta["generation"], "must be greater than or equal to 0")
    yield from _owners(meta.get("ownerReferences") or [])
    yield from _finalizers(resource, meta.get("finalizers") or [])


def _finalizers(resource: Resource, found: list[str]) -> Iterator[Cause]:
    for finalizer in found:
        yield from _label_key(finalizer, "metadata.finalizers")
    if set(_PROPAGATING) <= set(found):
        text = "finalizer orphan and foregroundDeletion cannot be both set"
        yield wrong("metadata.finalizers", found, text)
    for i, finalizer in enumerate(() if resource.is_custom else found):
        if "/" not in finalizer and finalizer not in (*_PROPAGATING, "kubernetes"):
            text = "name is neither a standard finalizer name nor is it fully qualified"
            yield wrong(f"metadata.finalizers[{i}]", finalizer, text)


def _name(resource: Resource, name: str) -> Iterator[Cause]:
    if resource.group == "rbac.authorization.k8s.io":
        if not _PATH_SEGMENT.match(name):
            yield wrong("metadata.name", name, "may not contain '/'")
        return
    pattern, text, longest = _NAME_RULES.get(
        "" if resource.is_custom else resource.plural, (SUBDOMAIN, SUBDOMAIN_TEXT, LONGEST_NAME)
    )
    if len(name) > longest:
        yield wrong("metadata.name", name, f"must be no more than {longest} characters")
    if not pattern.match(name):
        yield wrong("metadata.name", name, text)


_NAME_RULES = {
    "namespaces": (LABEL, LABEL_TEXT, _LONGEST_LABEL),
    "services": (_SERVICE_LABEL, _SERVICE_TEXT, _LONGEST_LABEL),
}


def labels(found: dict[str, str], field: str) -> Iterator[Cause]:
    """Check labels, or a selector of them."""
    for key, value in found.items():
        yield from _label_key(key, field)
        if len(value) > _LONGEST_LABEL:
            yield wrong(field, value, f"must be no more than {_LONGEST_LABEL} bytes")
        elif value and not _QUALIFIED.match(value):
            yield wrong(field, value, _VALUE_TEXT)


def _label_key(key: str, field: str) -> Iterator[Cause]:
    prefix, slash, name = key.rpartition("/")
    if not name:
        yield wrong(field, key, "name part must be non-empty")
    elif len(name) > _LONGEST_LABEL:
        yield wrong(field, key, f"name part must be no more than {_LONGEST_LABEL} bytes")
    elif not _QUALIFIED.match(name):
        yield wrong(field, key, _NAME_TEXT)
    if slash and len(prefix) > LONGEST_NAME:
        yield wrong(field, key, f"prefix part must be no more than {LONGEST_NAME} bytes")
    elif slash and not SUBDOMAIN.match(prefix):
        yield wrong(field, key, f"prefix part {SUBDOMAIN_TEXT}")


_NO_OWNERS = {("v1", "Event"), ("events.k8s.io/v1", "Event")}


def _owners(owners: list[Object]) -> Iterator[Cause]:
    for owner in owners:
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                yield wrong(f"metadata.ownerReferences.{key}", owner.get(key, ""), "must not be empty")
        if owner.get("apiVersion", "").count("/") > 1:
            yield wrong(
                "metadata.ownerReferences.apiVersion", owner["apiVersion"], "version must not be empty"
            )
        if (owner.get("apiVersion"), owner.get("kind")) in _NO_OWNERS:
            group, _, version = owner["apiVersion"].rpartition("/")
            text = f"{group}/{version}, Kind=Event is disallowed from being an owner"
            yield wrong("metadata.ownerReferences", owner, text)
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        yield wrong("metadata.ownerReferences", owners, "Only one reference can have Controller set to true")


def merge_owners(meta: Object) -> list[str]:
    """Drop owners that are there twice, in place; give the warning that tells of it."""
    owners = meta.get("ownerReferences") or []
    kept = [owner for i, owner in enumerate(owners) if owner not in owners[:i]]
    if len(kept) == len(owners):
        return []
    twice = dict.fromkeys(owner.get("uid", "") for i, owner in enumerate(owners) if owner in owners[:i])
    meta["ownerReferences"] = kept
    return [
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in "
        "1.20+, and may reject such requests as early as 1.24; please fix your requests; "
        "duplicate UID(s) observed: " + ", ".join(twice)
    ]


ADDRESS_TEXT = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"


def is_address(text: str) -> bool:
    """Tell whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def label(name: str, field: str) -> Iterator[Cause]:
    """Check a name that is one label of a domain name."""
    if len(name) > _LONGEST_LABEL:
        yield wrong(field, name, f"must be no more than {_LONGEST_LABEL} characters")
    if not LABEL.match(name):
        yield wrong(field, name, LABEL_TEXT)


def annotations(meta: Object, field: str) -> Iterator[Cause]:
    """Check annotations."""
    found = meta.get("annotations") or {}
    for key in found:
        yield from _label_key(key.lower(), field)
    if sum(len(k) + len(v) for k, v in found.items()) > _ANNOTATIONS_SIZE:
        text = f"Too long: may not be more than {_ANNOTATIONS_SIZE} bytes"
        yield Cause("FieldValueTooLong", field, text)


MARKS = ("deletionTimestamp", "deletionGracePeriodSeconds")
IDENTITY = ("uid", *MARKS)


def identity(obj: Object, old: Object, fields: tuple[str, ...]) -> Iterator[Cause]:
    """Refuse another uid or other marks of deletion than the server's; leaving them out is no change."""
    for name in fields:
        value, before = obj["metadata"].get(name), old["metadata"].get(name)
        if value is not None and value != before and not (before and name.startswith("deletion")):
            yield wrong(f"metadata.{name}", value, "field is immutable")


def finalizers(obj: Object, old: Object) -> Iterator[Cause]:
    """Refuse new finalizers on an object that is being deleted."""
    if not old["metadata"].get("deletionTimestamp"):
        return
    known = old["metadata"].get("finalizers") or []
    added = [name for name in obj["metadata"].get("finalizers") or [] if name not in known]
    if added:
        listed = ", ".join(json.dumps(name) for name in added)
        yield forbidden(
            "metadata.finalizers",
            "no new finalizers can be added if the object is being deleted, "
            f"found new finalizers []string{{{listed}}}",
        )
