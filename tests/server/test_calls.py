"""How calls arrive, wait and end, whatever clients do."""

import socket
import threading
import time

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests import toys
from tests.server.helpers import (
    AN_HOUR,
    LIMIT,
    NOT_SERVING,
    SERVING,
    Caller,
    Code,
    answering,
    busy,
    changed,
    connected,
    idle,
    open_files,
    serving,
    until,
)


class TestStopping:
    def request(self):
        return toys.predict_request("loop", start=[1], steps=AN_HOUR)

    def test_deadline(self, server, caller):
        code, _ = caller.refused(self.request(), timeout=0.3)
        assert code == Code.DEADLINE_EXCEEDED
        assert until(lambda: server._limit.running == 0)
        assert until(idle)

    def test_cancel(self, server, caller):
        call = caller.later(self.request())
        assert until(busy)
        call.cancel()
        assert until(lambda: server._limit.running == 0)
        assert until(idle)

    def test_a_client_that_is_gone(self, server):
        with connected(server) as channel:
            call = Caller(channel).later(self.request(), timeout=None)
            assert until(lambda: server._limit.running == 1)
            assert not call.done()
        assert until(lambda: server._limit.running == 0)
        assert until(idle)

    def test_queue(self, base):
        with serving(base, max_concurrent=1, max_queue=2) as (server, caller):
            limit = server._limit
            first = caller.later(self.request())
            assert until(lambda: limit.running == 1)
            second = caller.later(self.request())
            assert until(lambda: limit.waiting == 1)
            third = caller.later(self.request())
            assert until(lambda: limit.waiting == 2)
            code, text = caller.refused(self.request())
            assert code == Code.RESOURCE_EXHAUSTED
            assert text == (
                "The server is busy: 1 of at most 1 requests running, 2 of at most 2 "
                "waiting. Try again later."
            )
            # Requests that need no run are still answered.
            assert caller.states() == {1: "AVAILABLE"}
            third.cancel()
            assert until(lambda: limit.waiting == 1)
            code, _ = caller.refused(self.request(), timeout=0.3)
            assert code == Code.DEADLINE_EXCEEDED
            assert until(lambda: limit.waiting == 1)
            second.cancel()
            assert until(lambda: limit.waiting == 0)
            last = caller.later(toys.predict_request(a=[1], b=[1]))
            assert until(lambda: limit.waiting == 1)
            first.cancel()
            assert list(last.result(LIMIT).outputs["total"].float_val) == [2]

    def test_stop_cancels_after_its_grace(self, base):
        with serving(base) as (server, caller):
            call = caller.later(self.request())
            assert until(lambda: server._limit.running == 1)
            start = time.monotonic()
            server.stop(grace=0.3)
            assert time.monotonic() - start > 0.2
            with pytest.raises(grpc.RpcError):
                call.result(LIMIT)
        assert until(idle)

    def test_stop_waits_for_requests_and_not_for_watchers(self, base, tmp_path):
        with serving(base) as (server, caller):
            request = health_pb2.HealthCheckRequest()
            with connected(server) as channel, Blockade(server, 1):
                watch = health_pb2_grpc.HealthStub(channel).Watch(request)
                assert next(watch).status == SERVING
                stub = reflection_pb2_grpc.ServerReflectionStub(channel)
                reflecting = reflection_pb2.ServerReflectionRequest(list_services="")
                asked = threading.Event()

                def requests():
                    yield reflecting
                    asked.wait(LIMIT)

                answers = stub.ServerReflectionInfo(requests())
                assert next(answers).HasField("list_services_response")
                gate = tmp_path / "gate"
                call = caller.later(toys.predict_request("wait", path=bytes(gate)))
                assert until(lambda: server._limit.running == 1)
                stopping = threading.Thread(target=server.stop)
                stopping.start()
                assert next(watch).status == NOT_SERVING
                assert stopping.is_alive()
                assert not call.done()
                gate.touch()
                assert call.result(LIMIT).outputs["opened"].bool_val == [True]
                stopping.join(LIMIT)
                asked.set()
                assert not stopping.is_alive()
                assert list(watch) == []


class Blockade:
    """Calls that have begun and send nothing, each over a connection of its own."""

    def __init__(self, server, count, method="Predict"):
        # Otherwise channels to one address share a connection.
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channels = [connected(server, options=options) for _ in range(count)]
        path = f"/tensorflow.serving.PredictionService/{method}"
        self.ended = threading.Event()
        self.calls = [
            channel.stream_unary(path).future(self.nothing())
            for channel in self.channels
        ]

    def nothing(self):
        self.ended.wait()
        yield from ()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        for channel in self.channels:
            channel.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory, model):
    """A server with little room for requests."""
    base = str(tmp_path_factory.mktemp("small"))
    toys.publish(model, base, 1)
    limits = {"max_message_bytes": 2**20, "max_pending_bytes": 2**24}
    with serving(base, **limits) as (server, caller):
        yield server, caller


class TestHostileClients:
    """What a few bytes or a few connections must not do."""

    def test_health_answers_whatever_arrives(self, small):
        server, caller = small
        with Blockade(server, 40) as blockade:
            # 16 of them may send up to a mebibyte each, the others are refused.
            assert until(lambda: sum(call.done() for call in blockade.calls) == 24)
            for call in blockade.calls:
                if call.done():
                    assert call.code() == Code.RESOURCE_EXHAUSTED
                    assert call.details().startswith(
                        "The server is busy: 16 requests are arriving or waiting."
                    )
            assert caller.health() == SERVING
            assert sum(call.done() for call in blockade.calls) == 24
            code, _ = caller.refused(toys.predict_request(a=[1], b=[1]))
            assert code == Code.RESOURCE_EXHAUSTED
        assert until(lambda: server._intake.pending_bytes == 0)
        assert answering(caller) == 1

    def test_a_message_that_is_too_long(self, small):
        code, text = small[1].refused(
            toys.predict_request("echo", file_bytes=b"a" * 2**20)
        )
        assert code == Code.RESOURCE_EXHAUSTED
        assert "message larger than max" in text

    def test_a_message_that_unfolds(self, small):
        server, _ = small
        request = toys.predict_request("echo", file_bytes=b"a" * 2**20)
        with connected(server, compression=grpc.Compression.Gzip) as channel:
            assert answering(Caller(channel)) == 1
            code, text = Caller(channel).refused(request)
        assert code == Code.RESOURCE_EXHAUSTED
        assert "larger than max" in text

    def test_what_is_no_message(self, small, caplog):
        server, _ = small
        caplog.set_level("INFO", "tfnst.server")
        with connected(server) as channel:
            path = "/tensorflow.serving.PredictionService/Predict"
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(path)(b"\x12", timeout=LIMIT)
        assert caught.value.code() == Code.INVALID_ARGUMENT
        assert caught.value.details() == "The 1 bytes received are no PredictRequest."
        assert "Traceback" not in caplog.text
        (line,) = [each for each in caplog.messages if "INVALID_ARGUMENT" in each]
        assert line.startswith("method=Predict model= version= signature= code=INVALID")

    def test_a_message_of_many_fields(self, small):
        server, _ = small
        with connected(server) as channel:
            path = "/tensorflow.serving.PredictionService/Predict"
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(path)(b"\x12\x00" * 200_000, timeout=LIMIT)
        assert caught.value.code() == Code.INVALID_ARGUMENT
        assert caught.value.details().startswith("The request must have at most 131072")

    @pytest.mark.parametrize(
        ("alias", "text"),
        [
            (
                "image",
                "dtype: DT_FLOAT tensor_shape {dim {size: 1} dim {size: 6000}"
                " dim {size: 6000} dim {size: 3}} float_val: 0.5",
            ),
            (
                "text",
                "dtype: DT_STRING tensor_shape {dim {size: 250000}} string_val: '"
                + "a" * 20_000
                + "'",
            ),
        ],
        ids=["numbers", "strings"],
    )
    def test_a_tensor_of_far_more_elements_than_were_sent(self, small, alias, text):
        signature = {"image": "picture", "text": "shout"}[alias]
        entry = f"inputs {{key: '{alias}' value {{{text}}}}}"
        request = changed(toys.predict_request(signature), entry)
        memory = psutil.Process().memory_info().rss
        assert small[1].refused(request) == (
            Code.INVALID_ARGUMENT,
            f"tensor parsing error: {alias}",
        )
        assert psutil.Process().memory_info().rss - memory < 50 * 2**20

    def test_a_watcher_that_reads_nothing(self, small):
        server, caller = small
        request = health_pb2.HealthCheckRequest()
        with connected(server) as channel:
            watches = [
                health_pb2_grpc.HealthStub(channel).Watch(request) for _ in range(100)
            ]
            assert next(watches[0]).status == SERVING
            assert caller.health() == SERVING
            for watch in watches:
                watch.cancel()

    def test_two_thousand_connections(self, small):
        open_files(6000)
        server, caller = small
        sockets = []
        try:
            for _ in range(2000):
                address = ("127.0.0.1", server.port)
                sockets.append(socket.create_connection(address, LIMIT))
            assert answering(caller) == 1
        finally:
            for each in sockets:
                each.close()
