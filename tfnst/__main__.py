"""`python -m tfnst` is the `tfnst` command."""

from tfnst.cli import main

main()
