"""Servable: one SavedModel in memory, and how a request is checked and run in it."""

from __future__ import annotations

import dataclasses
import os
import queue
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from tfnst.server import tensors
from tfnst.server.runs import Cancellation, StatusError

DEFAULT_SIGNATURE = "serving_default"
MAX_WARM_UP_RECORDS = 1000
WARM_UP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
_METHODS = tuple(
    f"tensorflow/serving/{name}" for name in ("predict", "classify", "regress")
)
_MAX_TIMEOUT = 2**31 / 1000  # Seconds, 24 days: nobody's deadline.

_SPARE_THREADS = 16  # More than a map's parallel iterations, of which 10 are usual.

v1 = tf.compat.v1


@dataclasses.dataclass(frozen=True)
class Plan:
    """A checked request.

    Attributes:
        signature_name: the signature that answers, never empty.
        inputs: input alias -> TensorProto, with the defaults of those not sent.
        outputs: output alias -> tensor name.
    """

    signature_name: str
    inputs: dict[str, Any]
    outputs: dict[str, str]


class Servable:
    """A SavedModel, loaded as TensorFlow Serving loads it: into a graph and a session.

    A session rather than `tf.saved_model.load` and its functions, because the real
    server's messages, its executor and its time limit (`RunOptions.timeout_in_ms`,
    which ends a `tf.while_loop` from inside) come with it. What a session lacks is a
    way to cancel one run of several. TensorFlow's CancellationManager for eager
    functions is no public interface, and `Session.close` ends every run. So the graph
    gets a few ops more: each run also waits for one token from a queue for every
    output it fetches. The output itself puts in False when it is there; `cancel` puts
    in True at any time, the assert behind the queue fails, and the executor
    ends the whole run at the loop's next iteration, as it does for the time limit.

    Args:
        path: directory with a `saved_model.pb`.
        slots: most runs at a time; each has a queue of its own.

    Raises:
        OSError, ValueError, tf.errors.OpError: when it can't be loaded.
    """

    def __init__(self, path: str, *, slots: int = 1) -> None:
        self._path = path
        self._graph = tf.Graph()
        config = v1.ConfigProto(allow_soft_placement=True)
        config.gpu_options.allow_growth = True
        # A loop keeps a thread from its first iteration to its last, and the assert
        # that cancels needs one that is free. In one pool for all, as many runs as
        # there are threads could not be cancelled.
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
        logger.addFilter(_says_something_new)
        try:
            with self._graph.as_default():
                meta_graph = v1.saved_model.load(
                    self._session, [tf.saved_model.SERVING], self._path
                )
        finally:
            logger.removeFilter(_says_something_new)
        self.signatures = dict(meta_graph.signature_def)
        self._tensors = {
            info.name: self._graph.get_tensor_by_name(info.name)
            for signature in self.signatures.values()
            if signature.method_name in _METHODS
            for info in [*signature.inputs.values(), *signature.outputs.values()]
        }
        outputs = {
            info.name
            for signature in self.signatures.values()
            if signature.method_name in _METHODS
            for info in signature.outputs.values()
        }
        self._slots: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        fetched = {name: self._tensors[name] for name in sorted(outputs)}
        with self._graph.as_default(), tf.device("/CPU:0"):
            made = [_Slot(index, fetched) for index in range(slots)]
        self._graph.finalize()
        for slot in made:
            slot.prepare(self._session)
            self._slots.put(slot)

    def close(self) -> None:
        """Frees the memory. No run may be going on."""
        self._session.close()
        # The session's resources go with the last reference to it.
        del self._session, self._graph

    def warm_up(self, cancellation: Cancellation) -> int:
        """Replays the requests that lie beside the model, if there are any.

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
            if count > MAX_WARM_UP_RECORDS:
                raise StatusError(
                    tf.errors.INVALID_ARGUMENT,
                    "Number of warmup records exceeds the maximum "
                    f"({MAX_WARM_UP_RECORDS}) at {path}",
                )
            plan = self.plan(log.predict_log.request)
            # The slots take turns, and each has an executor of its own to build.
            for _ in range(self._slots.qsize()):
                self.run(plan, None, cancellation)
        return count

    def plan(self, request: predict_pb2.PredictRequest) -> Plan:
        """Checks a request in the order of the real server, with its messages.

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
        return Plan(name, inputs, outputs)

    def _check_types(self, signature, inputs: dict[str, Any]) -> None:
        order = sorted(inputs, key=lambda alias: signature.inputs[alias].name)
        for index, alias in enumerate(order):
            expected = self._tensors[signature.inputs[alias].name].dtype
            received = tf.dtypes.as_dtype(inputs[alias].dtype)
            if received != expected:
                raise _invalid(
                    f"Expects arg[{index}] to be {tensors.type_name(expected)} but "
                    f"{tensors.type_name(received)} is provided"
                )

    def _check_shapes(self, signature, inputs: dict[str, Any]) -> None:
        # The real server leaves this to `tf.ensure_shape` in the graph, and crashes
        # where a graph has none. The message is that of `tf.ensure_shape`.
        for alias, proto in inputs.items():
            received = [dimension.size for dimension in proto.tensor_shape.dim]
            expected = self._tensors[signature.inputs[alias].name].shape
            if not expected.is_compatible_with(received):
                sizes = ["?" if size is None else str(size) for size in expected]
                raise _invalid(
                    f"Shape of tensor {alias} [{','.join(map(str, received))}] is not "
                    f"compatible with expected shape [{','.join(sizes)}]."
                )

    def run(
        self, plan: Plan, timeout: float | None, cancellation: Cancellation
    ) -> dict:
        """Runs a checked request.

        Args:
            plan: what `plan` returned.
            timeout: most seconds that the run may take; None for any time.
            cancellation: stops the run.

        Returns:
            Dictionary of output alias -> TensorProto.

        Raises:
            StatusError: what the graph refused, DEADLINE_EXCEEDED, CANCELLED.
        """
        cancellation.check()
        infos = self.signatures[plan.signature_name].inputs
        feeds = {
            self._tensors[infos[alias].name]: _decode(alias, proto)
            for alias, proto in plan.inputs.items()
        }
        names = sorted(set(plan.outputs.values()))
        slot = self._slots.get()
        options = v1.RunOptions(inter_op_thread_pool=slot.index)
        if timeout is not None and timeout < _MAX_TIMEOUT:
            options.timeout_in_ms = max(1, int(timeout * 1000))
        try:
            with cancellation.calling(lambda: slot.cancel(self._session)):
                try:
                    arrays = self._session.run(
                        [
                            {name: self._tensors[name] for name in names},
                            [slot.ready[name] for name in names],
                            slot.guard,
                        ],
                        {**feeds, slot.count: len(names)},
                        options=options,
                    )[0]
                except tf.errors.OpError as error:
                    cancellation.check()
                    raise _status_error(error) from error
        finally:
            slot.clear(self._session)
            self._slots.put(slot)
        return {
            alias: tensors.encode(arrays[name]) for alias, name in plan.outputs.items()
        }


class _Slot:
    """The ops by which one run at a time can be cancelled; `Servable` says how."""

    def __init__(self, index: int, outputs: dict[str, tf.Tensor]) -> None:
        self.index = index
        most = max(1, len(outputs))
        # Room for a finished run's tokens and a cancellation's: neither ever blocks.
        tokens = v1.FIFOQueue(
            2 * most, [tf.bool], shapes=[[]], shared_name=f"tfnst_cancel_{index}"
        )
        self.ready = {}
        for name, output in outputs.items():
            with tf.control_dependencies([output]):
                self.ready[name] = tokens.enqueue(False)
        self.count = v1.placeholder(tf.int32, [])
        taken = tokens.dequeue_many(self.count)
        # Not tf.debugging.Assert, which wants to be a control dependency of something.
        self.guard = tf.raw_ops.Assert(
            condition=tf.logical_not(tf.reduce_any(taken)), data=["cancelled"]
        )
        self._cancel = tokens.enqueue_many([[True] * most])
        self._clear = tokens.dequeue_many(tokens.size())
        # In the thread that calls: the runtime's own may all be at work.
        self._options = v1.RunOptions(inter_op_thread_pool=-1)

    def prepare(self, session: v1.Session) -> None:
        """Has the session build now what it needs for the other two: it takes long."""
        self.cancel(session)
        self.clear(session)

    def cancel(self, session: v1.Session) -> None:
        """Ends the slot's run, or the next one if none has begun."""
        session.run(self._cancel, options=self._options)

    def clear(self, session: v1.Session) -> None:
        """Takes out what a run that failed or was cancelled left behind."""
        session.run(self._clear, options=self._options)


def _choose_inputs(signature, sent) -> dict[str, Any]:
    """Input alias -> TensorProto, from the request or the defaults."""
    inputs, defaults = signature.inputs, signature.defaults
    if len(sent) > len(inputs) or (len(sent) < len(inputs) and not defaults):
        extra, missing = set(sent) - set(inputs), set(inputs) - set(sent)
        raise _invalid(
            f"input size does not match signature: {len(sent)}!={len(inputs)} "
            f"len({_names(sent)}) != len({_names(inputs)}). "
            f"Sent extra: {_names(extra)}. Missing but required: {_names(missing)}."
        )
    chosen = {}
    for alias in sorted(inputs):
        if alias not in sent and alias not in defaults:
            raise _invalid(
                f"Signature input alias: {alias}(feed name: {inputs[alias].name}) not "
                "found in request and no default value provided. Inputs expected to be "
                f"in the request {_names(sent)}, or default input alias set: "
                + ",".join(sorted(defaults))
            )
        tensor = sent[alias] if alias in sent else defaults[alias]
        if not tensors.is_valid(tensor):
            raise _invalid(f"tensor parsing error: {alias}")
        chosen[alias] = tensor
    if set(sent) - set(inputs):
        raise _invalid(
            "Inputs contains invalid name. Used request inputs: "
            f"{','.join(sorted(set(sent) & set(inputs)))}, request input: "
            + ",".join(sorted(sent))
        )
    return chosen


def _choose_outputs(signature, wanted) -> dict[str, str]:
    """Output alias -> tensor name."""
    chosen = {}
    for alias in wanted:
        if alias not in signature.outputs:
            raise _invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected "
                f"to be in the set {_names(signature.outputs)}."
            )
        if alias in chosen:
            raise _invalid(f"duplicate output tensor alias: {alias}")
        chosen[alias] = signature.outputs[alias].name
    return chosen or {alias: info.name for alias, info in signature.outputs.items()}


def _decode(alias: str, proto):
    try:
        return tensors.decode(proto)
    except ValueError as error:
        raise _invalid(f"tensor parsing error: {alias}") from error
    except MemoryError as error:
        message = "There is not enough memory for the inputs."
        raise StatusError(tf.errors.RESOURCE_EXHAUSTED, message) from error


def _status_error(error: tf.errors.OpError) -> StatusError:
    # The session's Python part wraps the runtime's message in a story for whoever
    # built the graph; the error that it comes from has the message alone.
    original = error.__context__
    if isinstance(original, tf.errors.OpError):
        error = original
    return StatusError(error.error_code, error.message)


def _says_something_new(record) -> bool:
    # `tf.saved_model.load`, which the loader recommends, makes no session.
    return "tf.saved_model.load" not in record.getMessage()


def _invalid(message: str) -> StatusError:
    return StatusError(tf.errors.INVALID_ARGUMENT, message)


def _names(aliases) -> str:
    return "{" + ",".join(sorted(aliases)) + "}"
