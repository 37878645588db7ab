"""Stage `fit_flow`: fits the volume-preserving network to the tokens of ID training images."""

from pathlib import Path
from typing import Annotated

import torch

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.iterate import ResumeFile
from synthood.common.tensors import read_tensors
from synthood.outliers.flow import fit_flow
from synthood.outliers.inverted_settings import FlowSettings
from synthood.outliers.spaces import EmbeddingSpace


@stage.Stage
def main(
    job: stage.Job,
    settings: FlowSettings,
    threads: int,
    inverted: Annotated[Path, "what invert wrote"],
    output: Output,
    resume: Annotated[Path | None, "folder for the state of an unfinished fit"] = None,
    save_seconds: Annotated[float, "time between two saved states"] = stage.SAVE_SECONDS,
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    arrays, header = read_tensors(inverted, "embeddings", "labels")
    tokens, labels = (torch.from_numpy(arrays[name]) for name in ("embeddings", "labels"))
    space = EmbeddingSpace.of(header, inverted)
    state = ResumeFile(resume, job.fingerprint, save_seconds)
    with device_for(gpus) as device:
        flow = fit_flow(tokens, labels, header["classes"], settings, state, device)
    with job.writing(output) as path:
        flow.save(path, space.header())
    state.clear()
    print(f"{flow.invariants} of {tokens.shape[1]} dimensions of z are to be 0 on the manifolds")


if __name__ == "__main__":
    main()
