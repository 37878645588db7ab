"""Puts local copies of raw data and weights in storage where the configuration names them; they are links.

`python -m synthood.workflow.raw_copies COPY ...`, before a stage that reads them.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from synthood.data.raw import STORED
from synthood.errors import SynthoodError


def link(copy: Path, query: str) -> Path:
    """Links the path of the configuration to a copy of what lies there below `query`, and gives that path.

    Raises SynthoodError where a file of this machine is in the way: it would be read in place of the stored one.
    """
    below = f"/{query.partition('://')[2].strip('/')}/"
    path = Path(copy.absolute().as_posix().partition(below)[2])
    if path.exists() and not path.is_symlink():
        raise SynthoodError(f"{path}: there, and in {STORED}={query} too; move it away, or unset {STORED}")
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.{os.getpid()}")
    made.unlink(missing_ok=True)
    made.symlink_to(copy.absolute())
    made.replace(path)
    return path


def main(copies: Sequence[str]) -> int:
    try:
        for copy in copies:
            link(Path(copy), os.environ[STORED])
    except SynthoodError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
