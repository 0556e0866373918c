"""The options of requests: read from the query, checked as the API server checks them."""

import json
from typing import Any

from sandbox.apiserver import errors
from sandbox.apiserver.builtin import TYPES
from sandbox.apiserver.causes import forbidden, not_supported, required, wrong
from sandbox.apiserver.deletion import DeleteOptions
from sandbox.apiserver.errors import Cause, bad_request
from sandbox.apiserver.listing import Page
from sandbox.apiserver.registry import Resource
from sandbox.apiserver.request import MANAGER_LENGTH, Options

Object = dict[str, Any]
Query = dict[str, str]
_KINDS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}
_POLICIES = ("Background", "Foreground", "Orphan")
_VALIDATIONS = ("Ignore", "Strict", "Warn")


def number(query: Query, name: str) -> int | None:
    """Read a whole number.

    Raises:
        StatusError: 400, if it is none.
    """
    text = query.get(name, "")
    if text and not text.lstrip("-").isdigit():
        raise bad_request(f"strconv.ParseInt: parsing {json.dumps(text)}: invalid syntax")
    return int(text) if text else None


def of_write(method: str, query: Query, agent: str, *, subresource: str, applies: bool = False) -> Options:
    """Read the options of a create, update or patch."""
    causes: list[Cause] = _dry_run(query)
    manager, force = query.get("fieldManager", ""), query.get("force", "")
    if applies and not manager:
        causes.append(required("fieldManager", "is required for apply patch"))
    if len(manager) > MANAGER_LENGTH:
        text = f"Too long: may not be more than {MANAGER_LENGTH} bytes"
        causes.append(Cause("FieldValueTooLong", "fieldManager", text))
    elif not manager.isprintable():
        causes.append(wrong("fieldManager", manager, "should only contain printable characters"))
    if force and not applies and method == "PATCH":
        causes.append(forbidden("force", "may not be specified for non-apply patch"))
    validation = query.get("fieldValidation") or "Warn"
    if validation not in _VALIDATIONS:
        causes.append(not_supported("fieldValidation", validation, _VALIDATIONS))
    _refuse(_KINDS[method], causes)
    return Options(
        manager=manager,
        user_agent=agent,
        dry_run=query.get("dryRun") == "All",
        validation=validation,
        force=force in ("1", "true"),
        subresource=subresource,
    )


def of_delete(query: Query, sent: Object) -> DeleteOptions:
    """Read the options of a delete, which may be in its body."""
    conditions = sent.get("preconditions") or {}
    policy = query.get("propagationPolicy") or sent.get("propagationPolicy") or ""
    causes = _dry_run(query)
    if (asked := sent.get("dryRun") or ["All"]) != ["All"]:
        causes.append(not_supported("dryRun", asked, ("All",)))
    if policy and sent.get("orphanDependents") is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        causes.append(wrong("propagationPolicy", policy, text))
    if policy and policy not in _POLICIES:
        causes.append(not_supported("propagationPolicy", policy, (*_POLICIES, "nil")))
    _refuse(_KINDS["DELETE"], causes)
    grace = number(query, "gracePeriodSeconds")
    return DeleteOptions(
        dry_run=query.get("dryRun") == "All" or sent.get("dryRun") == ["All"],
        policy="Orphan" if sent.get("orphanDependents") and not policy else policy,
        grace=sent.get("gracePeriodSeconds") if grace is None else grace,
        uid=conditions.get("uid") or "",
        version=conditions.get("resourceVersion") or "",
    )


def of_list(query: Query) -> Page:
    """Read which part of a collection is meant, and as of when."""
    version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    causes = []
    if match and not version:
        text = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        causes.append(forbidden("resourceVersionMatch", text))
    if match not in ("", "Exact", "NotOlderThan"):
        causes.append(not_supported("resourceVersionMatch", match, ("Exact", "NotOlderThan")))
    if match == "Exact" and version == "0":
        text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        causes.append(forbidden("resourceVersionMatch", text))
    if match and query.get("continue"):
        text = "resourceVersionMatch is forbidden when continue is provided"
        causes.append(forbidden("resourceVersionMatch", text))
    if "sendInitialEvents" in query:
        causes.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    _refuse("ListOptions", causes)
    number(query, "timeoutSeconds")
    if query.get("continue") and version not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")
    limit = number(query, "limit") or 0
    if version == "0":  # answered out of the cache, which knows no pages
        limit = 0
    return Page(max(limit, 0), query.get("continue", ""), version, is_exact=match == "Exact")


def check_initial(query: Query) -> bool:
    """Tell whether a watch begins with the present objects and a mark after them."""
    match = query.get("resourceVersionMatch", "")
    text = ""
    if "sendInitialEvents" not in query:
        text = (
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            if match
            else ""
        )
    elif match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    if text:
        _refuse("ListOptions", [forbidden("resourceVersionMatch", text)])
    return is_true(query, "sendInitialEvents")


def is_true(query: Query, name: str) -> bool:
    """Read a yes or no: whatever does not say no says yes."""
    return name in query and query[name].lower() not in ("0", "false")


def _dry_run(query: Query) -> list[Cause]:
    asked = query.get("dryRun", "")
    return [] if asked in ("", "All") else [not_supported("dryRun", asked, ("All",))]


def _refuse(kind: str, causes: list[Cause]) -> None:
    if causes:
        raise errors.invalid(Resource("meta.k8s.io", "v1", "", kind, TYPES["Scale"]), "", causes)
