"""The verbs on objects: create, update, patch, apply and delete, from what was sent to what is stored."""

import random
import uuid
from collections.abc import Callable
from typing import Any

from sandbox.apiserver import (
    conversion,
    decode,
    defaults,
    errors,
    lastapplied,
    managers,
    names,
    scale,
    services,
    strategy,
    structural,
    validation,
)
from sandbox.apiserver.builtin import METADATA
from sandbox.apiserver.errors import Cause, StatusError, bad_request
from sandbox.apiserver.managers import Manager, Managers, Writer
from sandbox.apiserver.registry import Registry, Resource
from sandbox.apiserver.request import Answer, Options, Place, check_applied_kind, check_kind, timestamp
from sandbox.apiserver.store import Store

Object = dict[str, Any]
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5


class Objects:
    """Reads and writes the objects of a store through the kinds of a registry."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry

    def find(self, place: Place) -> Object | None:
        """Look an object up, in the version asked for."""
        stored = self.store.get(place.resource.storage, place.namespace, place.name)
        return None if stored is None else conversion.present(stored, place.resource)

    def get(self, place: Place) -> Object:
        """Read an object.

        Raises:
            StatusError: 404, if it is not there.
        """
        if found := self.find(place):
            return found
        raise errors.not_found(place.resource, place.name)

    def create(self, place: Place, body: Any, options: Options) -> Answer:
        """Create what was sent in a namespace."""
        resource = place.resource
        obj, warnings = self._read(resource, body, options)
        meta = obj["metadata"]
        if meta.get("resourceVersion"):
            raise errors.StatusError(500, "", "resourceVersion should not be set on objects to be created")
        self._place(resource, obj, place.namespace)
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = self._generate(resource, place.namespace, meta["generateName"])
        self._finish(resource, obj)
        self._check_namespace(resource, place.namespace, meta.get("name", ""))
        owners = managers.of(meta.pop("managedFields", None), None)
        schema = resource.schema
        owners.update(self._empty(resource), obj, schema, self._writer(resource, options, "Update"))
        return Answer(self._store_new(resource, obj, owners, options), warnings, is_new=True)

    def answer(self, place: Place, body: Any, status: Object, options: Options) -> Answer:
        """Give back what was sent with a status, and keep nothing."""
        obj, warnings = self._read(place.resource, body, options)
        return Answer({**obj, "status": status}, warnings, is_new=True)

    def update(self, place: Place, body: Any, options: Options) -> Answer:
        """Replace an object by what was sent."""
        resource = place.resource
        obj, warnings = self._read(resource, body, options)
        self._check_place(place, obj)
        self._place(resource, obj, place.namespace)
        old = self.find(place)
        if old is None and resource.upserts and not options.subresource:
            obj["metadata"].pop("resourceVersion", None)
            return self.create(place, obj, options)
        if old is None:
            raise errors.not_found(resource, place.name)
        if not resource.free_update and not obj["metadata"].get("resourceVersion"):
            text = "Invalid value: 0: must be specified for an update"
            cause = Cause("FieldValueInvalid", "metadata.resourceVersion", text)
            raise errors.invalid(resource, place.name, [cause], plural=True)
        validation.check_identity(resource, obj, old, names.MARKS)
        self._finish(resource, obj, old)
        return Answer(self._update(resource, obj, old, options), warnings)

    def patch(self, place: Place, change: Callable[[Object], Object], options: Options) -> Answer:
        """Replace an object by what `change` makes of it."""
        resource, old = place.resource, self.get(place)
        changed = change(old)
        try:
            obj, warnings = self._read(resource, changed, options)
        except StatusError as error:
            raise errors.unreadable_patch(changed, str(error)) from error
        self._check_place(place, obj)
        self._place(resource, obj, place.namespace)
        validation.check_identity(resource, obj, old)
        self._finish(resource, obj, old)
        # A patch is carried out on JSON with sorted keys.
        return Answer(self._update(resource, obj, old, options), tuple(sorted(warnings)))

    def apply(self, place: Place, applied: Object, options: Options) -> Answer:
        """Carry out a server-side apply."""
        resource = place.resource
        check_applied_kind(resource, applied)
        meta = applied.get("metadata") or {}
        if meta.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        if options.subresource:
            self.get(place)
        self._check_place(place, {**applied, "metadata": {"name": place.name, **meta}})
        structural.check_applied(applied, resource, place.name)
        old = self.find(place)
        self._check_version(resource, place.name, meta, old)
        found, owners = self._lay_over(resource, applied, old, options)
        obj, warnings = self._read(resource, found, options)
        obj["metadata"] |= {"name": place.name}
        if old:
            validation.check_identity(resource, obj, old)
        self._place(resource, obj, place.namespace)
        self._finish(resource, obj, old)
        if old:
            return Answer(self._store_changed(resource, obj, old, owners, options), warnings)
        self._check_namespace(resource, place.namespace, place.name)
        return Answer(self._store_new(resource, obj, owners, options), warnings, is_new=True)

    def _lay_over(
        self, resource: Resource, applied: Object, old: Object | None, options: Options
    ) -> tuple[Object, Managers]:
        """Give what an applied configuration makes of an object, or of none, and its owners then."""
        live = self._empty(resource) if old is None else _unmanaged(old)
        owners = managers.of(None, old["metadata"].get("managedFields") if old else None)
        if old and not owners.sets:
            first = Writer(
                Manager(managers.BEFORE_FIRST_APPLY, "Update", resource.api_version), timestamp(), {}
            )
            owners.update(self._empty(resource), live, resource.schema, first)
        writer = self._writer(resource, options, "Apply")
        is_kubectl = options.owner == lastapplied.MANAGER
        allowed = lastapplied.owned(live, resource) if is_kubectl else {}
        found = owners.apply(live, applied, resource.schema, writer, force=options.force, allowed=allowed)
        return (lastapplied.renewed(found, applied) if is_kubectl else found), owners

    def _read(self, resource: Resource, body: Any, options: Options) -> tuple[Object, tuple[str, ...]]:
        """Decode a body; fields that the kind does not have are warned of or refused."""
        check_kind(resource, body)
        if resource.is_custom:
            decoder = decode.Decoder(resource.kind, resource.api_version)
            meta = decoder.struct(body.get("metadata") or {}, METADATA, "metadata")
            obj = structural.prune(body, resource, decoder.unknown) | {"metadata": meta}
        else:
            decoder = decode.Decoder(resource.kind, resource.api_version)
            obj = decoder.struct(body, resource.schema)
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        texts = (
            *(f'duplicate field "{path}"' for path in options.repeated),
            *(f'unknown field "{path}"' for path in decoder.unknown),
        )
        if texts and options.validation == "Strict":
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
                f"strict decoding error: {', '.join(texts)}"
            )
        warnings = texts if options.validation == "Warn" else ()
        return obj, (*warnings, *names.merge_owners(obj["metadata"]))

    def _finish(self, resource: Resource, obj: Object, old: Object | None = None) -> None:
        """Fill in the defaults; identity comes from the old object, or is made."""
        meta = obj["metadata"]
        before = old["metadata"] if old else {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp()}
        if old and meta.get("uid", before["uid"]) != before["uid"]:
            raise errors.another(resource, before["name"], meta["uid"], before["uid"])
        self._check_version(resource, before.get("name", ""), meta, old)
        meta.pop("selfLink", None)
        for name in ("uid", "creationTimestamp", "resourceVersion"):
            if name in before:
                meta[name] = before[name]
        if not old:
            meta.pop("deletionTimestamp", None)
            meta.pop("deletionGracePeriodSeconds", None)
        if resource.is_custom:
            structural.fill(obj, resource)
        else:
            defaults.fill(resource.schema.name, obj)

    def _update(self, resource: Resource, obj: Object, old: Object, options: Options) -> Object:
        sent = obj["metadata"].pop("managedFields", None)
        before = old["metadata"].get("managedFields")
        owners = managers.of(None if options.subresource else sent, before)
        if self._is_tracked(resource, owners, options):
            writer = self._writer(resource, options, "Update")
            owners.update(_unmanaged(old), obj, resource.schema, writer)
        return self._store_changed(resource, obj, old, owners, options)

    def _is_tracked(self, resource: Resource, owners: Managers, options: Options) -> bool:
        """Tell whether a write makes its manager an owner: where nobody owned anything, no."""
        if options.subresource == "scale":
            return owners.knows(scale.path(resource))
        return bool(owners.sets) and options.subresource != "binding"

    def _store_new(self, resource: Resource, obj: Object, owners: Managers, options: Options) -> Object:
        meta = obj["metadata"]
        if entries := owners.entries():
            meta["managedFields"] = entries
        strategy.prepare_create(resource, obj)
        validation.check_new(resource, obj)
        self._allocate(resource, obj, None)
        if self.find(Place(resource, meta.get("namespace", ""), meta["name"])):
            raise errors.already_exists(resource, meta["name"])
        if options.dry_run:
            return obj
        return self.put(resource, obj)

    def _store_changed(
        self, resource: Resource, obj: Object, old: Object, owners: Managers, options: Options
    ) -> Object:
        meta = obj["metadata"]
        if entries := owners.entries():
            meta["managedFields"] = entries
        strategy.prepare_update(resource, obj, old, options.subresource)
        validation.check_changed(resource, obj, old, options.subresource)
        self._allocate(resource, obj, old)
        if obj == old or options.dry_run:
            return obj
        if meta.get("deletionTimestamp") and not is_held(obj):
            self.remove(resource, old)  # watches see it go as it was stored
            return obj
        return self.put(resource, obj)

    def _allocate(self, resource: Resource, obj: Object, old: Object | None) -> None:
        """Give a Service what the server gives it; others get nothing."""
        if resource.storage != ("", "services"):
            return
        place = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        known = self.store.collection(resource.storage).objects.items()
        causes = list(services.allocate(obj, old, lambda: (other for key, other in known if key != place)))
        if causes:
            raise errors.invalid(resource, place[1], causes)

    def put(self, resource: Resource, obj: Object) -> Object:
        """Store an object as it is."""
        stored = self.store.put(resource.storage, self._stored(resource, obj))
        return conversion.present(stored, resource)

    def remove(self, resource: Resource, obj: Object) -> Object:
        """Remove an object from the store."""
        gone = self.store.remove(resource.storage, self._stored(resource, obj))
        return conversion.present(gone, resource)

    def _stored(self, resource: Resource, obj: Object) -> Object:
        stored = self.registry.stored_as(resource)
        if stored is resource:
            return obj
        converted = conversion.present(obj, stored)
        defaults.fill(stored.schema.name, converted)
        return converted

    def _writer(self, resource: Resource, options: Options, operation: str) -> Writer:
        manager = Manager(options.owner, operation, resource.api_version, options.subresource)
        return Writer(manager, timestamp(), strategy.reset_fields(resource, options.subresource))

    def _empty(self, resource: Resource) -> Object:
        """Give the object that a new one is compared with: a built-in one has its structures already."""
        return {} if resource.is_custom else decode.empty(resource.schema)

    def _generate(self, resource: Resource, namespace: str, prefix: str) -> str:
        while True:
            name = prefix + "".join(random.choices(_SUFFIX_LETTERS, k=_SUFFIX_LENGTH))
            if not self.find(Place(resource, namespace, name)):
                return name

    def _place(self, resource: Resource, obj: Object, namespace: str) -> None:
        if resource.namespaced and obj["metadata"].setdefault("namespace", namespace) != namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        if not resource.namespaced:
            obj["metadata"].pop("namespace", None)

    def _check_place(self, place: Place, obj: Object) -> None:
        name = obj["metadata"].get("name", "")
        if name != place.name:
            raise bad_request(
                f"the name of the object ({name}) does not match the name on the URL ({place.name})"
            )

    def _check_version(self, resource: Resource, name: str, meta: Object, old: Object | None) -> None:
        wanted = meta.get("resourceVersion")
        if wanted and (old is None or old["metadata"]["resourceVersion"] != wanted):
            raise errors.modified(resource, name)

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        if not resource.namespaced:
            return
        found = self.store.get(("", "namespaces"), "", namespace)
        if found is None:
            raise errors.StatusError(
                404,
                "NotFound",
                f'namespaces "{namespace}" not found',
                {"name": namespace, "kind": "namespaces"},
            )
        if found["metadata"].get("deletionTimestamp"):
            raise errors.terminating(resource, namespace, name)


def is_held(obj: Object) -> bool:
    """Tell whether something still keeps an object that is marked for deletion."""
    meta, spec = obj["metadata"], obj.get("spec")
    is_namespace = obj["kind"] == "Namespace" and obj["apiVersion"] == "v1"
    spared = meta.get("deletionGracePeriodSeconds", 0) > 0
    return bool(meta.get("finalizers") or spared or (is_namespace and spec and spec.get("finalizers")))


def _unmanaged(obj: Object) -> Object:
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}
