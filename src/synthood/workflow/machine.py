"""What this machine has, and how its memory is best used, without importing torch."""

import os
import shutil
import subprocess

ALLOCATION = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
}
"""For glibc, in a job's environment: pages of 2 MiB, and freed memory is kept for the next step instead of given back.

Else the large tensors of each step are mapped anew, page by page; docs/training.md says what that costs.
"""


def gpus_found() -> int:
    """GPUs that a job could use here: those named by CUDA_VISIBLE_DEVICES, else those the driver lists."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1")])
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
