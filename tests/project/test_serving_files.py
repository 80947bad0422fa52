"""The files in serving/ for operators of tensorflow_model_server."""

import inspect
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_status_pb2,
    predict_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

import tfnst
from tests.helpers import ROOT, TINY, assert_alike
from tests.project import documents
from tests.training.helpers import untrained
from tfnst.client import ModelNotFoundError, ServerUnavailableError, StylizeClient
from tfnst.export.requests import RequestLimits
from tfnst.export.served_model import ServedStyleTransfer
from tfnst.export.served_network import ServedNetwork
from tfnst.server import ModelServer

SERVING = ROOT / "serving"
README = (SERVING / "README.md").read_text()
LIMITS = RequestLimits(max_steps=1000, max_size=2048, max_pixels=2**25)


def message_class(name, **fields):
    """A message of tensorflow_serving/config that no package contains."""
    types = descriptor_pb2.FieldDescriptorProto.Type
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", syntax="proto3")
    message = file.message_type.add(name=name)
    for number, (field, kind) in enumerate(fields.items(), 1):
        message.field.add(name=field, number=number, label=1, type=types.Value(kind))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def shipped_model():
    text = (SERVING / "models.config").read_text()
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(text, config)
    (model,) = config.model_config_list.config
    return model


def test_models_config():
    model = shipped_model()
    assert model.name == "tfnst"  # The clients' default.
    assert model.base_path.startswith("/")
    assert model.model_platform == "tensorflow"
    assert model.model_version_policy.specific.versions == [1]
    # A label's version has to stay loaded, however many are exported after it.
    assert dict(model.version_labels) == {"stable": 1}


def test_the_readmes_roll_out():
    model = shipped_model()

    def piece(name):
        return re.search(name + r" \{[^}]*\}", README).group()

    def use_policy(name):
        model.ClearField("model_version_policy")
        text_format.Merge(f"model_version_policy {{ {piece(name)} }}", model)
        return model.model_version_policy

    versions = use_policy("specific").specific.versions
    text_format.Merge(piece("version_labels"), model)
    assert dict(model.version_labels) == {"stable": 1, "canary": 2}
    assert versions == [1, 2]  # Those of the labels.
    assert use_policy("latest").latest.num_versions == 2


def test_monitoring_config():
    text = (SERVING / "monitoring.config").read_text()
    outer, inner = re.fullmatch(
        r"(?:#.*\n)*(\w+) \{\n(.*)\}\n", text, re.DOTALL
    ).groups()
    assert outer == "prometheus_config"
    config = message_class("Prometheus", enable="TYPE_BOOL", path="TYPE_STRING")()
    text_format.Parse(inner, config)
    assert config.enable
    assert config.path == "/monitoring/prometheus/metrics"
    assert config.path in README


def test_batching_config():
    text = (SERVING / "batching.config").read_text()
    parameters = dict(re.findall(r"^(\w+) \{ value: (\d+) \}$", text, re.MULTILINE))
    assert list(parameters) == [
        "max_batch_size", "batch_timeout_micros", "num_batch_threads",
        "max_enqueued_batches",
    ]  # fmt: skip
    most = inspect.signature(tfnst.export_saved_model).parameters["max_size"].default
    assert int(parameters["max_batch_size"]) * 512**2 == most**2


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """The folder of certificates made by the script."""
    if not (shutil.which("sh") and shutil.which("openssl")):
        pytest.skip("there is no sh or no openssl")
    folder = tmp_path_factory.mktemp("tls") / "certificates"
    script = SERVING / "make_test_certificates.sh"
    subprocess.run(["sh", script, folder], check=True, timeout=300)
    return folder


def test_ssl_config(certificates):
    config = message_class(
        "SSLConfig",
        server_key="TYPE_STRING",
        server_cert="TYPE_STRING",
        custom_ca="TYPE_STRING",
        client_verify="TYPE_BOOL",
    )()
    text_format.Parse((certificates / "ssl.config").read_text(), config)
    assert config.server_key == (certificates / "server.key").read_text()
    assert config.server_cert == (certificates / "server.crt").read_text()
    assert config.custom_ca == (certificates / "ca.crt").read_text()
    assert config.client_verify
    modes = {path.stat().st_mode & 0o077 for path in certificates.iterdir()}
    assert modes == {0}


def test_certificates_work(certificates, tmp_path):
    server = ModelServer(
        tmp_path,
        port=0,
        certificate=certificates / "server.crt",
        private_key=certificates / "server.key",
        client_ca=certificates / "ca.crt",
    )
    known = {
        "root_certificates": certificates / "ca.crt",
        "client_certificate": certificates / "client.crt",
        "client_key": certificates / "client.key",
    }
    stranger = {"root_certificates": certificates / "ca.crt"}
    with server:
        for host in ("localhost", "127.0.0.1"):
            target = f"{host}:{server.port}"
            # It has no model, but only says so to clients that it trusts.
            with (
                StylizeClient(target, **known) as client,
                pytest.raises(ModelNotFoundError),
            ):
                client.status()
            with (
                StylizeClient(target, **stranger) as client,
                pytest.raises(ServerUnavailableError),
            ):
                client.status()


def read_proto(text):
    """Message or enum -> {(name, number, "repeated" or "map" or "", type)}."""
    found, open_names = {}, []
    for line in re.sub(r"//.*", "", text).splitlines():
        words = line.replace(";", "").replace("map<string, ", "map ").split()
        if words[:1] in (["message"], ["enum"]):
            open_names.append(words[1])
            found[words[1]] = set()
        elif words[:1] in (["oneof"], ["service"]):
            open_names.append(None)
        elif words == ["}"]:
            open_names.pop()
        elif "=" in words and open_names:
            *kinds, name, _, number = words
            label, kind = ["", "", *kinds][-2:]
            inside = next(filter(None, reversed(open_names)))
            found[inside].add((name, int(number), label, kind.rstrip(">")))
    return found


def test_prediction_proto_is_a_part_of_the_real_interface():
    text = (SERVING / "prediction.proto").read_text()
    mine = read_proto(text)
    theirs = {}

    def add(descriptor):
        if descriptor.name in theirs:
            return
        theirs[descriptor.name] = fields = set()
        proto = descriptor_pb2.DescriptorProto()
        descriptor.CopyToProto(proto)
        for field, sent in zip(descriptor.fields, proto.field, strict=True):
            kind = sent.Type.Name(sent.type).removeprefix("TYPE_").lower()
            label = "repeated" if sent.label == sent.LABEL_REPEATED else ""
            message = field.message_type
            if message and message.GetOptions().map_entry:
                label, message = "map", message.fields_by_name["value"].message_type
            if message:
                kind = message.name
                add(message)
            if field.enum_type:
                kind = field.enum_type.name
                theirs[kind] = {
                    (v.name, v.number, "", "") for v in field.enum_type.values
                }
            fields.add((sent.name, sent.number, label, kind))

    for module, name in (
        (predict_pb2, "PredictRequest"),
        (predict_pb2, "PredictResponse"),
        (get_model_status_pb2, "GetModelStatusRequest"),
        (get_model_status_pb2, "GetModelStatusResponse"),
        (tensor_pb2, "TensorProto"),
    ):
        add(module.DESCRIPTOR.message_types_by_name[name])

    # An enum is sent as a number, which is what this one declares.
    theirs["StatusProto"].remove(("error_code", 1, "", "Code"))
    theirs["StatusProto"].add(("error_code", 1, "", "int32"))
    assert {name: fields - theirs[name] for name, fields in mine.items()} == {
        name: set() for name in mine
    }
    services = re.findall(
        r"service (\w+) \{\s+rpc (\w+)\((\w+)\) returns \((\w+)\)", text
    )
    assert len(services) == 2
    for service, method, request, response in services:
        full_name = f"tensorflow.serving.{service}"
        real = descriptor_pool.Default().FindServiceByName(full_name)
        real = real.methods_by_name[method]
        assert real.input_type.name == request
        assert real.output_type.name == response
        assert real.full_name == f"{full_name}.{method}"


def json_of_printf(word):
    """The JSON that a block of the README prints, without the files."""
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL):
        if block.startswith("printf") and word in block:
            return json.loads(re.match(r"printf '([^']*)'", block)[1])
    raise AssertionError(word)


def inputs_of(model):
    """The names of the inputs of each signature, in order."""
    return {
        name: [each.name for each in signature.inputs]
        for name, signature in model.served.items()
    }


@pytest.fixture(scope="module")
def inputs():
    """Those of an exported optimisation."""
    return inputs_of(ServedStyleTransfer(TINY, LIMITS))


def test_rest_requests_bring_every_input(inputs):
    request = json_of_printf("curl -s")
    assert set(request["inputs"]) == set(inputs[request["signature_name"]])
    config = tfnst.StyleTransferConfig()
    defaults = {**config.to_dict(), **config.loss_weights()}
    settings = request["inputs"]
    for name in ("content_bytes", "style_bytes"):
        assert settings.pop(name) == {"b64": "%s"}
    names = {
        "steps", "size", "seed", "content_weight", "style_weight",
        "total_variation_weight", "learning_rate",
    }  # fmt: skip
    assert set(settings) == names
    for name, value in settings.items():
        if name != "size":
            assert value == defaults[name]
        assert type(value) is type(defaults[name])


def test_the_inputs_of_blend_are_listed(inputs):
    names = inputs["blend"]
    table = README[README.index("| input | type |") :].split("\n\n")[0]
    listed = re.findall(r"^\| `(\w+)` ", table, re.MULTILINE)
    assert names[: len(listed)] == listed
    assert names[len(listed) :] == [
        "steps", "size", "seed", "content_weight", "style_weight",
        "total_variation_weight", "learning_rate",
    ]  # fmt: skip


def test_the_inputs_of_networks_are_listed():
    model = ServedNetwork(untrained(), tfnst.StyleTransferConfig(), LIMITS)
    table = README[README.index("| signature | input |") :].split("\n\n")[0]
    listed = re.findall(r"^\| ?`?(\w*)`? \| `(\w+)` ", table, re.MULTILINE)
    assert listed == [
        ("" if i else signature, name)
        for signature, names in inputs_of(model).items()
        for i, name in enumerate(names)
    ]


def test_grpcurl_requests_are_messages():
    from google.protobuf import json_format

    request = predict_pb2.PredictRequest()
    text = json.dumps(json_of_printf("grpcurl")).replace("%s", "AAAA")
    json_format.Parse(text, request)
    assert request.model_spec.name == "tfnst"
    assert request.inputs["content_bytes"].string_val == [b"\0\0\0"]


def test_limits_are_stated_as_they_are():
    parameters = inspect.signature(tfnst.export_saved_model).parameters
    for name in ("max_steps", "max_size", "max_pixels"):
        option, default = "--" + name.replace("_", "-"), parameters[name].default
        assert f"`{option}` | {default} |" in README.replace(",", "")


def test_python_blocks_are_python():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        compile(block, "README.md", "exec")


@pytest.mark.slow
def test_an_export_in_a_process_as_the_readme_says(tmp_path, monkeypatch):
    tools = pathlib.Path(sys.executable).parent  # `saved_model_cli` is among them.
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    tfnst.export_saved_model(tmp_path / "models" / "tfnst", config=TINY)
    blocks = documents.blocks_of("serving/README.md")
    python = next(block for block in blocks if "TFSMLayer" in block.text)
    shell = next(block for block in blocks if "saved_model_cli" in block.text)
    with documents.Runner(tmp_path) as runner:
        runner.run(python)
        runner.run(shell)
    painted = tfnst.load_image(tmp_path / "cat.png")
    assert painted.shape[1:] == (32, 48, 3)
    assert tfnst.load_image(tmp_path / "cat_of_a_layer.png").shape[2] == 256
    by_command = np.load(tmp_path / "painted/image_bytes.npy", allow_pickle=True)
    assert_alike(tfnst.load_image(by_command.item()), painted)
