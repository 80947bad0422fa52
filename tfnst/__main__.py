"""`python -m tfnst` is the `tfnst` command."""

from tfnst.cli.command import main

main()
