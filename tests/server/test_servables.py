import contextlib
import threading
import time
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

from tests import toys
from tests.server.helpers import AN_HOUR, LIMIT, busy, idle, until
from tfnst.server import servables, tensors
from tfnst.server.runs import Cancellation, StatusError
from tfnst.server.servables import Servable


@pytest.fixture(scope="module")
def servable(model):
    servable = Servable(model, slots=8)
    yield servable
    servable.close()


def run(servable, *args, timeout=LIMIT, cancellation=None, **kwargs):
    plan = servable.check(toys.predict_request(*args, **kwargs))
    result = servable.run(plan, timeout, cancellation or Cancellation())
    return {alias: tf.make_ndarray(tensor) for alias, tensor in result.outputs.items()}


def cancelled_loop(servable, cancellation):
    """The text with which a run of an hour's work ends once it is cancelled."""
    return refused(
        tf.errors.CANCELLED,
        run,
        servable,
        "loop",
        cancellation=cancellation,
        start=[1],
        steps=AN_HOUR,
    )


def refused(code, function, *args, **kwargs):
    with pytest.raises(StatusError) as caught:
        function(*args, **kwargs)
    assert caught.value.code == code
    return caught.value.message


class TestTensors:
    @pytest.mark.parametrize(
        "array",
        [
            np.float32([[1.5, -2], [0, np.inf]]),
            np.float64(7),
            np.arange(200_000, dtype=np.float32).reshape(2, -1),
            np.arange(70_000, dtype=np.int32),
            np.int64([2**40, -1]),
            np.uint8([[0, 255]]),
            np.array([True, False]),
            np.array([b"a", b"\x00\xff"], dtype=object),
            np.array(b"scalar", dtype=object),
            np.float16([1, 2.5]),
            np.complex64([1j]),
            np.zeros([0, 3], np.float32),
            np.zeros([0], object),
        ],
        ids=lambda array: f"{array.dtype}{list(array.shape)}",
    )
    def test_round_trip(self, array):
        proto = tensors.encode(array)
        assert tensors.is_valid(proto)
        for result in (tensors.decode(proto), tf.make_ndarray(proto)):
            np.testing.assert_array_equal(result, array)
            assert result.shape == array.shape
            assert result.dtype == array.dtype
        # The output of tf.make_tensor_proto can be read too.
        dtype = tf.string if array.dtype == object else array.dtype
        proto = tf.make_tensor_proto(array, dtype)
        assert tensors.is_valid(proto)
        np.testing.assert_array_equal(tensors.decode(proto), array)

    def test_values_lie_in_the_field_of_their_type(self):
        proto = tensors.encode(np.float32([[1, 2], [3, 4]]))
        assert list(proto.float_val) == [1, 2, 3, 4]
        assert not proto.tensor_content

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (
                "dtype: DT_FLOAT tensor_shape {dim {size: 3}} float_val: [1, 2]",
                [1, 2, 2],
            ),
            (
                "dtype: DT_FLOAT tensor_shape {dim {size: 2}} float_val: [1, 2, 3]",
                [1, 2],
            ),
            ("dtype: DT_INT32 tensor_shape {dim {size: 2}}", [0, 0]),
            ("dtype: DT_UINT8 tensor_shape {dim {size: 1}} int_val: 257", [1]),
            ("dtype: DT_STRING tensor_shape {dim {size: 2}}", [b"", b""]),
            (
                "dtype: DT_STRING tensor_shape {dim {size: 3}} string_val: ['a', 'b']",
                [b"a", b"b", b"b"],
            ),
        ],
    )
    def test_too_few_and_too_many_values(self, text, expected):
        from google.protobuf import text_format

        proto = text_format.Parse(text, tensors.encode(np.float32(0)).__class__())
        assert tensors.is_valid(proto)
        assert tensors.decode(proto).tolist() == expected

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "dtype: DT_VARIANT",
            "dtype: DT_FLOAT_REF",
            "dtype: DT_FLOAT tensor_shape {unknown_rank: true}",
            "dtype: DT_FLOAT tensor_shape {dim {size: -1}}",
            "dtype: DT_FLOAT tensor_shape {dim {size: 2}} tensor_content: 'abcd'",
            "dtype: DT_STRING tensor_shape {dim {size: 1}} tensor_content: 'a'",
            "dtype: DT_UINT8 tensor_shape {dim {size: 2147483648}} int_val: 1",
            "dtype: DT_FLOAT tensor_shape {dim {size: 4611686018427387904}"
            " dim {size: 4611686018427387904}}",
            "dtype: DT_STRING tensor_shape {dim {size: 1000000000}}",
            # Far more elements than values: the last is repeated.
            "dtype: DT_FLOAT tensor_shape {dim {size: 16385}}",
            "dtype: DT_FLOAT tensor_shape {dim {size: 16386}} float_val: 1",
            "dtype: DT_FLOAT tensor_shape {dim {size: 1} dim {size: 6000}"
            " dim {size: 6000} dim {size: 3}} float_val: 0.5",
            "dtype: DT_HALF tensor_shape {dim {size: 100000}} half_val: 1",
            f"dtype: DT_STRING tensor_shape {{dim {{size: 5}}}}"
            f" string_val: '{'a' * 20_000}'",
        ],
        ids=lambda text: text[:60],
    )
    def test_what_is_no_tensor(self, text):
        from google.protobuf import text_format

        proto = text_format.Parse(text, tensors.encode(np.float32(0)).__class__())
        assert not tensors.is_valid(proto)


class TestRun:
    def test_default_signature(self, servable):
        result = run(servable, a=[1, 2], b=[3, 5])
        assert result["total"].tolist() == [4, 7]
        assert result["difference"].tolist() == [-2, -3]

    def test_defaults(self, servable):
        assert run(servable, "scale", a=[3])["product"].tolist() == [6]
        assert run(servable, "scale", a=[3], factor=5.0)["product"].tolist() == [15]

    def test_output_filter(self, servable):
        result = run(servable, outputs=["difference"], a=[1], b=[3])
        assert {k: v.tolist() for k, v in result.items()} == {"difference": [-2]}

    def test_strings(self, servable):
        result = run(servable, "shout", text=[b"ab", b"c"])
        assert result["loud_bytes"].tolist() == [b"AB", b"C"]

    @pytest.mark.parametrize("data", [b"", b"\x00", b"a\x00\xff\x00" * 1000])
    def test_a_file(self, servable, data):
        result = run(servable, "echo", file_bytes=data)["file_bytes"]
        assert result.shape == ()
        assert result.item() == data * 2

    def test_the_graph_s_own_errors_come_without_python_s_story(self, servable):
        image = np.full((1, 2, 2, 3), -1, np.float32)
        text = refused(
            tf.errors.INVALID_ARGUMENT, run, servable, "picture", image=image
        )
        assert text.startswith("assertion failed: [`image` must not be below 0]")
        assert "File " not in text

    def test_a_refusal_that_quotes_bytes(self, servable):
        for word, quoted in ((b"wrong", "wrong"), (b"\xff\xfe", "\ufffd\ufffd")):
            text = refused(
                tf.errors.INVALID_ARGUMENT, run, servable, "spell", word=word
            )
            assert text.startswith("assertion failed: [`word` must be right.]")
            assert f"[{quoted}]" in text

    def test_time_limit_ends_the_loop_inside(self, servable):
        start = time.monotonic()
        text = refused(
            tf.errors.DEADLINE_EXCEEDED,
            run,
            servable,
            "loop",
            timeout=0.3,
            start=[1],
            steps=AN_HOUR,
        )
        assert text == "Timed out waiting for notification"
        assert time.monotonic() - start > 0.2
        assert until(idle)

    def test_cancel_ends_the_loop_inside(self, servable):
        cancellation = Cancellation()
        with futures.ThreadPoolExecutor(1) as pool:
            refusal = pool.submit(cancelled_loop, servable, cancellation)
            assert until(busy)
            assert not refusal.done()
            cancellation.request()
            assert refusal.result(LIMIT) == "The call was cancelled."
        assert until(idle)
        # Nothing is left over for later runs in any of the slots.
        for _ in range(9):
            assert run(servable, "loop", start=[4])["result"].tolist() == [4]

    def test_cancelled_before_it_runs(self, servable):
        cancellation = Cancellation()
        cancellation.request()
        cancellation.request()
        refused(
            tf.errors.CANCELLED,
            run,
            servable,
            cancellation=cancellation,
            a=[1],
            b=[1],
        )

    def test_cancel_at_any_moment_leaves_the_next_run_alone(self, model):
        servable = Servable(model)
        try:
            for wait in np.linspace(0, 0.004, 30):
                cancellation = Cancellation()
                timer = threading.Timer(wait, cancellation.request)
                timer.start()
                with contextlib.suppress(StatusError):
                    result = run(
                        servable, "loop", cancellation=cancellation, start=[2], steps=30
                    )
                    assert result["result"].tolist() == [2]
                assert run(servable, a=[1], b=[2])["total"].tolist() == [3]
                timer.join()
        finally:
            servable.close()

    def test_one_of_two_runs_is_cancelled(self, servable, tmp_path):
        cancellation, gate = Cancellation(), tmp_path / "gate"
        with futures.ThreadPoolExecutor(2) as pool:
            other = pool.submit(run, servable, "wait", path=bytes(gate))
            assert until(lambda: (tmp_path / "gate.started").exists())
            refusal = pool.submit(cancelled_loop, servable, cancellation)
            assert until(lambda: cancellation._actions)
            cancellation.request()
            refusal.result(LIMIT)
            assert not other.done()
            gate.touch()
            assert other.result(LIMIT)["opened"]

    def test_cancel_while_every_thread_is_in_a_loop(self, servable):
        # With one pool, two cores had two threads for everything, and none was free.
        cancellation = Cancellation()
        with futures.ThreadPoolExecutor(8) as pool:
            refusals = [
                pool.submit(cancelled_loop, servable, cancellation) for _ in range(8)
            ]
            assert until(lambda: len(cancellation._actions) == 8)
            assert until(busy)
            cancellation.request()
            for refusal in refusals:
                assert refusal.result(LIMIT)
        assert until(idle)

    def test_threads_get_their_own_results(self, servable):
        results = {}

        def work(number):
            results[number] = [
                run(servable, "loop", start=[number], steps=50)["work"].item()
                for _ in range(5)
            ]

        threads = [threading.Thread(target=work, args=[n]) for n in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        alone = {n: run(servable, "loop", start=[n], steps=50) for n in results}
        assert sorted(results) == list(range(1, 9))
        for number, values in results.items():
            assert values == [alone[number]["work"].item()] * 5


class TestWarmUp:
    @pytest.fixture
    def fresh(self, tmp_path, model):
        return toys.publish(model, tmp_path, 1)

    def warm_up(self, path, slots=1, **options):
        servable = Servable(path, slots=slots)
        try:
            return servable.warm_up(Cancellation(), **options)
        finally:
            servable.close()

    def test_none(self, fresh):
        assert self.warm_up(fresh) == 0

    def test_some(self, fresh):
        requests = [
            toys.predict_request(a=[1], b=[2]),
            toys.predict_request("loop", start=[1]),
        ]
        toys.write_warm_up(fresh, requests)
        assert self.warm_up(fresh) == 2
        assert self.warm_up(fresh, slots=2) == 2

    def test_one_is_enough_for_all_slots(self, fresh):
        servable = Servable(fresh, slots=3)
        session, slots, graphs = servable._session, [], set()

        class Session:
            """Takes down what is fetched and fed: a graph for each choice of it."""

            def run(self, fetches, feeds, **options):
                if servable._slots.count in feeds:
                    slots.append(feeds[servable._slots.index])
                    graphs.add(f"{fetches} {sorted(each.name for each in feeds)}")
                return session.run(fetches, feeds, **options)

            def close(self):
                session.close()

        servable._session = Session()
        for _ in range(3):  # The slots take turns.
            run(servable, "loop", start=[1])
        servable.close()
        assert slots == [0, 1, 2]
        # A graph of its own for each slot would be optimised anew, which takes a while.
        assert len(graphs) == 1

    def test_one_that_fails(self, fresh):
        toys.write_warm_up(fresh, [toys.predict_request(a=[1])])
        text = refused(tf.errors.INVALID_ARGUMENT, self.warm_up, fresh)
        assert text.startswith("input size does not match signature: 1!=2")

    def test_too_many(self, fresh):
        assert servables.MAX_WARM_UP_RECORDS == 1000
        requests = [toys.predict_request("scale", a=[1])] * 4
        path = toys.write_warm_up(fresh, requests)
        code = tf.errors.INVALID_ARGUMENT
        text = refused(code, self.warm_up, fresh, max_records=3)
        limit = "Number of warmup records exceeds the maximum (3) at"
        assert text == f"{limit} {path}"
        toys.write_warm_up(fresh, requests[:3])
        assert self.warm_up(fresh, max_records=3) == 3

    def test_another_kind(self, fresh):
        path = toys.write_warm_up(fresh, [])
        with tf.io.TFRecordWriter(path) as writer:
            writer.write(b"")
        text = refused(tf.errors.UNIMPLEMENTED, self.warm_up, fresh)
        assert text == "Unsupported log_type for warmup: None"

    def test_no_records_at_all(self, fresh):
        path = toys.write_warm_up(fresh, [])
        with open(path, "wb") as file:
            file.write(b"no record at all")
        with pytest.raises(tf.errors.DataLossError):
            self.warm_up(fresh)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(np.float32(0.5), 0.5), (np.float64(2), 2.0), ([1.0], 1.0), (b"2 s", None)],
)
def test_how_long_decoding_took(tmp_path, value, seconds):
    module = tf.Module()
    module.clock = tf.function(
        lambda a: {"a": a + 1, "decode_seconds": tf.constant(value)},
        input_signature=[toys.spec("a", None)],
    )
    tf.saved_model.save(module, str(tmp_path), {"serving_default": module.clock})
    servable = Servable(str(tmp_path))
    for wanted in (("a",), ("a", "decode_seconds")):
        request = toys.predict_request(outputs=wanted, a=[1])
        result = servable.run(servable.check(request), 30, Cancellation())
        assert result.decode_seconds == seconds
        assert set(result.outputs) == set(wanted)
        np.testing.assert_array_equal(tf.make_ndarray(result.outputs["a"]), [2])
    servable.close()


def test_a_model_that_does_not_time_its_decoding(servable):
    plan = servable.check(toys.predict_request(a=[1], b=[1]))
    assert servable.run(plan, 30, Cancellation()).decode_seconds is None
