"""Which versions of the model are in memory, and which one answers."""

import gc
import os
import shutil
import threading

import grpc
import pytest
import tensorflow as tf

from tests import toys
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
from tfnst.server.servables import Servable
from tfnst.server.versions import END, Versions


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
    def test_versions_that_fail_are_freed_and_wait_for_their_files(self, base):
        path = os.path.join(base, "1")
        toys.write_warm_up(path, [toys.predict_request(a=[1])])
        began = []

        class Noted(Servable):
            def __init__(self, path):
                began.append(path)
                super().__init__(path)

        def change(number):
            with open(os.path.join(path, f"more{number}"), "w"):
                pass

        versions = Versions(base, "toy", load=Noted)
        counts = []
        for number in range(3):
            change(number)
            assert not versions.load_once()  # While they change, it isn't tried again.
            assert len(began) == max(1, number)
            assert not versions.load_once()
            assert len(began) == number + 1
            counts.append(graphs())
        assert len(set(counts)) == 1, counts
        assert [version.state for version in versions.states()] == [END]
        toys.write_warm_up(path, [])
        assert not versions.load_once()
        assert versions.load_once()
        versions.stop()
