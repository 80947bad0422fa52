"""A SavedModel in memory, which checks requests and runs them."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import queue
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from tfnst.server import tensors
from tfnst.server.runs import Cancellation, StatusError, invalid_argument

DEFAULT_SIGNATURE = "serving_default"
DECODE_SECONDS = "decode_seconds"  # An output of tfnst's exports.
MANIFEST = os.path.join("assets", "tfnst.json")
MAX_WARM_UP_RECORDS = 1000
WARM_UP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
_METHODS = tuple(
    f"tensorflow/serving/{name}" for name in ("predict", "classify", "regress")
)
_MAX_TIMEOUT = 2**31 / 1000  # Seconds that fit into milliseconds as int32: 24 days.
_SPARE_THREADS = 16  # More than the parallel iterations of a map, usually 10.

v1 = tf.compat.v1


@dataclasses.dataclass(frozen=True)
class CheckedRequest:
    """A request that fits the model.

    Attributes:
        signature_name: name of the signature to run, never empty.
        inputs: input alias -> TensorProto, defaults included.
        outputs: output alias -> tensor name.
    """

    signature_name: str
    inputs: dict[str, Any]
    outputs: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        outputs: output alias -> TensorProto, for each requested output.
        decode_seconds: time taken to decode the request's files; None if the model
            doesn't report it.
    """

    outputs: dict[str, tensor_pb2.TensorProto]
    decode_seconds: float | None


class Servable:
    """A SavedModel, loaded as TensorFlow Serving loads it: into a graph and a session.

    A session is used rather than the functions of `tf.saved_model.load` because it has
    the real server's messages, executor and time limit (`RunOptions.timeout_in_ms`,
    which ends a `tf.while_loop` from inside). It can't cancel one of several runs,
    though: `Session.close` ends them all, and TensorFlow's CancellationManager for
    eager functions isn't public. So the graph gets a few more ops. Each run also takes
    tokens from its slot's queue, one for every output that it fetches. An output adds
    False once it is computed. `cancel` adds True at any time, which makes an assert
    behind the queue fail, and the executor ends the run at the loop's next iteration,
    as it does at the time limit.

    Attributes:
        request_bytes: largest memory of a request, as an export of tfnst states it; 0
            for other models and for exports of earlier releases.

    Args:
        path: directory with a `saved_model.pb`.
        slots: maximum number of simultaneous runs; each slot has its own queue. The
            slots share the graphs that the session optimises, one for each choice of
            inputs and outputs.

    Raises:
        OSError, ValueError, tf.errors.OpError: when the model can't be loaded.
    """

    def __init__(self, path: str, *, slots: int = 1) -> None:
        self._path = path
        self.request_bytes = _read_request_bytes(path)
        self._graph = tf.Graph()
        config = v1.ConfigProto(allow_soft_placement=True)
        config.gpu_options.allow_growth = True
        # A loop holds a thread from its first iteration to its last, and the assert
        # that cancels needs a free one. With a single pool for all slots, runs that
        # hold every thread couldn't be cancelled.
        threads = _SPARE_THREADS + (os.cpu_count() or 1)
        for _ in range(slots):
            config.session_inter_op_thread_pool.add(num_threads=threads)
        self._session = v1.Session(graph=self._graph, config=config)
        try:
            self._load(slots)
        except BaseException:
            self.close()
            raise

    def _load(self, slots: int) -> None:
        logger = tf.get_logger()
        logger.addFilter(_isnt_advice)
        try:
            with self._graph.as_default():
                meta_graph = v1.saved_model.load(
                    self._session, [tf.saved_model.SERVING], self._path
                )
        finally:
            logger.removeFilter(_isnt_advice)
        self.signatures = dict(meta_graph.signature_def)
        served = [s for s in self.signatures.values() if s.method_name in _METHODS]
        inputs = {info.name for s in served for info in s.inputs.values()}
        outputs = {info.name for s in served for info in s.outputs.values()}
        self._tensors = {
            name: self._graph.get_tensor_by_name(name) for name in inputs | outputs
        }
        fetched = {name: self._tensors[name] for name in sorted(outputs)}
        with self._graph.as_default(), tf.device("/CPU:0"):
            self._slots = _Slots(fetched, slots)
        self._graph.finalize()
        self._slots.prepare(self._session)
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(slots):
            self._free.put(slot)

    def close(self) -> None:
        """Frees the memory. No run may be in progress."""
        self._session.close()
        # The session's resources are freed with the last reference to it.
        del self._session, self._graph

    def warm_up(
        self,
        cancellation: Cancellation,
        *,
        max_records: int = MAX_WARM_UP_RECORDS,
    ) -> int:
        """Replays the requests in the model's warm-up file, if it has one.

        Args:
            cancellation: stops the warm-up.
            max_records: maximum number of requests in the file. Default 1000, as in
                TensorFlow Serving.

        Returns:
            The number of requests.

        Raises:
            StatusError, tf.errors.OpError: when one of them fails.
        """
        path = os.path.join(self._path, WARM_UP_FILE)
        if not os.path.exists(path):
            return 0
        count = 0
        for record in tf.data.TFRecordDataset(path):
            log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
            if log.WhichOneof("log_type") != "predict_log":
                raise StatusError(
                    tf.errors.UNIMPLEMENTED,
                    f"Unsupported log_type for warmup: {log.WhichOneof('log_type')}",
                )
            count += 1
            if count > max_records:
                raise StatusError(
                    tf.errors.INVALID_ARGUMENT,
                    "Number of warmup records exceeds the maximum "
                    f"({max_records}) at {path}",
                )
            self.run(self.check(log.predict_log.request), None, cancellation)
        return count

    def check(self, request: predict_pb2.PredictRequest) -> CheckedRequest:
        """Checks a request as the real server does: same order, same messages.

        Raises:
            StatusError: when the request doesn't fit the model.
        """
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        if name not in self.signatures:
            raise StatusError(
                tf.errors.FAILED_PRECONDITION,
                f'Serving signature key "{name}" not found.',
            )
        signature = self.signatures[name]
        if signature.method_name not in _METHODS:
            raise StatusError(
                tf.errors.INTERNAL,
                "Expected prediction signature method_name to be one of "
                f"{{{', '.join(_METHODS)}}}. Was: {signature.method_name}",
            )
        inputs = _choose_inputs(signature, request.inputs)
        outputs = _choose_outputs(signature, request.output_filter)
        self._check_types(signature, inputs)
        self._check_shapes(signature, inputs)
        return CheckedRequest(name, inputs, outputs)

    def _check_types(
        self, signature: meta_graph_pb2.SignatureDef, inputs: dict[str, Any]
    ) -> None:
        order = sorted(inputs, key=lambda alias: signature.inputs[alias].name)
        for index, alias in enumerate(order):
            expected = self._tensors[signature.inputs[alias].name].dtype
            received = tf.dtypes.as_dtype(inputs[alias].dtype)
            if received != expected:
                raise invalid_argument(
                    f"Expects arg[{index}] to be {tensors.type_name(expected)} but "
                    f"{tensors.type_name(received)} is provided"
                )

    def _check_shapes(
        self, signature: meta_graph_pb2.SignatureDef, inputs: dict[str, Any]
    ) -> None:
        # The real server leaves this to `tf.ensure_shape` in the graph, and crashes if
        # a graph has none. The message is `tf.ensure_shape`'s.
        for alias, proto in inputs.items():
            received = [dimension.size for dimension in proto.tensor_shape.dim]
            expected = self._tensors[signature.inputs[alias].name].shape
            if not expected.is_compatible_with(received):
                sizes = ["?" if size is None else str(size) for size in expected]
                raise invalid_argument(
                    f"Shape of tensor {alias} [{','.join(map(str, received))}] is not "
                    f"compatible with expected shape [{','.join(sizes)}]."
                )

    def run(
        self,
        request: CheckedRequest,
        timeout: float | None,
        cancellation: Cancellation,
    ) -> Result:
        """Runs a checked request.

        Args:
            request: a result of `check`.
            timeout: maximum duration of the run in seconds; None for no limit.
            cancellation: stops the run.

        Raises:
            StatusError: when the graph refuses an input or fails, or with
                DEADLINE_EXCEEDED or CANCELLED.
        """
        cancellation.check()
        signature = self.signatures[request.signature_name]
        feeds = {
            self._tensors[signature.inputs[alias].name]: _decode(alias, proto)
            for alias, proto in request.inputs.items()
        }
        clock = self._find_clock(signature)
        names = sorted({*request.outputs.values(), *clock})
        slot, slots = self._free.get(), self._slots
        options = v1.RunOptions(inter_op_thread_pool=slot)
        if timeout is not None and timeout < _MAX_TIMEOUT:
            options.timeout_in_ms = max(1, int(timeout * 1000))
        try:
            with cancellation.calling(lambda: slots.cancel(self._session, slot)):
                try:
                    arrays = self._session.run(
                        [
                            {name: self._tensors[name] for name in names},
                            [slots.ready[name] for name in names],
                            slots.guard,
                        ],
                        {**feeds, slots.index: slot, slots.count: len(names)},
                        options=options,
                    )[0]
                except tf.errors.OpError as error:
                    cancellation.check()
                    raise _status_error(error) from error
                except UnicodeDecodeError as error:
                    # TensorFlow couldn't raise its own error, which quotes an input.
                    text = error.object.decode(errors="replace")
                    raise invalid_argument(text) from error
        finally:
            slots.clear(self._session, slot)
            self._free.put(slot)
        return Result(
            {alias: tensors.encode(arrays[n]) for alias, n in request.outputs.items()},
            float(arrays[clock[0]].sum()) if clock else None,
        )

    def _find_clock(self, signature: meta_graph_pb2.SignatureDef) -> list[str]:
        """Finds the tensor with the decoding time, if there is one."""
        if DECODE_SECONDS not in signature.outputs:
            return []
        name = signature.outputs[DECODE_SECONDS].name
        tensor = self._tensors[name]
        # In other models this name may mean something else.
        is_time = tensor.dtype.is_floating and tensor.shape.rank in (0, 1)
        return [name] if is_time else []


class _Slots:
    """The ops that can cancel runs, one at a time in each slot.

    `Servable` explains them. The index of the queue is fed, so that runs in all slots
    have the same graph, which the session optimises once.

    Args:
        outputs: name -> tensor, for each tensor that a run may fetch.
        count: number of slots.
    """

    def __init__(self, outputs: dict[str, tf.Tensor], count: int) -> None:
        most = max(1, len(outputs))
        ops = tf.raw_ops
        queues = [
            # With room for the tokens of a finished run and of a cancellation, neither
            # blocks.
            ops.FIFOQueueV2(
                component_types=[tf.bool],
                shapes=[[]],
                capacity=2 * most,
                shared_name=f"tfnst_cancel_{index}",
            )
            for index in range(count)
        ]
        self.index = v1.placeholder(tf.int32, [])
        tokens = tf.gather(tf.stack(queues), self.index)
        self.ready = {}
        for name, output in outputs.items():
            with tf.control_dependencies([output]):
                self.ready[name] = ops.QueueEnqueueV2(handle=tokens, components=[False])
        self.count = v1.placeholder(tf.int32, [])
        (taken,) = ops.QueueDequeueManyV2(
            handle=tokens, n=self.count, component_types=[tf.bool]
        )
        # Not tf.debugging.Assert, which only runs as a control dependency of others.
        self.guard = ops.Assert(
            condition=tf.logical_not(tf.reduce_any(taken)), data=["cancelled"]
        )
        self._cancel = ops.QueueEnqueueManyV2(handle=tokens, components=[[True] * most])
        self._clear = ops.QueueDequeueManyV2(
            handle=tokens,
            n=ops.QueueSizeV2(handle=tokens),
            component_types=[tf.bool],
        )
        # In the calling thread: the runtime's own may all be busy.
        self._options = v1.RunOptions(inter_op_thread_pool=-1)

    def prepare(self, session: tf.compat.v1.Session) -> None:
        """Has the session build the executors of the other two, which is slow."""
        self.cancel(session, 0)
        self.clear(session, 0)

    def cancel(self, session: tf.compat.v1.Session, slot: int) -> None:
        """Ends the slot's run, or its next one if none has begun."""
        session.run(self._cancel, {self.index: slot}, options=self._options)

    def clear(self, session: tf.compat.v1.Session, slot: int) -> None:
        """Removes the tokens that a failed or cancelled run left behind."""
        session.run(self._clear, {self.index: slot}, options=self._options)


def _read_request_bytes(path: str) -> int:
    """Returns the largest memory of a request from an export's manifest, or else 0."""
    try:
        with open(os.path.join(path, MANIFEST), encoding="utf-8") as file:
            return int(json.load(file)["limits"]["max_memory"] * 2**30)
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _choose_inputs(
    signature: meta_graph_pb2.SignatureDef, sent: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns input alias -> TensorProto, from the request or the defaults."""
    inputs, defaults = signature.inputs, signature.defaults
    if len(sent) > len(inputs) or (len(sent) < len(inputs) and not defaults):
        extra, missing = set(sent) - set(inputs), set(inputs) - set(sent)
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(inputs)} "
            f"len({_names(sent)}) != len({_names(inputs)}). "
            f"Sent extra: {_names(extra)}. Missing but required: {_names(missing)}."
        )
    chosen = {}
    for alias in sorted(inputs):
        if alias not in sent and alias not in defaults:
            raise invalid_argument(
                f"Signature input alias: {alias}(feed name: {inputs[alias].name}) not "
                "found in request and no default value provided. Inputs expected to be "
                f"in the request {_names(sent)}, or default input alias set: "
                + ",".join(sorted(defaults))
            )
        tensor = sent[alias] if alias in sent else defaults[alias]
        if not tensors.is_valid(tensor):
            raise invalid_argument(f"tensor parsing error: {alias}")
        chosen[alias] = tensor
    if set(sent) - set(inputs):
        raise invalid_argument(
            "Inputs contains invalid name. Used request inputs: "
            f"{','.join(sorted(set(sent) & set(inputs)))}, request input: "
            + ",".join(sorted(sent))
        )
    return chosen


def _choose_outputs(
    signature: meta_graph_pb2.SignatureDef, wanted: Iterable[str]
) -> dict[str, str]:
    """Returns output alias -> tensor name for the wanted outputs, or else for all."""
    chosen = {}
    for alias in wanted:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} Outputs expected "
                f"to be in the set {_names(signature.outputs)}."
            )
        if alias in chosen:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        chosen[alias] = signature.outputs[alias].name
    return chosen or {alias: info.name for alias, info in signature.outputs.items()}


def _decode(alias: str, proto: tensor_pb2.TensorProto) -> np.ndarray:
    try:
        return tensors.decode(proto)
    except ValueError as error:
        raise invalid_argument(f"tensor parsing error: {alias}") from error
    except MemoryError as error:
        message = "There is not enough memory for the inputs."
        raise StatusError(tf.errors.RESOURCE_EXHAUSTED, message) from error


def _status_error(error: tf.errors.OpError) -> StatusError:
    # The session wraps the runtime's message in details for whoever built the graph;
    # the original error has the message alone.
    original = error.__context__
    if isinstance(original, tf.errors.OpError):
        error = original
    return StatusError(error.error_code, error.message)


def _isnt_advice(record: logging.LogRecord) -> bool:
    # The loader recommends `tf.saved_model.load`, which creates no session.
    return "tf.saved_model.load" not in record.getMessage()


def _names(aliases: Iterable[str]) -> str:
    return "{" + ",".join(sorted(aliases)) + "}"
