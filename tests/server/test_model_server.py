"""A server as operators meet it: health, logs, metrics, arguments and signals."""

import contextlib
import logging
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request

import grpc
import pytest
import tensorflow as tf
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests import toys
from tests.helpers import ROOT
from tests.processes import Process
from tests.server.helpers import (
    AN_HOUR,
    LIMIT,
    SERVING,
    Caller,
    Code,
    connected,
    open_files,
    running,
    serving,
    status_request,
    until,
)
from tfnst.server import ModelServer, model_server, serve


class TestOperation:
    @pytest.mark.parametrize(
        "service",
        [
            "",
            "PredictionService",
            "ModelService",
            "tensorflow.serving.PredictionService",
            "tensorflow.serving.ModelService",
        ],
    )
    def test_health(self, caller, service):
        assert caller.health(service) == SERVING

    def test_reflection(self, server):
        with connected(server) as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            request = reflection_pb2.ServerReflectionRequest(list_services="")
            (response,) = stub.ServerReflectionInfo(iter([request]), timeout=LIMIT)
        assert [s.name for s in response.list_services_response.service] == [
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
            "tensorflow.serving.ModelService",
            "tensorflow.serving.PredictionService",
        ]

    @pytest.mark.parametrize(
        "method",
        [
            "grpc.health.v1.Health/Check",
            "grpc.health.v1.Health/Watch",
            "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ],
    )
    def test_what_is_no_message_of_other_services(self, server, method, caplog):
        with connected(server) as channel:
            call = channel.stream_stream(f"/{method}")(iter([b"\xff"]), timeout=LIMIT)
            with pytest.raises(grpc.RpcError) as caught:
                list(call)
        assert caught.value.code() == Code.INVALID_ARGUMENT
        assert caught.value.details().startswith("The 1 bytes received are no ")
        assert "Traceback" not in caplog.text

    def test_no_reflection(self, tmp_path):
        with running(tmp_path, reflection=False) as (server, _):
            with connected(server) as channel:
                stub = reflection_pb2_grpc.ServerReflectionStub(channel)
                request = reflection_pb2.ServerReflectionRequest(list_services="")
                with pytest.raises(grpc.RpcError) as caught:
                    list(stub.ServerReflectionInfo(iter([request]), timeout=LIMIT))
            assert caught.value.code() == Code.UNIMPLEMENTED

    def test_check(self, base, caplog):
        caplog.set_level("INFO", "tfnst.server")
        assert ModelServer(base).check()
        assert "Version 1 of tfnst is available after" in caplog.text
        toys.write_warm_up(os.path.join(base, "1"), [toys.predict_request(a=[1])])
        assert not ModelServer(base).check()
        assert "Version 1 of tfnst can't be loaded: input size does" in caplog.text
        shutil.rmtree(os.path.join(base, "1"))
        assert not ModelServer(base).check()

    def test_log_lines(self, caller, caplog):
        caplog.set_level("INFO", "tfnst.server")
        caller(toys.predict_request("scale", a=[1]))
        caller.refused(toys.predict_request(name="a\nb"))
        assert until(lambda: len(caplog.messages) == 2)
        good, bad = caplog.messages
        assert good.startswith(
            "method=Predict model=toy version=1 signature=scale code=OK ms="
        )
        assert "peer=ipv4:127.0.0.1:" in good
        assert bad.startswith(
            "method=Predict model='a\\nb' version= signature= code=NOT"
        )
        assert bad.endswith("error='Servable not found for request: Latest(a\\nb)'")

    def test_metrics(self, base):
        with serving(base, metrics_port=0) as (server, caller):
            caller(toys.predict_request(a=[1], b=[1]))
            caller(toys.predict_request("decode", file_bytes=b"file"))
            caller.refused(toys.predict_request(a=[1]))
            call = caller.later(toys.predict_request("loop", start=[1], steps=AN_HOUR))
            assert until(lambda: server._limit.running == 1)
            waiting = caller.later(toys.predict_request(a=[1], b=[1]))
            assert until(lambda: server._limit.waiting == 1)
            url = f"http://127.0.0.1:{server.metrics_port}/metrics"
            with urllib.request.urlopen(url, timeout=LIMIT) as response:
                lines = response.read().decode().splitlines()
            call.cancel()
            waiting.result(LIMIT)
        for line in (
            'tfnst_requests_total{code="OK",method="Predict"} 2.0',
            'tfnst_requests_total{code="INVALID_ARGUMENT",method="Predict"} 1.0',
            'tfnst_request_seconds_count{method="Predict"} 3.0',
            "tfnst_runs_in_progress 1.0",
            "tfnst_queue_length 1.0",
            "tfnst_queue_seconds_count 2.0",
            'tfnst_run_seconds_count{model="toy",signature="serving_default"} 1.0',
            'tfnst_decode_seconds_count{model="toy",signature="decode"} 1.0',
            'tfnst_decode_seconds_sum{model="toy",signature="decode"} 0.25',
            'tfnst_parse_seconds_count{method="Predict"} 3.0',
            'tfnst_load_failures_total{model="toy"} 0.0',
            'tfnst_model_version{model="toy",state="AVAILABLE",version="1"} 1.0',
        ):
            assert line in lines
        assert not [
            line for line in lines if "tfnst_decode" in line and "ing_def" in line
        ]
        names = {line.split("{")[0].split()[0] for line in lines}
        dashboard = (ROOT / "serving" / "grafana_dashboard.json").read_text()
        shown = set(re.findall(r"(?:tfnst|process)_\w+", dashboard))
        assert shown - names == set()
        assert len(shown) > 8

    def test_idle_connections_to_the_metrics(self, tmp_path):
        with (
            running(tmp_path, metrics_port=0) as (server, _),
            contextlib.ExitStack() as all,
        ):
            address = ("127.0.0.1", server.metrics_port)
            for _ in range(50):
                connection = all.enter_context(socket.create_connection(address, LIMIT))
                connection.sendall(b"GET /metrics")
            url = f"http://127.0.0.1:{server.metrics_port}/metrics"
            with urllib.request.urlopen(url, timeout=LIMIT) as response:
                assert b"tfnst_runs_in_progress 0.0" in response.read()
            server.stop()

    def test_a_taken_port_for_metrics(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match="in use"):
                ModelServer(tmp_path, port=0, metrics_port=port).start()

    def test_a_taken_port(self, server, base):
        with pytest.raises(OSError, match="the port is taken"):
            ModelServer(base, port=server.port).start()

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"port": 65536}, "`port` must be an integer from 0 to 65535"),
            (
                {"max_concurrent": 0},
                "`max_concurrent` must be an integer from 1 to 64",
            ),
            ({"max_queue": -1}, "`max_queue` must be an integer from 0 to 10000"),
            ({"max_memory": 0}, "`max_memory` must be a number of GiB above 0"),
            ({"max_memory": True}, "`max_memory` must be a number of GiB above 0"),
            (
                {"max_message_bytes": 2**31},
                "`max_message_bytes` must be an integer from 1024 to 2147483647",
            ),
            (
                {"max_message_bytes": 2048, "max_pending_bytes": 2047},
                "`max_pending_bytes` must be an integer from 2048 to",
            ),
            ({"poll_seconds": 0}, "`poll_seconds` must be a number above 0"),
            ({"name": ""}, "`name` must be a non-empty string"),
            ({"certificate": "x"}, "`certificate` must be given with `private_key`"),
            ({"client_ca": "x"}, "`client_ca` must be given with `certificate`"),
        ],
    )
    def test_bad_arguments(self, base, options, text):
        with pytest.raises(ValueError, match=r"Received: ") as caught:
            ModelServer(base, **options)
        assert str(caught.value).startswith(text)

    def test_memory(self, base, caplog):
        """As many requests as fit, by what the model states in its manifest."""
        for text, most in (('{"limits": {"max_memory": 1000}}', 2), ("[]", 8)):
            write_manifest(base, text)
            with serving(base, max_memory=2500, max_concurrent=8) as (server, _):
                assert server._limit.max_running == most
        assert caplog.text.count("The model doesn't state the memory of its") == 1

    def test_too_little_memory(self, base):
        write_manifest(base, '{"limits": {"max_memory": 1000}}')
        with running(base, max_memory=900) as (_, caller):
            assert until(lambda: caller.states() == {1: "END"})
            status = caller(status_request()).model_version_status[0].status
        assert status.error_code == tf.errors.RESOURCE_EXHAUSTED
        assert status.error_message.startswith(
            "its largest request takes 1000.0 GiB, and of `max_memory`, 900.0 GiB, "
        )

    def test_no_directory(self, tmp_path):
        with pytest.raises(ValueError, match="`directory` must be a directory"):
            ModelServer(tmp_path / "none")

    def test_import_tfnst_needs_no_grpc(self):
        code = "import sys; sys.modules['grpc'] = None; import tfnst"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=LIMIT)


def write_manifest(base, text):
    folder = os.path.join(base, "1", "assets")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "tfnst.json"), "w") as file:
        file.write(text)


def test_serve_may_have_a_file_for_each_connection():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_files(6000)  # Or the test is skipped.
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
        model_server._raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (4096 + 1024, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def serve_toy(base):
    """`serve`, in a process of its own."""
    logging.basicConfig(level="INFO")
    serve(base, name="toy", port=0, poll_seconds=0.1)


class TestSignals:
    """The server in a separate process."""

    @pytest.fixture
    def process(self, base, tmp_path):
        log = tmp_path / "log"
        with open(log, "wb") as file:
            process = Process(serve_toy, base, cwd=tmp_path, stderr=file)
        try:
            assert until(lambda: "is available after" in log.read_text())
            port = log.read_text().split("127.0.0.1:")[1].split()[0]
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield process, Caller(channel), log
        finally:
            process.kill()
            process.wait(LIMIT)

    def start_run(self, caller, gate):
        """A run that ends once there is a file at `gate`."""
        call = caller.later(toys.predict_request("wait", path=bytes(gate)))
        assert until(lambda: gate.with_name("gate.started").exists())
        return call

    @pytest.mark.parametrize(
        "number",
        [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
    )
    def test_running_requests_are_finished(self, process, number, tmp_path):
        process, caller, log = process
        call = self.start_run(caller, tmp_path / "gate")
        process.send_signal(number)
        assert until(lambda: "finishing requests" in log.read_text())
        assert not call.done()
        (tmp_path / "gate").touch()
        assert call.result(LIMIT).outputs["opened"].bool_val == [True]
        assert process.wait(LIMIT) == 0
        assert "Traceback" not in log.read_text()

    def test_the_second_signal_ends_it_at_once(self, process, tmp_path):
        process, caller, log = process
        self.start_run(caller, tmp_path / "gate")
        process.send_signal(signal.SIGTERM)
        assert until(lambda: "finishing requests" in log.read_text())
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == -signal.SIGTERM
