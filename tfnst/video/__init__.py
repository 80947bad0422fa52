"""Films: reading and writing them, frame by frame."""
