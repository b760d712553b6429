"""The Kubernetes manifests, rendered by kustomize and checked offline against the API's schemas."""

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import kubernetes_validate
import pytest

from penstock_chassis.consumer import DRAIN_SECONDS
from penstock_chassis.discovery import installed_names

Object = dict[str, Any]
Kustomize = Callable[[str], list[Object]]

WHOLE = ("base", "overlays/example")
CLOSING_SECONDS = 15
CLIENT_VARIABLES = {"PENSTOCK_URL"}
SERVICE_LABEL = "app.kubernetes.io/name"
VOLUMES_ALLOWED = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip
"""What the restricted profile lets a pod mount."""


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """The objects of a kind, by name."""
    return {item["metadata"]["name"]: item for item in objects if item["kind"] == kind}


def pod_of(deployment: Object) -> Object:
    """The pod's specification."""
    pod: Object = deployment["spec"]["template"]["spec"]
    return pod


def container_of(deployment: Object) -> Object:
    """The one container."""
    (container,) = pod_of(deployment)["containers"]
    assert isinstance(container, dict)
    return container


def not_restricted(pod: Object) -> Iterator[str]:
    """What of a pod the profile `restricted` of the Pod Security Standards would refuse."""
    own = pod.get("securityContext", {})
    if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "namespaces of the host"
    for volume in pod.get("volumes", []):
        yield from (f"volume {kind}" for kind in volume.keys() - {"name"} - VOLUMES_ALLOWED)
    for container in pod["containers"] + pod.get("initContainers", []):
        context = own | container.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
            yield "may run as root"
        if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield "no seccomp profile"
        if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
            yield "may gain privileges"
        capabilities = context.get("capabilities", {})
        if capabilities.get("drop") != ["ALL"]:
            yield "keeps capabilities"
        if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield "adds capabilities"
        if any("hostPort" in port for port in container.get("ports", [])):
            yield "a port of the host"


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a `matchLabels` selector (or an empty one) picks these labels."""
    wanted: dict[str, str] = selector.get("matchLabels", selector)
    return wanted.items() <= labels.items()


@pytest.mark.parametrize("folder", [*WHOLE, *(f"base/{name}" for name in installed_names())])
def test_every_object_is_valid_with_no_field_that_the_api_does_not_know(
    kustomize: Kustomize, folder: str
) -> None:
    objects = kustomize(folder)
    assert objects
    for item in objects:
        kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)


def test_the_validation_would_find_a_misspelt_field(kustomize: Kustomize) -> None:
    item = copy.deepcopy(of_kind(kustomize("base"), "Deployment")["penstock-gateway"])
    container_of(item)["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("folder", WHOLE)
@pytest.mark.parametrize("kind", ["Deployment", "Service", "ServiceAccount", "PodDisruptionBudget"])
def test_every_service_has_its_objects(
    kustomize: Kustomize, services: list[str], folder: str, kind: str
) -> None:
    assert sorted(of_kind(kustomize(folder), kind)) == sorted(f"penstock-{n}" for n in services)


@pytest.mark.parametrize("folder", WHOLE)
def test_every_pod_is_admitted_where_restricted_is_enforced(
    kustomize: Kustomize, folder: str
) -> None:
    objects = kustomize(folder)
    (namespace,) = of_kind(objects, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, deployment in of_kind(objects, "Deployment").items():
        assert list(not_restricted(pod_of(deployment))) == [], name
        assert container_of(deployment)["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hostNetwork": True}, "namespaces of the host"),
        ({"securityContext": {}}, "may run as root"),
        ({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "volume hostPath"),
    ],
)
def test_the_check_of_restriction_would_find(
    kustomize: Kustomize, change: Object, said: str
) -> None:
    pod = pod_of(of_kind(kustomize("base"), "Deployment")["penstock-trainer"])
    assert said in list(not_restricted(pod | change))


@pytest.mark.parametrize("folder", WHOLE)
def test_every_variable_of_a_service_is_a_setting_of_it(
    kustomize: Kustomize, known_variables: dict[str, set[str]], folder: str
) -> None:
    objects = kustomize(folder)
    (platform,) = of_kind(objects, "ConfigMap").values()
    for name, known in known_variables.items():
        own = container_of(of_kind(objects, "Deployment")[f"penstock-{name}"])["env"]
        told = platform["data"].keys() | {item["name"] for item in own}
        told -= CLIENT_VARIABLES
        assert told <= known, f"{name}: {told - known}"


def test_the_example_of_credentials_names_settings_of_every_service(
    root: Any, known_variables: dict[str, set[str]]
) -> None:
    text = (root / "deploy" / "overlays" / "example" / "credentials.env.example").read_text()
    names = {line.partition("=")[0] for line in text.splitlines()}
    assert {"PENSTOCK_NATS_URL", "PENSTOCK_OBJECTS_SECRET_KEY"} <= names
    assert all(names <= known for known in known_variables.values())


@pytest.mark.parametrize("folder", WHOLE)
def test_no_secret_is_rendered_and_no_pod_starts_without_the_credentials(
    kustomize: Kustomize, folder: str
) -> None:
    objects = kustomize(folder)
    assert of_kind(objects, "Secret") == {}
    for name, deployment in of_kind(objects, "Deployment").items():
        secrets = [s["secretRef"] for s in container_of(deployment)["envFrom"] if "secretRef" in s]
        assert secrets == [{"name": "penstock-credentials"}], name


def test_the_overlay_changes_what_every_service_is_told(kustomize: Kustomize) -> None:
    objects = kustomize("overlays/example")
    ((name, platform),) = of_kind(objects, "ConfigMap").items()
    assert platform["data"]["PENSTOCK_NATS_REPLICAS"] == "3"
    assert platform["data"]["PENSTOCK_LOG_JSON"] == "true", "what it does not change stays"
    for deployment in of_kind(objects, "Deployment").values():
        maps = [
            s["configMapRef"] for s in container_of(deployment)["envFrom"] if "configMapRef" in s
        ]
        assert maps == [{"name": name}]
        assert container_of(deployment)["image"].startswith("images.example.org/penstock-")


@pytest.mark.parametrize("folder", WHOLE)
def test_every_selector_picks_the_pods_of_its_own_service_alone(
    kustomize: Kustomize, folder: str
) -> None:
    objects = kustomize(folder)
    pods = {
        name: item["spec"]["template"]["metadata"]["labels"]
        for name, item in of_kind(objects, "Deployment").items()
    }
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        for name, item in of_kind(objects, kind).items():
            picked = [n for n, labels in pods.items() if selects(item["spec"]["selector"], labels)]
            assert picked == [name], kind


@pytest.mark.parametrize("folder", WHOLE)
def test_every_port_that_is_named_is_a_port_of_the_pod(kustomize: Kustomize, folder: str) -> None:
    objects = kustomize(folder)
    services = of_kind(objects, "Service")
    for name, deployment in of_kind(objects, "Deployment").items():
        container = container_of(deployment)
        ports = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            action = container[probe].get("httpGet") or container[probe]["tcpSocket"]
            assert action["port"] in ports, f"{name} {probe}"
        assert {port["targetPort"] for port in services[name]["spec"]["ports"]} == ports
        assert pod_of(deployment)["serviceAccountName"] == name


@pytest.mark.parametrize("folder", WHOLE)
def test_nothing_comes_in_or_goes_out_that_no_policy_names(
    kustomize: Kustomize, folder: str
) -> None:
    objects = kustomize(folder)
    policies = of_kind(objects, "NetworkPolicy")
    deny = policies["penstock-deny-by-default"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    open_to_all: dict[str, set[str]] = {}
    for name, item in of_kind(objects, "Deployment").items():
        labels = item["spec"]["template"]["metadata"]["labels"]
        mine = [p["spec"] for p in policies.values() if selects(p["spec"]["podSelector"], labels)]
        rules = [rule for policy in mine for rule in policy.get("ingress", [])]
        assert all(rule.get("ports") for rule in rules), "a rule without ports opens them all"
        ports = {port["port"] for rule in rules if "from" not in rule for port in rule["ports"]}
        if ports:
            open_to_all[name] = ports
        named = {port["name"] for port in container_of(item)["ports"]}
        assert {port["port"] for rule in rules for port in rule["ports"]} <= named
        outside = {port["port"] for p in mine for r in p.get("egress", []) for port in r["ports"]}
        assert {53, 4222} <= outside
        assert (5432 in outside) == (name == "penstock-gateway")
    assert open_to_all == {"penstock-gateway": {"http"}, "penstock-serving": {"http"}}


@pytest.mark.parametrize("folder", WHOLE)
def test_every_pod_is_bounded_and_has_time_to_drain(kustomize: Kustomize, folder: str) -> None:
    for name, deployment in of_kind(kustomize(folder), "Deployment").items():
        pod, container = pod_of(deployment), container_of(deployment)
        assert "memory" in container["resources"]["limits"], name
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
        assert pod["terminationGracePeriodSeconds"] > DRAIN_SECONDS + CLOSING_SECONDS
        assert pod["automountServiceAccountToken"] is False
        assert re.fullmatch(r"[^:]+:\d+\.\d+\.\d+", container["image"]), name


def test_jobs_never_have_two_trainers_and_keep_their_disk(kustomize: Kustomize) -> None:
    objects = kustomize("base")
    trainer = of_kind(objects, "Deployment")["penstock-trainer"]
    assert trainer["spec"]["strategy"] == {"type": "Recreate"}
    work = next(v for v in pod_of(trainer)["volumes"] if v["name"] == "work")
    claim = work["persistentVolumeClaim"]["claimName"]
    assert claim in of_kind(objects, "PersistentVolumeClaim")
    mounts = {m["name"]: m["mountPath"] for m in container_of(trainer)["volumeMounts"]}
    told = {item["name"]: item.get("value") for item in container_of(trainer)["env"]}
    assert told["PENSTOCK_TRAINER_WORK_DIR"] == mounts["work"]
