"""Outputs of commands by which a system describes itself: run here, or read from a copied tree.

An owner who sends a board's files puts each output under `commands/` in the tree, named after the
command: `vcgencmd get_throttled` is `commands/vcgencmd-get_throttled.txt`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from devices.files import read_text

HERE = Path("/")
# What a profile and a meter ask; none changes anything or needs root.
COMMANDS = (
    "uname -a",
    "getconf PAGE_SIZE",
    "vcgencmd get_throttled",
    "vcgencmd pmic_read_adc",
    "nvpmodel -q",
)
_TIMEOUT_S = 5.0


def command_output(root: Path, command: str) -> str | None:
    """Return what a command of `COMMANDS` prints, None where it is absent or fails.

    Args:
        root: "/" to run it; any other folder is a copied tree.
        command: The command with its arguments.
    """
    if root != HERE:
        return read_text(root / command_file(command))
    words = command.split()
    if shutil.which(words[0]) is None:
        return None
    try:
        done = subprocess.run(
            words, capture_output=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    text = done.stdout.decode(errors="replace").strip("\0 \t\r\n")
    return text or None if done.returncode == 0 else None


def command_file(command: str) -> str:
    """Return where a copied tree has a command's output.

    >>> command_file("nvpmodel -q")
    'commands/nvpmodel-q.txt'
    """
    return f"commands/{re.sub('[^A-Za-z0-9_]+', '-', command)}.txt"
