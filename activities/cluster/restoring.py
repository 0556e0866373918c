"""What a target that gets its users back must find: its configs, as they were promoted."""

from temporalio.exceptions import ApplicationError

from activities.cluster import configs, paths
from activities.cluster.api import ClusterApi, Object
from activities.cluster.copies import Copy, find_copies, last_of
from activities.cluster.records import Record
from canary.spec import CanarySpec


async def bring_back_configs(api: ClusterApi, spec: CanarySpec, record: Record) -> None:
    """Make anew what is gone of the configs that the promoted template uses, from the primary's copies.

    A config that is there is its owner's, and others may use it: it is not written. One that is another than
    was promoted would reach every user with the target, so nobody is led there before a person has decided.

    Raises:
        ApplicationError: "NotReady", naming such a config, or one that is gone and so is its copy.
    """
    promoted = record.revision.configs
    live = configs.hashes(await configs.read_configs(api, spec.namespace, record.template))
    # One that nobody tracks, now or then, is let through as it is: somebody has said so.
    changed = [key for key, hash_ in live.items() if hash_ != promoted.get(key, hash_)]
    for key, copy in (await find_copies(api, spec, changed)).items():
        if live[key] != configs.MISSING:
            raise _is_another(spec, key, "" if promoted[key] == configs.MISSING else copy.name)
        await _make_anew(api, spec, key, await _promoted(api, spec, copy, promoted[key]))


async def _promoted(api: ClusterApi, spec: CanarySpec, copy: Copy, wanted: str) -> Object:
    """What was promoted of a config that is gone: its copy, or what a later promotion has kept of that."""
    last = await api.find(paths.one(copy.kind, spec.namespace, last_of(copy)))
    for found in (copy.live, last):
        if found is not None and configs.hash_of(found) == wanted:
            return found
    text = (
        f"{copy.kind} {copy.name} in namespace {spec.namespace} no longer holds what was promoted, and what "
        f"it was copied from is gone: bring that back, then {spec.target.name} gets its users back."
    )
    raise ApplicationError(text, type="NotReady", non_retryable=True)


async def _make_anew(api: ClusterApi, spec: CanarySpec, key: str, source: Object) -> None:
    kind, name = configs.kind_and_name(key)
    body = configs.primary_copy(source, {"metadata": {"name": name, "namespace": spec.namespace}})
    await api.create(paths.collection(kind, spec.namespace), body)


def _is_another(spec: CanarySpec, key: str, copy: str) -> ApplicationError:
    kind, name = configs.kind_and_name(key)
    remedy = f"bring it back to what {kind} {copy} holds" if copy else "delete it, as it was not there then"
    text = (
        f"{kind} {name} in namespace {spec.namespace} is not what was promoted, and {spec.target.name} would "
        f"bring it to every user: {remedy}, or let it through: kubectl annotate {kind.lower()} {name} "
        f"-n {spec.namespace} {configs.TRACKING}=disabled"
    )
    return ApplicationError(text, type="NotReady", non_retryable=True)
