"""Which versions of which models are in memory, and which one answers."""

import gc
import os
import shutil
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2

from tests import toys
from tests.helpers import ROOT
from tests.server.helpers import (
    AN_HOUR,
    LIMIT,
    NOT_SERVING,
    SERVING,
    Code,
    answering,
    idle,
    running,
    serving,
    status_request,
    until,
)
from tfnst.server import ModelServer
from tfnst.server.models import read_model_config
from tfnst.server.servables import Servable
from tfnst.server.versions import END, Versions, choose_versions


class TestVersions:
    def test_warm_up_comes_before_available(self, base, model, caplog):
        caplog.set_level("INFO", "tfnst.server")
        version = os.path.join(base, "1")
        request = toys.predict_request("loop", start=[1], steps=AN_HOUR)
        toys.write_warm_up(version, [request])
        with running(base) as (server, caller):
            assert until(lambda: caller.states() == {1: "LOADING"})
            assert not server.wait_until_available(0.1)
            assert caller.health() == NOT_SERVING
            code, text = caller.refused(toys.predict_request(a=[1], b=[1]))
            assert code == Code.UNAVAILABLE
            assert text == "The model toy is being loaded. Try again later."
        # Stopping the server stops the warm-up.
        assert until(idle)
        toys.write_warm_up(version, [toys.predict_request("loop", start=[1])] * 3)
        with serving(base) as (server, caller):
            assert caller.states() == {1: "AVAILABLE"}
            assert until(lambda: "and 3 warm-up requests" in caplog.text)

    def test_roll_out_and_roll_back_fail_no_request(self, base, model):
        with serving(base, max_concurrent=2) as (_, caller):
            seen, failures, done = [], [], threading.Event()

            def client():
                while not done.is_set():
                    try:
                        request = toys.predict_request("loop", start=[1], steps=10)
                        response = caller(request)
                    except grpc.RpcError as error:
                        failures.append(error.details())
                    else:
                        seen.append(response.model_spec.version.value)

            threads = [threading.Thread(target=client) for _ in range(2)]
            for thread in threads:
                thread.start()
            try:
                final = toys.publish(model, base, 2)
                assert until(lambda: caller.states() == {1: "END", 2: "AVAILABLE"})
                assert until(lambda: seen[-1] == 2)
                shutil.rmtree(final)
                assert until(lambda: caller.states() == {1: "AVAILABLE", 2: "END"})
                assert until(lambda: seen[-1] == 1)
            finally:
                done.set()
                for thread in threads:
                    thread.join(LIMIT)
            assert failures == []
            assert set(seen) == {1, 2}

    def test_a_running_request_keeps_its_version(self, base, model):
        with serving(base, max_concurrent=2) as (server, caller):
            call = caller.later(toys.predict_request("loop", start=[1], steps=AN_HOUR))
            assert until(lambda: server._limit.running == 1)
            toys.publish(model, base, 2)
            assert until(lambda: caller.states() == {1: "UNLOADING", 2: "AVAILABLE"})
            assert answering(caller) == 2
            call.cancel()
            assert until(lambda: caller.states() == {1: "END", 2: "AVAILABLE"})

    def test_a_version_that_fails_to_load(self, base, model):
        with serving(base) as (_, caller):
            broken = os.path.join(base, "2")
            os.mkdir(broken)
            assert until(lambda: caller.states() == {1: "AVAILABLE", 2: "END"})
            status = caller(status_request(version=2)).model_version_status[0].status
            assert status.error_code == tf.errors.NOT_FOUND
            assert "SavedModel file does not exist" in status.error_message
            assert answering(caller) == 1
            # It is tried again after it was copied file by file.
            shutil.copytree(model, broken, dirs_exist_ok=True)
            assert until(lambda: caller.states() == {1: "END", 2: "AVAILABLE"})

    def test_a_warm_up_that_fails(self, base, model):
        toys.write_warm_up(os.path.join(base, "1"), [toys.predict_request(a=[1])])
        with running(base) as (_, caller):
            assert until(lambda: caller.states() == {1: "END"})
            status = caller(status_request()).model_version_status[0].status
            assert status.error_code == tf.errors.INVALID_ARGUMENT
            assert status.error_message.startswith("input size does not match")

    def test_what_is_no_version(self, base):
        os.mkdir(os.path.join(base, "3.tmp"))
        os.mkdir(os.path.join(base, "-4"))
        os.mkdir(os.path.join(base, "9" * 30))
        with open(os.path.join(base, "5"), "w"):
            pass
        with serving(base) as (_, caller):
            assert caller.states() == {1: "AVAILABLE"}

    def test_an_empty_directory(self, tmp_path, model):
        with running(tmp_path) as (server, caller):
            assert not server.wait_until_available(0.1)
            assert caller.states() == {}
            code, _ = caller.refused(toys.predict_request(a=[1], b=[1]))
            assert code == Code.NOT_FOUND
            toys.publish(model, tmp_path, 10)
            assert server.wait_until_available(LIMIT)
            assert caller.health() == SERVING


def graphs():
    """How many TensorFlow graphs this process holds."""
    return sum(type(each) is tf.Graph for each in gc.get_objects())


@pytest.fixture
def no_collection():
    """Python's own search for unused rings of objects, which would free any graph."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
class TestMemoryOfVersions:
    @pytest.mark.slow
    def test_unloaded_versions_are_freed(self, base, model):
        with serving(base) as (_, caller):
            before = graphs()
            for number in (2, 3):
                toys.publish(model, base, number)
                assert until(lambda n=number: caller.states()[n - 1] == "END")
                assert answering(caller) == number
            assert graphs() == before

    @pytest.mark.slow
    def test_versions_that_fail_are_freed_and_have_to_wait(self, base):
        path = os.path.join(base, "1")
        toys.write_warm_up(path, [toys.predict_request(a=[1])])
        began, ended = [], []

        class Noted(Servable):
            def __init__(self, path):
                began.append(time.monotonic())
                super().__init__(path)

            def close(self):
                super().close()
                ended.append(time.monotonic())

        versions = Versions(base, "toy", load=Noted, poll_seconds=0.02)
        versions.start()
        counts = []
        for number in range(4):  # Its files change all the time.
            assert until(lambda n=number: len(began) > n)
            assert until(lambda: [v.state for v in versions.states()] == [END])
            counts.append(graphs())
            with open(os.path.join(path, f"more{number}"), "w"):
                pass
        assert len(set(counts)) == 1, counts
        waits = np.subtract(began[1:4], ended[:3])
        assert all(waits > [0.04, 0.08, 0.16]), waits
        toys.write_warm_up(path, [])
        assert until(versions.available)
        versions.stop()


TOKEN = (("authorization", "Bearer secret"),)


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text("secret\n")
    return path


def reload_request(base, text="", name="toy"):
    request = model_management_pb2.ReloadConfigRequest()
    config = request.config.model_config_list.config.add()
    config.name, config.base_path, config.model_platform = name, base, "tensorflow"
    text_format.Merge(text, config)
    return request


def labelled(label):
    request = toys.predict_request(a=[1], b=[1])
    request.model_spec.version_label = label
    return request


class TestReloadConfig:
    def test_policies_and_labels(self, base, model, token_file):
        for number in (2, 3):
            toys.publish(model, base, number)
        with running(base, admin_token_file=token_file) as (server, caller):

            def reload(text):
                return caller(reload_request(base, text), metadata=TOKEN)

            assert server.wait_until_available(LIMIT)
            assert caller.states() == {3: "AVAILABLE"}

            request = reload_request(base, "version_labels {key: 'stable' value: 2}")
            assert caller.refused(request, metadata=TOKEN) == (
                Code.FAILED_PRECONDITION,
                "Request to assign label to version 2 of model toy, which is not "
                "currently available for inference",
            )
            assert reload("model_version_policy {all {}}").status.error_code == 0
            every = dict.fromkeys((1, 2, 3), "AVAILABLE")
            assert until(lambda: caller.states() == every)
            assert answering(caller) == 3

            reload(
                "model_version_policy {specific {versions: [1, 2]}}"
                "version_labels [{key: 'stable' value: 2}, {key: 'canary' value: 1}]"
            )
            assert caller(labelled("stable")).model_spec.version.value == 2
            assert until(lambda: caller.states()[3] == "END")
            assert caller.states() == {1: "AVAILABLE", 2: "AVAILABLE", 3: "END"}

            reload("model_version_policy {latest {num_versions: 2}}")
            assert caller.refused(labelled("stable")) == (
                Code.INVALID_ARGUMENT,
                "Unrecognized servable version label: stable",
            )
            states = {1: "END", 2: "AVAILABLE", 3: "AVAILABLE"}
            assert until(lambda: caller.states() == states)

    @pytest.mark.slow
    def test_a_label_keeps_its_version(self, base, model, token_file):
        with serving(base, admin_token_file=token_file) as (_, caller):
            text = (
                "model_version_policy {latest {num_versions: 2}}"
                "version_labels {key: 'stable' value: 1}"
            )
            caller(reload_request(base, text), metadata=TOKEN)
            for number in (2, 3, 4):
                toys.publish(model, base, number)
                assert until(lambda n=number: caller.states().get(n) == "AVAILABLE")
            assert answering(caller) == 4
            # The label keeps version 1, and nothing keeps version 2.
            kept = dict.fromkeys((1, 3, 4), "AVAILABLE")
            assert until(lambda: caller.states() == kept | {2: "END"})
            assert caller(labelled("stable")).model_spec.version.value == 1

    @pytest.mark.slow
    def test_several_models(self, base, model, tmp_path, token_file):
        other = str(tmp_path / "other")
        os.mkdir(other)
        toys.publish(model, other, 7)
        with serving(base, admin_token_file=token_file) as (server, caller):
            request = reload_request(base)
            request.config.model_config_list.config.add(name="o", base_path=other)
            caller(request, metadata=TOKEN)
            assert server.wait_until_available(LIMIT)
            to_other = toys.predict_request(a=[1], b=[2], name="o")
            assert caller(to_other).model_spec.version.value == 7
            assert answering(caller) == 1

            call = caller.later(toys.predict_request("loop", start=[1], steps=AN_HOUR))
            assert until(lambda: server._limit.running == 1)
            caller(reload_request(other, name="o"), metadata=TOKEN)
            assert caller.refused(toys.predict_request(a=[1], b=[1])) == (
                Code.NOT_FOUND,
                "Servable not found for request: Latest(toy)",
            )
            assert not call.done()
            call.cancel()
            assert list(caller(to_other).outputs["total"].float_val) == [3]

    def test_refused(self, base, token_file):
        def text(*args, **kwargs):
            request = reload_request(*args, **kwargs)
            code, message = caller.refused(request, metadata=TOKEN)
            assert code == Code.INVALID_ARGUMENT
            return message

        with serving(base, admin_token_file=token_file) as (_, caller):
            assert text("here") == (
                "Expected model toy to have an absolute path or URI; got "
                "base_path()=here"
            )
            assert text(base, name="") == (
                "Each model in `model_config_list` must have a name."
            )
            assert text(base, "model_platform: 'x'") == (
                "Model toy requests unsupported platform x"
            )
            assert text(base, "model_version_policy {specific {}}") == (
                "`model_version_policy.specific` must name one or more versions. "
                "Received: none"
            )
            two = reload_request(base)
            two.config.model_config_list.config.add(name="toy", base_path=base)
            assert caller.refused(two, metadata=TOKEN)[1] == (
                "`model_config_list` must name each model once. Received: toy twice"
            )
            nothing = model_management_pb2.ReloadConfigRequest()
            assert caller.refused(nothing, metadata=TOKEN) == (
                Code.INVALID_ARGUMENT,
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported",
            )
            for metadata in ((), (("authorization", "Bearer secre"),)):
                assert caller.refused(reload_request(base), metadata=metadata) == (
                    Code.PERMISSION_DENIED,
                    "The call must have the metadata `authorization: Bearer TOKEN`.",
                )
            assert caller.states() == {1: "AVAILABLE"}

    def test_nobody_may_without_a_token(self, caller):
        assert caller.refused(reload_request("/tmp"), metadata=TOKEN) == (
            Code.PERMISSION_DENIED,
            "This server has no `admin_token_file`, so its configuration can't be "
            "changed by clients.",
        )
        assert caller.states() == {1: "AVAILABLE"}


class TestModelConfigFile:
    @pytest.fixture
    def config(self, base, model, tmp_path):
        """A file with the model `toy`, whose newest two versions are served."""
        toys.publish(model, base, 2)
        path = tmp_path / "models.config"
        path.write_text(self.text(base))
        return path

    def text(self, base, label=1):
        policy = "model_version_policy {latest {num_versions: 1}}"
        labels = f"version_labels {{key: 'stable' value: {label}}}"
        entry = f"config {{name: 'toy' base_path: '{base}' {policy} {labels}}}"
        return f"# Ours.\nmodel_config_list {{ {entry} }}"

    def test_a_file(self, base, config):
        with serving(None, name=None, model_config_file=config) as (server, caller):
            both = dict.fromkeys((1, 2), "AVAILABLE")
            assert until(lambda: caller.states() == both)
            assert answering(caller) == 2
            assert caller(labelled("stable")).model_spec.version.value == 1

            config.write_text(self.text(base, label=3))
            with pytest.raises(ValueError, match=r"^Request to assign label to"):
                server.reload_config()
            assert caller(labelled("stable")).model_spec.version.value == 1
            config.write_text(self.text(base, label=2))
            server.reload_config()
            assert caller(labelled("stable")).model_spec.version.value == 2
            assert until(lambda: caller.states() == {1: "END", 2: "AVAILABLE"})

    def test_bad_files(self, config):
        bad = {
            "x": r"`model_config_file` must be a file with a `model_config_list`\. R",
            "": "must be a file with one model or more in its `model_config_list`",
            "model_config_list {config {name: 'a' base_path: 'b'}}": (
                r"models\.config: Expected model a to have an absolute path"
            ),
        }
        with running(None, name=None, model_config_file=config) as (server, _):
            for text, message in bad.items():
                config.write_text(text)
                with pytest.raises(ValueError, match=message):
                    server.reload_config()
                with pytest.raises(ValueError, match=message):
                    ModelServer(model_config_file=config)
            assert server.wait_until_available(LIMIT)

    def test_it_stands_alone(self, base, config):
        for options in ({"directory": base}, {"name": "toy"}):
            with pytest.raises(ValueError, match="left out with `model_config_file`"):
                ModelServer(model_config_file=config, **options)

    def test_the_shipped_file_outlives_any_number_of_exports(self, model, tmp_path):
        base = tmp_path / "models"
        base.mkdir()
        shipped = (ROOT / "serving" / "models.config").read_text()
        config = tmp_path / "models.config"
        config.write_text(shipped.replace("/models/tfnst", str(base)))
        for number in (1, 2, 3):
            toys.publish(model, base, number)
        # TensorFlow Serving asks only the policy which versions to load.
        (served,) = read_model_config(config)
        loaded = choose_versions(served.model_version_policy, {1: "", 2: "", 3: ""})
        assert set(served.version_labels.values()) <= loaded
        request = labelled("stable")
        request.model_spec.name = "tfnst"
        with serving(None, name=None, model_config_file=config) as (_, caller):
            assert caller(request).model_spec.version.value == 1
