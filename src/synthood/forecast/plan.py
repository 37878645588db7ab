"""`synthood plan --configfile CONFIG`: what a run would cost."""

import contextlib
from pathlib import Path

from synthood.common import forecasts
from synthood.config.load import load_file
from synthood.errors import SynthoodError
from synthood.forecast.forecast import Amount, Basis, Forecast, forecast
from synthood.forecast.jobs import planned
from synthood.forecast.show import shown
from synthood.workflow.machine import gpus_found

RESULTS = Path("results")


def plan(config: Path, directory: Path, basis: Basis) -> str:
    """The forecast in words; leaves it in the folder of results, where there is something to do.

    Paths are relative to `directory`, as Snakemake's. Raises SynthoodError where the configuration or an option is
    wrong.
    """
    if not config.is_file():
        raise SynthoodError(f"{config}: no such file; `synthood plan --configfile CONFIG` needs a configuration")
    if not directory.is_dir():
        raise SynthoodError(f"--directory {directory}: no such folder; make it, or name another")
    if basis.seconds < 0:
        raise SynthoodError(f"--seconds {basis.seconds:g}: give 0, which measures nothing, or more")
    if not 0 < basis.gpu_tflops < 1e5:
        raise SynthoodError(f"--gpu-tflops {basis.gpu_tflops:g}: give a number above 0, such as 10")
    given = config.resolve()
    loaded = load_file(given)
    with contextlib.chdir(directory):
        found = forecast(loaded, planned(given, Path()), basis)
        text = shown(str(config), found)
        if found.left:
            text += f"\nkept for the report page: {directory / keep(found)}"
    return text


def keep(found: Forecast) -> Path:
    """Leaves what jobs that are not up to date are to take."""
    sums = {cost.job.name: Amount.of([cost.cpu]) for cost in found.left}
    told = {name: forecasts.Foretold(one.seconds, one.error) for name, one in sums.items()}
    return forecasts.write(RESULTS, told)


def of_this_machine(seconds: float, gpu_tflops: float) -> Basis:
    """With the GPUs that are found."""
    return Basis(seconds, gpu_tflops, gpus_found())
