"""What the launcher creates, and what k8s/ holds."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from components.train.launch.cluster.manifests import TEMPLATE, build, job_name
from components.train.worker import CLUSTER_VARIABLE
from components.train.worker import arguments as worker_arguments
from hopline.config.job import JobConfig
from hopline.runtime.errors import UserError
from tests.components.train.launch.cluster.cluster import Life
from tests.components.train.launch.cluster.conftest import ARGUMENTS
from tests.components.train.launch.cluster.rules import check, check_restricted
from tests.components.train.launch.cluster.server import KINDS

K8S = TEMPLATE.parents[1]
GOLDEN = K8S.parent / "tests" / "golden"
TRAINING = Path("/data/cache/train/0123/scratch/training")
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())


def objects(workers=2, restarts=3, training=TRAINING, **settings):
    return build(JobConfig.from_mapping({"claim": "hopline", **settings}), training, ARGUMENTS, workers, restarts)


def pod_of(**settings):
    return objects(**settings).job["spec"]["template"]["spec"]


def test_all_that_is_created_satisfies_schemas_and_rules():
    made = objects(
        accelerators=8, node_selector=["disktype=ssd"], tolerations=["nvidia.com/gpu:NoSchedule"], max_seconds=60
    )
    for manifest in (made.job, made.service, made.policy):
        check(manifest)
    check_restricted(made.job["spec"]["template"]["spec"])


def test_workers_have_no_token_no_privileges_and_a_root_that_cannot_be_written():
    pod = pod_of()
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == "hopline-worker"
    assert pod["securityContext"]["runAsUser"] == 10001
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]


def test_a_worker_is_told_what_its_program_takes(monkeypatch):
    (container,) = pod_of(cpus=3)["containers"]
    options = worker_arguments().parse_args(container["args"])
    assert options.training_dir == str(TRAINING)
    assert str(options.scratch) in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert options.threads == 3
    assert options.work_dir == Path(container["terminationMessagePath"]).parent


def test_hosts_are_the_names_that_kubernetes_gives_the_pods_of_the_job():
    made = objects(workers=3)
    (entry,) = made.job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert entry["name"] == CLUSTER_VARIABLE
    assert entry["value"].split(",") == [f"{made.name}-{index}.{made.name}:2222" for index in range(3)]
    assert made.job["spec"]["template"]["spec"]["subdomain"] == made.service["metadata"]["name"] == made.name


def test_only_workers_of_the_same_job_may_reach_a_worker():
    made = objects()
    mine = {"batch.kubernetes.io/job-name": made.name}
    assert made.policy["spec"]["podSelector"]["matchLabels"] == mine
    assert made.policy["spec"]["ingress"] == [{"from": [{"podSelector": {"matchLabels": mine}}]}]
    assert made.policy["spec"]["policyTypes"] == ["Ingress"]
    assert made.service["spec"]["selector"] == mine


def test_restarts_are_counted_for_each_worker():
    spec = objects(restarts=5).job["spec"]
    assert (spec["backoffLimitPerIndex"], spec["maxFailedIndexes"]) == (5, 0)


def test_settings_pass_through_to_the_job():
    made = objects(
        workers=4, image="registry.example/train@sha256:0", claim="corpus", mount="/mnt", cpus=8, memory="32Gi",
        node_selector=["a=b", "c="], tolerations=["k=v:NoExecute", "k:NoSchedule"], max_seconds=3600,
    )  # fmt: skip
    pod = made.job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert made.job["spec"]["completions"] == made.job["spec"]["parallelism"] == 4
    assert made.job["spec"]["activeDeadlineSeconds"] == 3600
    assert container["image"] == "registry.example/train@sha256:0"
    amounts = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "4Gi"}
    assert container["resources"]["limits"] == container["resources"]["requests"] == amounts
    assert {"name": "data", "mountPath": "/mnt"} in container["volumeMounts"]
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "corpus"}} in pod["volumes"]
    assert pod["nodeSelector"] == {"a": "b", "c": ""}
    assert pod["tolerations"] == [
        {"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute"},
        {"key": "k", "operator": "Exists", "effect": "NoSchedule"},
    ]


@pytest.mark.parametrize(("cpus", "threads"), [("500m", 1), ("2500m", 2), ("1.5", 1), (3, 3), (2.5, 2)])
def test_cores_are_given_as_kubernetes_writes_them_and_a_worker_has_as_many_threads_as_whole_ones(cpus, threads):
    made = objects(cpus=cpus)
    check(made.job)
    (container,) = made.job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"]["cpu"] == str(cpus)
    assert worker_arguments().parse_args(container["args"]).threads == threads
    assert JobConfig.from_mapping({"cpus": cpus}).cores == threads


def test_a_worker_that_fills_its_node_is_ended_before_it_does():
    pod = pod_of(scratch="6Gi", accelerators=1, memory="8Gi")
    (container,) = pod["containers"]
    for amounts in container["resources"].values():
        assert amounts["ephemeral-storage"] == "6Gi"
    empty = {volume["name"]: volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume}
    assert empty == {"tmp": {"sizeLimit": "6Gi"}, "shm": {"medium": "Memory", "sizeLimit": "8Gi"}}


def test_images_are_pulled_and_pods_take_precedence_as_told():
    pod = pod_of(pull_secrets=["one", "two"], priority_class="training")
    assert pod["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    assert pod["priorityClassName"] == "training"
    assert not {"imagePullSecrets", "priorityClassName"} & pod_of().keys()


@pytest.mark.parametrize("case", ["claim", "store"])
def test_the_filled_objects_are_the_golden_ones(case):
    """After an intended change: delete the file, run this, and read its difference."""
    settings = {"image": "registry.example/hopline-train:0123456789ab", "memory": "8Gi"}
    if case == "claim":
        made = objects(workers=2, **settings)
    else:
        made = objects(
            workers=3, claim="", training="gs://bucket/training", secret="store", accelerators=1, pull_secrets=["pull"],
            priority_class="training", node_selector=["a=b"], tolerations=["k:NoSchedule"], **settings,
        )  # fmt: skip
    path = GOLDEN / f"job-{case}.yaml"
    found = yaml.safe_dump_all([made.job, made.service, made.policy], sort_keys=False)
    if not path.exists():
        path.write_text(found, encoding="utf-8")
        pytest.fail(f"{path} was not there, and has been written: read it")
    assert list(yaml.safe_load_all(path.read_text(encoding="utf-8"))) == list(yaml.safe_load_all(found))


def test_a_worker_has_all_gpus_of_its_pod_and_shared_memory_for_them():
    (container,) = pod_of(accelerators=4)["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "4"
    assert "/dev/shm" in [mount["mountPath"] for mount in container["volumeMounts"]]
    (without,) = pod_of()["containers"]
    assert "/dev/shm" not in [mount["mountPath"] for mount in without["volumeMounts"]]


def test_workers_are_told_how_many_gpus_to_expect():
    for count in (0, 4):
        (container,) = pod_of(accelerators=count)["containers"]
        assert worker_arguments().parse_args(container["args"]).accelerators == count


def test_workers_that_meet_in_a_store_need_no_volume_and_have_their_credentials_from_a_secret():
    made = objects(training="gs://bucket/training", claim="", secret="store", service_account="trainer")
    check(made.job)
    pod = made.job["spec"]["template"]["spec"]
    check_restricted(pod)
    (container,) = pod["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "store"}}]
    assert pod["serviceAccountName"] == "trainer"
    assert not [volume for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    options = worker_arguments().parse_args(container["args"])
    assert options.training_dir == "gs://bucket/training"
    assert str(options.scratch) in [mount["mountPath"] for mount in container["volumeMounts"]]


def test_a_place_has_one_job_wherever_it_is():
    stored = job_name("", "gs://bucket/training")
    assert stored == objects(training="gs://bucket/training", claim="", cpus=7).name
    assert len({stored, job_name("", "s3://bucket/training"), job_name("", "gs://bucket/other")}) == 3


def test_arguments_are_taken_literally():
    settings = JobConfig(claim="hopline")
    made = build(settings, TRAINING, ["--examples", "/data/$(HOME)"], 1, 0)
    assert "/data/$$(HOME)" in made.job["spec"]["template"]["spec"]["containers"][0]["args"]


def test_a_folder_has_one_job_whatever_the_settings():
    assert objects(cpus=1).name == objects(cpus=2, workers=4).name == job_name("hopline", TRAINING)
    assert objects(claim="another").name != objects().name != objects(training=TRAINING / "other").name


@pytest.mark.parametrize(
    "wrong",
    [{"claim": "Not/AName"}, {"secret": "a b"}, {"service_account": "-"}, {"store": "/data"},
     {"mount": "data"}, {"mount": "/"}, {"cpus": 0}, {"cpus": "0m"}, {"cpus": "-1"}, {"cpus": "two"}, {"cpus": "0.0"},
     {"memory": "4GB"}, {"memory": "0Gi"}, {"scratch": "1G"}, {"queue": "a/b"}, {"queue_priority": "high"},
     {"priority_class": "High"}, {"pull_secrets": ["a b"]}, {"start_seconds": -1}, {"disruptions": -1},
     {"accelerators": -1}, {"max_seconds": -1}, {"node_selector": ["ssd"]}, {"tolerations": ["gpu"]}],
    ids=str,
)  # fmt: skip
def test_a_setting_that_breaks_its_rule_is_named_with_the_remedy(wrong):
    with pytest.raises(UserError) as caught:
        objects(**wrong)
    assert f"job.{next(iter(wrong))}" in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("path", ["/other/training", "/data/../other", "/database"])
def test_a_path_beside_the_volume_is_refused(path):
    with pytest.raises(UserError):
        JobConfig(claim="hopline").require_mounted("--examples", Path(path))


def test_workers_need_one_place_to_meet():
    with pytest.raises(UserError) as caught:
        JobConfig().require_place()
    assert "job.claim" in caught.value.remedy
    assert "job.store" in caught.value.remedy
    with pytest.raises(UserError):
        JobConfig(claim="hopline", store="gs://bucket")
    with pytest.raises(UserError):
        JobConfig(store="gs://bucket").require_mounted("--examples", Path("/data/examples"))


MANIFESTS = sorted(
    path
    for folder in ("base", "overlays")
    for path in (K8S / folder).rglob("*.yaml")
    if path.name != "kustomization.yaml"
)


@pytest.mark.parametrize("path", [path for path in MANIFESTS if path != TEMPLATE], ids=lambda path: path.name)
def test_every_manifest_satisfies_the_schemas(path):
    for manifest in yaml.safe_load_all(path.read_text()):
        check(manifest)


def test_no_manifest_is_left_out_of_its_kustomization():
    for path in K8S.rglob("kustomization.yaml"):
        beside = {other.name for other in path.parent.glob("*.yaml")} - {"kustomization.yaml", TEMPLATE.name}
        content = yaml.safe_load(path.read_text())
        named = [*content.get("resources", []), *(patch["path"] for patch in content.get("patches", []))]
        assert beside == {name for name in named if name.endswith(".yaml")}


def renderer():
    """The command that renders an overlay: kubectl, or kustomize itself; None where neither is new enough."""
    if shutil.which("kubectl"):
        said = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"v1\.(\d+)", said)
        if found and int(found[1]) >= 21:  # older ones take no folders as `resources`
            return ["kubectl", "kustomize"]
    return ["kustomize", "build"] if shutil.which("kustomize") else None


@pytest.mark.skipif(renderer() is None, reason="rendering needs kubectl 1.21 or newer, or kustomize")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_renders_to_manifests_of_one_namespace(overlay):
    text = subprocess.check_output([*renderer(), K8S / "overlays" / overlay], text=True)
    namespace = "kubeflow" if "kubeflow" in overlay else "hopline"
    manifests = list(yaml.safe_load_all(text))
    for manifest in manifests:
        check(manifest)
        if manifest["kind"] != "Namespace":
            assert manifest["metadata"]["namespace"] == namespace
        for subject in manifest.get("subjects", []):
            assert subject["namespace"] == namespace
    kinds = {manifest["kind"] for manifest in manifests}
    assert not [kind for kind in kinds if kind.startswith("Cluster")]  # no right beyond the namespace
    base = {"Role", "RoleBinding", "ServiceAccount"}
    assert (base <= kinds) == (overlay != "serving")
    annotated = [manifest["metadata"]["name"] for manifest in manifests if "annotations" in manifest["metadata"]]
    assert annotated == (["hopline-worker"] if overlay.startswith("gke") else [])


def test_in_kubeflow_the_steps_own_account_may_launch():
    binding = yaml.safe_load((K8S / "overlays" / "kubeflow" / "pipeline-runner.yaml").read_text())
    assert binding["roleRef"]["name"] == yaml.safe_load((K8S / "base" / "role.yaml").read_text())["metadata"]["name"]
    subject = {"kind": "ServiceAccount", "name": "pipeline-runner", "namespace": "kubeflow"}
    assert binding["subjects"] == [subject]


def test_the_role_lists_exactly_what_the_launcher_does(world):
    world.cluster.lives = {0: [Life(2, code=1)], 1: [Life(2, code=139)]}
    world.run()
    owner = [{"apiVersion": "batch/v1", "kind": "Job", "name": "gone", "uid": "gone"}]
    name = world.cluster.created[0][1]
    for kind in ("Service", "NetworkPolicy"):
        world.cluster.add({"kind": kind, "metadata": {"name": name, "ownerReferences": owner}})
    world.run()
    world.server.kueue, world.cluster.queues = True, {"team": False}

    def admit(paused):
        if world.cluster.of("Workload"):
            world.cluster.queues["team"] = True

    world.between = admit
    world.run(queue="team")
    done = {(request.group, request.resource, request.verb) for request in world.server.requests}
    rules = yaml.safe_load((K8S / "base" / "role.yaml").read_text())["rules"]
    allowed = {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert done == allowed
    assert {(group, resource.partition("/")[0]) for group, resource, _ in allowed} == KINDS.keys()


def test_the_template_is_in_the_image():
    dockerfile = (K8S.parent / "docker" / "train.Dockerfile").read_text()
    assert re.search(r"^COPY k8s/base/training-job\.yaml /opt/hopline/k8s/base/$", dockerfile, re.MULTILINE)
    assert "!k8s/base/training-job.yaml" in (K8S.parent / ".dockerignore").read_text().splitlines()


@pytest.mark.parametrize("mount", ["/", "/tmp", "/tmp/", "/dev/shm", "data"])
def test_a_mount_that_the_api_server_would_refuse_is_refused_before(mount):
    with pytest.raises(UserError, match=f'job.mount is "{mount}"'):
        JobConfig(claim="corpus", mount=mount)
    assert JobConfig(claim="corpus", mount="/tmp/data").mount == "/tmp/data"
