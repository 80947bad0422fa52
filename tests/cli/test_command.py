"""The command as a whole."""

import subprocess
import sys


def test_help_does_not_load_tensorflow(tmp_path):
    code = (
        "import sys\n"
        "from tfnst.cli.command import cli\n"
        "for arguments in (['--help'], ['stylize', '--help'], ['info', '--help']):\n"
        "    cli.main(arguments, standalone_mode=False)\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'PIL', 'grpc'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "stylize" in done.stdout
