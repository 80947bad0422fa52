"""What `tests.processes` loads once for all processes; nothing of it may run yet."""

import tests.processes  # noqa: F401
from tfnst.cli.terminal import quiet_start

# As the command itself loads it, or else TensorFlow's notes would be in every output.
with quiet_start():
    import tensorflow  # noqa: F401

    import tfnst.batch.batch
    import tfnst.batch.painter
    import tfnst.cli.command
    import tfnst.evaluation.evaluation
    import tfnst.transfer.run  # noqa: F401
