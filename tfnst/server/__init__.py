"""The embedded server: TensorFlow Serving's gRPC interface in a Python process.

For a laptop, tests and small installations. `model_server` combines `versions` (which
versions of the model are loaded), `servables` (one of them in memory), `runs` (which
request runs when) and `services` (what gRPC calls).
"""

from tfnst.server.model_server import ModelServer, serve

__all__ = ["ModelServer", "serve"]
