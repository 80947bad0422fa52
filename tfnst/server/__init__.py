"""The embedded server: TensorFlow Serving's gRPC interface in a Python process.

For a laptop, tests and small installations. `model_server` combines `models` (what a
configuration lists), `versions` (which versions of a model are loaded), `servables`
(one of them in memory), `calls` (how requests arrive and answers leave, in the
`event_loop`), `runs` (which request runs when) and `services` (what is answered).
"""

from tfnst.server.model_server import ModelServer, serve

__all__ = ["ModelServer", "serve"]
