"""The studio's image, compose service and manifests fit each other."""

import json

import kubernetes_validate
import pytest
import yaml

from tests.project.test_docker_and_kubernetes import (
    DOCKER,
    KUBERNETES,
    instruction,
    instructions,
    only_container,
    parse,
    render,
)


@pytest.fixture(scope="module")
def documents():
    return render(KUBERNETES / "studio")


@pytest.fixture(scope="module")
def service():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["studio"]


def test_manifests_are_what_kubernetes_takes(documents):
    assert set(documents) == {"Deployment", "Service", "PersistentVolumeClaim"}
    for document in documents.values():
        version = kubernetes_validate.latest_version()
        kubernetes_validate.validate(document, version, strict=True)


def test_commands_are_tfnsts(documents, service):
    entry = json.loads(instruction("Dockerfile", "AS studio", "ENTRYPOINT"))
    arguments = json.loads(instruction("Dockerfile", "AS studio", "CMD"))
    container = only_container(documents["Deployment"])
    for each in (arguments, service["command"], container["args"]):
        parse(entry + each)


def test_names_ports_and_volumes_agree(documents, service):
    port = instruction("Dockerfile", "AS studio", "EXPOSE")
    container = only_container(documents["Deployment"])
    assert container["ports"] == [{"name": "http", "containerPort": int(port)}]
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
    (served,) = documents["Service"]["spec"]["ports"]
    assert served["targetPort"] == "http"
    pod = documents["Deployment"]["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert documents["Service"]["spec"]["selector"] == labels
    assert documents["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    claim, _ = pod["spec"]["volumes"]
    name = documents["PersistentVolumeClaim"]["metadata"]["name"]
    assert claim["persistentVolumeClaim"]["claimName"] == name
    output = instruction("Dockerfile", "AS studio", "VOLUME")
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == [
        output,
        "/tmp",
    ]
    assert f"pictures:{output}" in service["volumes"]


def test_it_runs_as_nobody_special_on_a_read_only_root(documents, service):
    *_, user = (
        rest for word, rest in instructions("Dockerfile", "AS studio") if word == "USER"
    )
    pod = documents["Deployment"]["spec"]["template"]["spec"]
    context = pod["securityContext"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert context["runAsNonRoot"]
    mine = only_container(documents["Deployment"])["securityContext"]
    assert mine["readOnlyRootFilesystem"]
    assert service["read_only"]
    assert service["tmpfs"] == ["/tmp"]
