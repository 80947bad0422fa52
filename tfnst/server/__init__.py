"""The embedded server: TensorFlow Serving's gRPC interface in a Python process.

For a laptop, tests and small installations; large ones run TensorFlow Serving.
`model_server` combines `versions` (the versions of the model), `servables` (one version
in memory), `calls` (requests and responses, in the `event_loop`), `runs` (the queue)
and `services` (the gRPC methods).
"""

from tfnst.server.model_server import ModelServer, serve

__all__ = ["ModelServer", "serve"]
