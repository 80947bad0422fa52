"""The files in docker/ and serving/kubernetes fit each other and tfnst."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from concurrent import futures

import grpc
import kubernetes_validate
import pytest
import yaml
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.helpers import ROOT
from tfnst.cli.command import cli

DOCKER = ROOT / "docker"
KUBERNETES = ROOT / "serving" / "kubernetes"
SERVING_README = (ROOT / "serving" / "README.md").read_text()
DOCKERFILES = ["Dockerfile", "serving.Dockerfile"]
OVERLAYS = ["cpu", "gpu"]


def instructions(name, stage=None):
    """[(instruction, arguments)] of a Dockerfile, or of one of its stages."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (DOCKER / name).read_text())
    lines = text.replace("\\\n", " ").splitlines()
    found = [tuple(line.split(None, 1)) for line in lines if line.strip()]
    if stage is None:
        return found
    start = next(
        i
        for i, (word, rest) in enumerate(found)
        if word == "FROM" and rest.endswith(stage)
    )
    end = next(
        (i for i in range(start + 1, len(found)) if found[i][0] == "FROM"), len(found)
    )
    return found[start + 1 : end]


def instruction(name, stage, word):
    """The arguments of a stage's only instruction of this kind."""
    (arguments,) = [rest for kind, rest in instructions(name, stage) if kind == word]
    return arguments


def merge(into, patch):
    """Kubernetes' strategic merge, as far as the overlays need it."""
    for key, value in patch.items():
        if isinstance(value, dict) and key in into:
            merge(into[key], value)
        elif isinstance(value, list) and key == "containers":
            for item in value:
                (same,) = [old for old in into[key] if old["name"] == item["name"]]
                merge(same, item)
        else:
            into[key] = value


def render(folder):
    """The result of `kubectl kustomize` for a folder, {kind: document}."""
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(plan) <= {"apiVersion", "kind", "resources", "images", "patches"}
    documents = {}
    for resource in plan["resources"]:
        path = (folder / resource).resolve()
        if path.is_dir():
            documents.update(render(path))
        else:
            document = yaml.safe_load(path.read_text())
            documents[document["kind"]] = document
    for patch in plan.get("patches", ()):
        patch = yaml.safe_load((folder / patch["path"]).read_text())
        merge(documents[patch["kind"]], patch)
    for image in plan.get("images", ()):
        container = only_container(documents["Deployment"])
        assert container["image"] == image["name"]
        container["image"] = f"{image['newName']}:{image['newTag']}"
    return documents


def only_container(deployment):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container


@pytest.fixture(params=OVERLAYS)
def documents(request):
    return render(KUBERNETES / "overlays" / request.param)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_makes_the_same(overlay):
    tools = {"kustomize": ["build"], "kubectl": ["kustomize"]}
    tool = next((name for name in tools if shutil.which(name)), None)
    if tool is None:
        pytest.skip("there is no kustomize or kubectl")
    folder = KUBERNETES / "overlays" / overlay
    made = subprocess.run(
        [tool, *tools[tool], folder], check=True, capture_output=True, timeout=300
    ).stdout
    assert {d["kind"]: d for d in yaml.safe_load_all(made)} == render(folder)


def test_manifests_are_what_kubernetes_takes(documents):
    for document in documents.values():
        version = kubernetes_validate.latest_version()
        kubernetes_validate.validate(document, version, strict=True)


def test_every_manifest_is_used():
    used = set()
    for plan in KUBERNETES.rglob("kustomization.yaml"):
        parts = yaml.safe_load(plan.read_text())
        names = parts["resources"] + [p["path"] for p in parts.get("patches", ())]
        used |= {plan, *((plan.parent / name).resolve() for name in names)}
    used.add(KUBERNETES / "kserve" / "inference_service.yaml")
    assert set(KUBERNETES.rglob("*.yaml")) <= used


def test_names_and_selectors(documents):
    deployment = documents["Deployment"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert documents["Service"]["spec"]["selector"] == labels
    budget = documents["PodDisruptionBudget"]["spec"]
    assert budget["selector"]["matchLabels"] == labels
    for document in documents.values():
        assert document["metadata"]["name"] == "tfnst"
        assert document["metadata"]["labels"] == labels
    if scaler := documents.get("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        assert target == {
            "apiVersion": deployment["apiVersion"],
            "kind": "Deployment",
            "name": "tfnst",
        }


def test_ports(documents):
    container = only_container(documents["Deployment"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    exposed = instruction("serving.Dockerfile", "${TAG}", "EXPOSE").split()
    assert sorted(ports.values()) == sorted(map(int, exposed))
    for port in documents["Service"]["spec"]["ports"]:
        assert port["targetPort"] == port["name"]
        assert port["port"] == ports[port["name"]]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["grpc"] == {"port": ports["grpc"]}
    # Without it, there would be nothing to probe.
    assert "--enable_grpc_healthcheck_service=true" in container["args"]
    annotations = documents["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["rest"])
    config = (ROOT / "serving" / "monitoring.config").read_text()
    assert f'path: "{annotations["prometheus.io/path"]}"' in config


def test_users(documents):
    pod = documents["Deployment"]["spec"]["template"]["spec"]
    context = pod["securityContext"]
    user = f"{context['runAsUser']}:{context['runAsGroup']}"
    assert instruction("serving.Dockerfile", "${TAG}", "USER") == user
    assert instruction("Dockerfile", "base", "USER") == user


def test_flags(documents):
    container = only_container(documents["Deployment"])
    *args, threads = container["args"]
    command = json.loads(instruction("serving.Dockerfile", "${TAG}", "CMD"))
    assert args == command
    cores = container["resources"]["limits"]["cpu"]
    assert threads == f"--tensorflow_intra_op_parallelism={cores}"
    copied = [
        rest
        for word, rest in instructions("serving.Dockerfile", "${TAG}")
        if word == "COPY"
    ]
    for arg in args:
        name, value = arg.split("=", 1)
        assert name in SERVING_README
        if value.startswith("/config/"):
            assert any(f"serving/{value[8:]}" in rest for rest in copied)
    # The hook before a pod stops.
    (hook,) = container["lifecycle"]["preStop"]["exec"]["command"]
    assert any(rest.endswith(f"/bin/{hook}") for rest in copied)


def test_memory_and_time_are_those_of_the_table(documents):
    container = only_container(documents["Deployment"])
    options = instruction("serving.Dockerfile", "export", "ARG")
    size = re.fullmatch(r'EXPORT_OPTIONS="--max-size (\d+)"', options)[1]
    (seconds,) = re.findall(rf"(?m)^\| {size} pixels \| (\S+) s", SERVING_README)
    # The largest request of that size.
    (gibibytes,) = re.findall(
        rf"(?m)^\| {size} pixels, 8 styles in 8 regions \| (\S+) GiB", SERVING_README
    )
    (threads,) = [a for a in container["args"] if a.startswith("--grpc_max_threads=")]
    runs = int(threads.split("=")[1]) - 1
    idle = float(re.search(r"(\S+) GiB for `tfnst serve`", SERVING_README)[1])
    pictures = float(
        re.search(r"12 megapixels take \S+ to (\S+) GiB", SERVING_README)[1]
    )
    limit = float(container["resources"]["limits"]["memory"].removesuffix("Gi"))
    assert idle + runs * (float(gibibytes) + pictures) <= limit
    pod = documents["Deployment"]["spec"]["template"]["spec"]
    assert runs * float(seconds) < pod["terminationGracePeriodSeconds"]


def test_overlays_differ_in_what_they_run_on():
    cpu, gpu = (render(KUBERNETES / "overlays" / name) for name in OVERLAYS)
    assert "nvidia.com/gpu" not in only_container(cpu["Deployment"])["resources"]
    limits = only_container(gpu["Deployment"])["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == 1
    assert "HorizontalPodAutoscaler" not in gpu


def test_kserve_runs_the_same_container():
    path = KUBERNETES / "kserve" / "inference_service.yaml"
    predictor = yaml.safe_load(path.read_text())["spec"]["predictor"]
    deployment = render(KUBERNETES / "overlays" / "cpu")["Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    for name in ("securityContext", "terminationGracePeriodSeconds"):
        assert predictor[name] == pod[name]
    (mine,), theirs = predictor["containers"], only_container(deployment)
    assert mine.pop("name") == "kserve-container"
    (port,) = mine.pop("ports")
    assert port["containerPort"] == theirs["ports"][0]["containerPort"]
    assert mine == {k: v for k, v in theirs.items() if k not in ("name", "ports")}


@pytest.mark.parametrize("name", DOCKERFILES)
def test_copied_files_are_in_the_build_context(name):
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    kept = [line[1:] for line in lines if line.startswith("!")]
    for path in kept:
        assert (ROOT / path).exists()
    for word, rest in instructions(name):
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert any(fnmatch.fnmatch(source, path) for path in kept)


def test_commands_of_the_images_are_tfnsts():
    """Parses the commands of the images and the compose file, as `tfnst` does."""
    entry = json.loads(instruction("Dockerfile", "AS server", "ENTRYPOINT"))
    arguments = json.loads(instruction("Dockerfile", "AS server", "CMD"))
    parse(entry + arguments)
    assert json.loads(instruction("Dockerfile", "AS tfnst", "ENTRYPOINT")) == ["tfnst"]
    run = instruction("serving.Dockerfile", "export", "RUN")
    command = re.search(r"tfnst export.*", run)[0].replace("${EXPORT_OPTIONS}", "")
    parse([*shlex.split(command), "--max-size", "1024"])
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    parse(["tfnst", *services["client"]["command"]])
    shell, option, line = services["export"]["entrypoint"]
    assert (shell, option) == ("sh", "-c")
    parse(shlex.split(line.split("exec ")[1]))


def parse(words):
    program, name, *arguments = words
    assert program == "tfnst"
    cli.commands[name].make_context(name, arguments)


def test_compose_files_name_what_is_there():
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    for service in services.values():
        build = service["build"]
        assert (DOCKER / build["context"]).resolve() == ROOT
        stages = instructions(build["dockerfile"].removeprefix("docker/"))
        if target := build.get("target"):
            assert any(
                word == "FROM" and rest.endswith(f" AS {target}")
                for word, rest in stages
            )
    samples = services["client"]["volumes"][0].split(":")[0]
    for argument in services["client"]["command"]:
        if argument.startswith("/images/"):
            assert (DOCKER / samples / argument.removeprefix("/images/")).is_file()
    # Build arguments are declared in the Dockerfile.
    gpu = yaml.safe_load((DOCKER / "compose.gpu.yaml").read_text())["services"]
    for name, service in gpu.items():
        dockerfile = services[name]["build"]["dockerfile"].removeprefix("docker/")
        declared = [
            rest.split("=")[0]
            for word, rest in instructions(dockerfile)
            if word == "ARG"
        ]
        assert set(service.get("build", {}).get("args", ())) <= set(declared)


@pytest.mark.parametrize("status", ["SERVING", "NOT_SERVING", "UNAVAILABLE"])
def test_health_check(status):
    with socket.socket() as taken:
        # Without listen(), connections are refused.
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        server = grpc.server(futures.ThreadPoolExecutor(1))
        if status != "UNAVAILABLE":
            servicer = health.HealthServicer()
            servicer.set("", getattr(health_pb2.HealthCheckResponse, status))
            health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
        process = subprocess.run(
            [sys.executable, DOCKER / "healthcheck.py", f"127.0.0.1:{port}"],
            capture_output=True,
            text=True,
            timeout=300,
            # A proxy that doesn't answer; the check must not ask it.
            env=os.environ | {"http_proxy": "http://127.0.0.1:1", "no_proxy": ""},
        )
        server.stop(None).wait()
    assert process.returncode == (0 if status == "SERVING" else 1)
    assert (process.stdout + process.stderr).startswith(status)
