"""Hold a lock while a command runs, so that two ``make`` never work on the same outputs.

Needs only the standard library.

The lock is the kernel's (``flock``): it ends with the last process of the run, also after ``kill
-9``, so none is ever stale.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path


def claim(path: Path, wait: bool = False) -> int:
    """Descriptor that holds the lock and is inherited by whatever this process becomes.

    Raises:
        BlockingIOError: another run holds it and ``wait`` is off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    os.set_inheritable(handle, True)
    return handle


def main(arguments: list[str]) -> int:
    """``claim.py [--wait] LOCK COMMAND...``: becomes the command, with the lock held."""
    wait = arguments[:1] == ["--wait"]
    path, *command = arguments[wait:]
    dry = "n" in os.environ.get("MAKEFLAGS", "").split(" ")[0].replace("-", "")
    try:
        if not dry:
            claim(Path(path), wait)
    except BlockingIOError:
        owner = Path(path).read_text().strip() or "unknown"
        print(
            f"another make (process {owner}) is working on {Path(path).parent}. Wait for it, or choose another PROFILE or "
            "SPACER_OUTPUTS.",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(
            f"could not write {path}: {error.strerror}. Make the folder writable or set SPACER_OUTPUTS to another one.",
            file=sys.stderr,
        )
        return 1
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
