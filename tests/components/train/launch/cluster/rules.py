"""What a Kubernetes API server demands of an object: the published schemas, and rules that schemas cannot say."""

import functools
import re

import jsonschema
from kubernetes.utils import parse_quantity
from kubernetes_validate import utils
from referencing import Registry, Resource

OLDEST, NEWEST = "1.31", "1.37"
RESTRICTED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected",
                      "secret"}  # fmt: skip


class RefusedError(Exception):
    """What the server would answer with 422."""


def require(holds, rule):
    if not holds:
        raise RefusedError(rule)


def check(manifest, versions=(OLDEST, NEWEST)):
    """Raises `RefusedError` unless the object satisfies the schemas, strictly, and the server's own validation."""
    check_schema(manifest, versions)
    name = manifest["metadata"]["name"]
    require(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name), f"{name} is no DNS label")
    if manifest["kind"] == "Job":
        check_job(manifest)


def check_schema(manifest, versions=(OLDEST, NEWEST)):
    """Raises `RefusedError` unless the object satisfies the schemas, strictly."""
    for version in versions:
        try:
            _validator(manifest["kind"], manifest["apiVersion"], version).validate(manifest)
        except jsonschema.ValidationError as error:
            raise RefusedError(f"{error.message} at {list(error.path)}") from error


@functools.cache
def _validator(kind, api_version, version):
    """What `kubernetes_validate.validate(..., strict=True)` makes anew, in a tenth of a second, for each object."""
    (exact,) = {known for known in utils.all_versions() if utils.major_minor(known) == version}
    folder = f"kubernetes-json-schema/v{exact}-local-strict"
    group = re.sub(r"^([^./]*)(\.[^/]*)?/", r"\1-", api_version)
    schema = utils.schema_contents(f"{folder}/{kind.lower()}-{group}.json", version)
    definitions = utils.schema_contents(f"{folder}/_definitions.json", version)
    resources = [Resource.from_contents(schema), Resource.from_contents(definitions)]
    return jsonschema.Draft202012Validator(schema, registry=resources @ Registry())


def check_job(job):
    """Rules of k8s.io/kubernetes/pkg/apis/batch/validation."""
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    require(spec["completionMode"] == "Indexed", "successPolicy and backoffLimitPerIndex need Indexed")
    require(spec["parallelism"] == spec["completions"] >= 1, "all workers run at the same time")
    require("backoffLimit" not in spec, "backoffLimit would be counted as well")
    require(spec["maxFailedIndexes"] <= spec["completions"], "maxFailedIndexes is at most completions")
    require(pod["restartPolicy"] == "Never", "podFailurePolicy needs restartPolicy Never")
    require(spec["podReplacementPolicy"] == "Failed", "podFailurePolicy needs podReplacementPolicy Failed")
    containers = {container["name"] for container in pod["containers"]}
    for rule in spec["podFailurePolicy"]["rules"]:
        require(("onExitCodes" in rule) != ("onPodConditions" in rule), "a rule has one condition")
        if codes := rule.get("onExitCodes"):
            require(codes["containerName"] in containers, "a rule names a container")
            require(codes["operator"] == "In" and 0 not in codes["values"], "0 is no failure")
            require(codes["values"] == sorted(set(codes["values"])), "exit codes are in order")
    mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    require(mounted <= {volume["name"] for volume in pod["volumes"]}, "a mount names a volume")
    paths = [mount["mountPath"] for container in pod["containers"] for mount in container["volumeMounts"]]
    require(len(paths) == len(set(paths)), "mount paths are unique")
    require(len(f"{job['metadata']['name']}-{spec['completions'] - 1}") <= 63, "a host name has 63 characters")
    for container in pod["containers"]:
        limits = container["resources"]["limits"]
        for resource, amount in container["resources"]["requests"].items():
            if "/" in resource:
                require(limits[resource] == amount, f"{resource} is requested as it is limited")
            require(parse_quantity(amount) <= parse_quantity(limits[resource]), f"{resource}: at most the limit")


def check_restricted(pod):
    """Raises `RefusedError` unless the pod's spec meets the Pod Security Standard `restricted`."""
    own = pod["securityContext"]
    require(own["runAsNonRoot"] is True and own.get("runAsUser", 1) != 0, "pods run as somebody else than root")
    require(own["seccompProfile"]["type"] in {"RuntimeDefault", "Localhost"}, "pods have a seccomp profile")
    require(not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), "pods share nothing with their node")
    for volume in pod["volumes"]:
        require(not volume.keys() - {"name"} - RESTRICTED_VOLUMES, f"volume {volume['name']} is of an allowed kind")
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        context = container["securityContext"]
        require(context["allowPrivilegeEscalation"] is False, "no privilege escalation")
        require(context["capabilities"]["drop"] == ["ALL"], "all capabilities are dropped")
        require("add" not in context["capabilities"] and not context.get("privileged"), "nothing is added")
        require(all("hostPort" not in port for port in container.get("ports", [])), "no host ports")
