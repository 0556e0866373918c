"""Making a primary, promoting it, putting it back: as recorded, and when it goes wrong."""

import contextlib
import copy

import pytest
from temporalio.exceptions import ApplicationError

from activities.cluster import configs, marks, records
from activities.cluster.errors import ClusterUnreachableError
from activities.cluster.scaling import ScaleRequest, ScalingActivities
from activities.cluster.workloads import primary_workload
from canary.spec import CanarySpec, TargetRef, WorkloadKind
from tests.activities.cluster.member import WORKLOADS, Member, Object, given, recorded, spec
from tests.activities.cluster.story import Story, config, secret, using

CONTENT = ("spec", "data", "binaryData", "type", "immutable")
DAEMON_SET = spec(WorkloadKind.DAEMON_SET)


def bare(found: Object) -> Object:
    """An object without what is the server's, the engine's own or Flagger's own."""
    body = copy.deepcopy({key: value for key, value in found.items() if key in CONTENT})
    metadata: Object = {"name": found["metadata"]["name"]}
    for field in ("labels", "annotations"):
        if kept := _foreign(found["metadata"].get(field)):
            metadata[field] = kept
    body["metadata"] = metadata
    template = body.get("spec", {}).get("template", {}).get("metadata", {})
    if "annotations" in template:
        template["annotations"] = _foreign(template["annotations"])
    return body


def _foreign(entries: dict[str, str] | None) -> dict[str, str]:
    own = ("durable-canary.dev/", "flagger-id", "deprecated.daemonset.template.generation")
    return {key: value for key, value in (entries or {}).items() if not key.startswith(own)}


RECORDINGS = [
    pytest.param("canary", spec(), id="canary"),
    pytest.param("config-change", spec(), id="config-change"),
    pytest.param("hooks", spec(), id="hooks"),
    pytest.param("hpa", spec(autoscaler="podinfo", primary_min_replicas=3, primary_max_replicas=9), id="hpa"),
    pytest.param("hpa", spec(primary_min_replicas=3, primary_max_replicas=9), id="hpa found by its target"),
    pytest.param("daemonset", DAEMON_SET, id="daemonset"),
]


@pytest.mark.parametrize(("recording", "wanted"), RECORDINGS)
@pytest.mark.proves("C16", "C17", "C18", "T9")
async def test_a_primary_is_made_as_recorded(member: Member, recording: str, wanted: CanarySpec) -> None:
    """Flagger's primary to the letter, and with `binaryData`, which Flagger loses.

    C16, C17, C18, T9: Flagger's deployment_controller.go, hpa_reconciler.go, daemonset_controller.go,
    config_tracker.go.
    """
    await Story(member, wanted).begin(recording)
    created = [
        line for line in recorded(recording) if line["what"] == "created" and line["kind"] in WORKLOADS
    ]
    expected = {
        (line["kind"], line["object"]["metadata"]["name"]): bare(line["object"])
        for line in created
        if line["object"]["metadata"]["name"].endswith("-primary")
    }
    expected["ConfigMap", "podinfo-vol-primary"]["binaryData"] = {"bin": "AAEC"}  # T9: Flagger loses it

    assert {(kind, name): bare(await member.read(kind, name)) for kind, name in expected} == expected


@pytest.mark.proves("D25")
def test_pods_of_any_label_keep_away_from_their_like() -> None:
    """Flagger renames what bears the Deployment's name only (D25: docs/architecture.md)."""
    (target,) = given("canary", "Deployment")
    pod = target["spec"]["template"]
    target["spec"]["selector"]["matchLabels"] = pod["metadata"]["labels"] = {"name": "web"}
    (preferred,) = pod["spec"]["affinity"]["podAntiAffinity"].values()
    preferred[0]["podAffinityTerm"]["labelSelector"] = {"matchLabels": {"name": "web"}}
    made = primary_workload(spec(), target, pod)["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]

    assert [term["podAffinityTerm"]["labelSelector"] for (term,) in made.values()] == [
        {"matchLabels": {"name": "web-primary"}}
    ]


@pytest.mark.proves("D24")
async def test_a_primarys_autoscaler_has_the_annotations_of_the_targets(member: Member) -> None:
    """Flagger leaves them out, and what metrics adapters read in them (D24: docs/architecture.md)."""
    objects = given("hpa", *WORKLOADS)
    (scaler,) = [body for body in objects if body["kind"] == "HorizontalPodAutoscaler"]
    scaler["metadata"]["annotations"] = {"adapter": "queue", "kubectl.kubernetes.io/last-applied-x": "{}"}
    await member.add(*objects)
    await Story(member, spec(autoscaler="podinfo")).create()
    made = await member.read("HorizontalPodAutoscaler", "podinfo-primary")

    assert made["metadata"]["annotations"] == {"adapter": "queue"}


@pytest.mark.parametrize(("recording", "wanted"), RECORDINGS)
@pytest.mark.proves("C15", "C17", "C18")
async def test_a_primary_is_promoted_as_recorded(member: Member, recording: str, wanted: CanarySpec) -> None:
    """A promotion brings template and configs into the primary as Flagger's does.

    C15, C17, C18: Flagger's config_tracker.go, hpa_reconciler.go, daemonset_controller.go.
    """
    story = Story(member, wanted)
    lines = [line for line in recorded(recording) if line["what"] == "changed" and line["kind"] in WORKLOADS]
    await story.begin(recording)
    expected: dict[tuple[str, str], Object] = {}
    for line in lines:
        kind, name, fields = line["kind"], line["name"], line["fields"]
        if name.endswith("-primary"):
            before = bare(await member.read(kind, name))
            after = bare({"metadata": before["metadata"]} | fields)
            if "spec" in before:
                after["spec"] = before["spec"] | after.get("spec", {})
            expected[kind, name] = before | after
        else:
            await member.change(kind, name, fields)
    await story.roll()

    assert (story.kind, "podinfo-primary") in expected
    assert {(kind, name): bare(await member.read(kind, name)) for kind, name in expected} == expected


async def test_a_primary_remembers_what_it_was_made_from(story: Story) -> None:
    made = await story.begin()
    again = await story.create()

    assert made == again == await story.revision()
    assert marks.read_promoted((await story.primary())["metadata"]) == made


async def test_a_primary_that_is_there_is_left_as_it_is(story: Story) -> None:
    made = await story.begin()
    await story.release("podinfo:2")
    await story.configure("green")
    before = await story.primary()

    assert await story.create() == made
    assert await story.primary() == before
    assert await story.color() == "red"


@pytest.mark.proves("T14")
async def test_a_first_primary_is_made_anew_while_nothing_counts_as_promoted(story: Story) -> None:
    """Flagger makes a primary from whatever its target holds; here only until something was promoted.

    T14: Flagger's deployment_controller.go.
    """
    await story.member.add(*given("canary", *WORKLOADS))
    await story.create()
    await story.release("podinfo:2")
    await story.configure("green")
    unpromoted = await records.last_promoted(story.member.api, story.spec)
    made = await story.create()
    await story.count()
    record = await records.last_promoted(story.member.api, story.spec)

    assert (unpromoted, made) == (None, await story.revision())
    assert (await story.image(), await story.color()) == ("podinfo:2", "green")
    assert record is not None
    assert record.revision == made
    assert len(await story.member.names("ControllerRevision")) == 1


async def test_what_counts_as_promoted_once_is_not_counted_again(story: Story) -> None:
    await story.begin()
    before = await story.member.all("ControllerRevision")
    await story.count()

    assert await story.member.all("ControllerRevision") == before


@pytest.mark.parametrize("how", ["its target was emptied", "its record is lost"])
async def test_a_primary_that_may_serve_users_is_not_made_anew(story: Story, how: str) -> None:
    await story.member.add(*given("canary", *WORKLOADS))
    made = await story.create()
    if how == "its record is lost":
        (name,) = await story.member.names("ControllerRevision")
        await story.member.delete("ControllerRevision", name)
    else:
        scale = ScaleRequest(spec=story.spec, replicas=0, decided_at=story.later())
        await story.member.run(ScalingActivities(story.member).scale_target, scale)
    await story.release("podinfo:2")
    before = await story.primary()

    assert await story.create() == made
    assert await story.primary() == before


async def test_a_target_without_pods_gives_a_primary_of_one(story: Story) -> None:
    await story.member.add(*given("canary", *WORKLOADS))
    await story.member.change("Deployment", "podinfo", {"spec": {"replicas": 0}})
    await story.create()

    assert (await story.primary())["spec"]["replicas"] == 1


@pytest.mark.proves("C16")
async def test_every_kind_of_reference_is_rewritten(member: Member) -> None:
    """Wherever a pod template names a tracked config, the primary's names its copy.

    C16: Flagger's deployment_controller.go.
    """
    story = Story(member)
    (body,) = given("canary", "Deployment")
    pod = body["spec"]["template"]["spec"]
    pod["volumes"] = [
        {"name": "a", "configMap": {"name": "c1"}},
        {"name": "b", "secret": {"secretName": "s1"}},
        {
            "name": "c",
            "projected": {"sources": [{"configMap": {"name": "c2"}}, {"secret": {"name": "s2"}}]},
        },
        {"name": "d", "emptyDir": {}},
    ]
    env = [
        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c3", "key": "k"}}},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "k"}}},
        {"name": "C", "value": "plain"},
    ]
    sources = [{"configMapRef": {"name": "c4"}}, {"secretRef": {"name": "s4"}}]
    pod["initContainers"] = [{"name": "init", "image": "i", "env": env, "envFrom": sources}]
    pod["containers"] = [{"name": "podinfod", "image": "i", "envFrom": sources}]
    for number in range(1, 5):
        await member.add(config(f"c{number}"), secret(f"s{number}"))
    await member.add(body)
    await story.create()
    template = (await story.primary())["spec"]["template"]
    used = [(ref.key, ref.name) for ref in configs.references(template)]

    assert sorted({name for _, name in used}) == sorted(
        f"{letter}{number}-primary" for letter in "cs" for number in range(1, 5)
    )
    assert len(used) == 10
    assert len([name for name in await member.names("ConfigMap") if name.endswith("-primary")]) == 4
    assert len([name for name in await member.names("Secret") if name.endswith("-primary")]) == 4


@pytest.mark.proves("C15")
async def test_an_optional_config_that_is_missing_is_left_out(member: Member) -> None:
    """An optional reference may lead nowhere, in the primary as in the target.

    C15: Flagger's config_tracker.go.
    """
    story = Story(member)
    await member.add(using("gone", optional=True))
    made = await story.create()
    (ref,) = configs.references((await story.primary())["spec"]["template"])

    assert ref.name == "gone"
    assert made.configs == {"configmap/gone": configs.MISSING}


async def test_a_config_that_pods_cannot_do_without_is_waited_for(member: Member) -> None:
    story = Story(member)
    await member.add(using("gone"))
    with pytest.raises(
        ApplicationError, match="podinfo refers to ConfigMap gone, which is not there"
    ) as raised:
        await story.create()

    assert raised.value.non_retryable
    assert await member.find("Deployment", "podinfo-primary") is None


@pytest.mark.proves("C15")
async def test_a_config_with_tracking_switched_off_is_shared(member: Member) -> None:
    """`flagger.app/config-tracking: disabled`: no copy is made, and the primary keeps the name.

    C15: Flagger's config_tracker.go.
    """
    story = Story(member)
    off = {"name": "shared", "annotations": {configs.TRACKING: "disabled"}}
    token = secret("token", type="example.com/token")
    await member.add(config("shared", metadata=off), token, using("shared"))
    made = await story.create()
    (ref,) = configs.references((await story.primary())["spec"]["template"])

    assert (ref.name, made.configs) == ("shared", {})
    assert "shared-primary" not in await member.names("ConfigMap")


async def test_an_immutable_config_stays_so_and_is_made_anew_when_it_changes(member: Member) -> None:
    story = Story(member)
    await member.add(config("fixed", immutable=True), using("fixed"))
    await story.create()
    await member.delete("ConfigMap", "fixed")
    await member.add(config("fixed", "green", immutable=True))
    await story.roll()
    copied = await member.read("ConfigMap", "fixed-primary")

    assert (copied["immutable"], copied["data"]) == (True, {"color": "green"})
    assert await member.names("ConfigMap") == ["fixed", "fixed-primary"]


async def test_two_canaries_with_one_config_have_a_copy_each(member: Member) -> None:
    await member.add(config("shared"), using("shared"))
    other = using("shared")
    other["metadata"] = {"name": "other"}
    other["spec"]["selector"]["matchLabels"] = other["spec"]["template"]["metadata"]["labels"] = {
        "app": "other"
    }
    await member.add(other)
    await Story(member).create()
    target = TargetRef(name="other")
    story = Story(member, spec(target=target))
    await story.create()
    await member.change("ConfigMap", "shared", {"data": {"color": "green"}})
    await Story(member).roll()
    (ref,) = configs.references((await member.read("Deployment", "other-primary"))["spec"]["template"])

    assert ref.name == "shared-other-primary"
    assert await story.color("shared-primary") == "green"
    assert await story.color("shared-other-primary") == "red"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param("Deployment", "podinfo-primary", id="workload"),
        pytest.param("ConfigMap", "podinfo-env-primary", id="config"),
        pytest.param("HorizontalPodAutoscaler", "podinfo-primary", id="autoscaler"),
    ],
)
async def test_nobody_elses_object_is_written_over(member: Member, kind: str, name: str) -> None:
    story = Story(member)
    objects = given("hpa", *WORKLOADS)
    (body,) = [body for body in objects if body["kind"] == kind and body["metadata"]["name"] == name[:-8]]
    theirs = copy.deepcopy(body)
    theirs["metadata"]["name"] = name
    if kind == "ConfigMap":
        theirs["data"] = {"color": "theirs"}
    await member.add(*objects, theirs)
    before = await member.read(kind, name)
    with pytest.raises(ApplicationError, match=f"{kind} {name} in namespace default is there already"):
        await story.create()

    assert await member.read(kind, name) == before
    assert "podinfo-primary" not in set(await member.names("Deployment")) - {name}


@pytest.mark.parametrize("deaths", range(9))
async def test_a_half_made_primary_is_completed(story: Story, deaths: int) -> None:
    await story.member.add(*given("hpa", *WORKLOADS))
    story.member.api.writes_left = deaths
    with contextlib.suppress(ClusterUnreachableError):
        await story.create()
    story.member.api.writes_left = None
    made = await story.create()
    await story.count()
    record = await records.last_promoted(story.member.api, story.spec)

    assert record is not None
    assert record.revision == made == marks.read_promoted((await story.primary())["metadata"])
    assert "podinfo-primary" in await story.member.names("HorizontalPodAutoscaler")
    assert {"podinfo-env-primary", "podinfo-vol-primary"} <= set(await story.member.names("ConfigMap"))
