"""Jobs and their costs, as forecasts are made of."""

from synthood.forecast.forecast import Cost
from synthood.forecast.jobs import Job


def job(rule, outputs, inputs=(), on_gpu=False, left=True, settings="{}"):
    """A job of one thread."""
    return Job(rule, {}, settings, "", list(inputs), list(outputs), 1, 1000, on_gpu, left)


def cost(name, seconds, inputs=(), gpu=None, **more):
    """The cost of a job whose output has its name."""
    made = job("train", [name], inputs, on_gpu=gpu is not None, **more)
    return Cost(made, {"x": (seconds, 0.1)}, {} if gpu is None else {"y": (gpu, 0.1)}, 0, 0, "measured")
