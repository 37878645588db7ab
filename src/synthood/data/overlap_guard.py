"""Ends with an error where the ID parts of a dataset share images that the configuration does not allow.

What is allowed comes by the environment (rules/common.smk), not by a rule's parameters or by the job that compares: who
allows an overlap, or drops leaks, would train everything again.
"""

import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from synthood.common.artefact import RESULTS, verify
from synthood.data.overlap_settings import OverlapSettings, Shared, refusal
from synthood.errors import SynthoodError

ALLOWED = "SYNTHOOD_OVERLAPS"
"""JSON: the settings of each dataset's comparison by its name, after the prefix of the module that it is of."""


def main(command_line: Sequence[str]) -> int:
    """Takes the dataset's name and the table that `overlaps --count-only` wrote."""
    dataset, table = command_line
    own = f"{RESULTS}/{dataset}/{Path(table).name}"
    prefix = table.removesuffix(own) if table.endswith(own) else ""
    # Local copies of results in storage have another path before them, and before the prefix of a module
    allowed, full = json.loads(os.environ[ALLOWED]), f"/{prefix}{dataset}"
    settings = OverlapSettings.model_validate(
        allowed[max((key for key in allowed if full.endswith(f"/{key}")), key=len)]
    )
    try:
        verify(Path(table))
    except SynthoodError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    with Path(table).open(newline="") as stream:
        rows = [
            Shared(row["part"], row["other"], int(row["shared"]), row["examples"]) for row in csv.DictReader(stream)
        ]
    refused = refusal(rows, settings)
    if refused:
        print(f"error: {refused}", file=sys.stderr)
    return int(bool(refused))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
