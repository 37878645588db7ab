"""What this machine has, found without importing torch."""

import os
import shutil
import subprocess


def gpus_found() -> int:
    """GPUs that a job could use here: those named by CUDA_VISIBLE_DEVICES, else those the driver lists."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1")])
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
