"""What the rules ask of a configuration: paths of artefacts, and the settings each job depends on."""

from collections.abc import Callable

from synthood.common.settings import JobSettings, Settings
from synthood.workflow.code import digests_in
from synthood.workflow.plan.deploy import DeployPlan
from synthood.workflow.plan.outside import OutsidePlan
from synthood.workflow.plan.paths import Wildcards, signed
from synthood.workflow.plan.report import ReportPlan
from synthood.workflow.plan.training import TrainingPlan


class Plan(OutsidePlan, TrainingPlan, ReportPlan, DeployPlan):
    """Paths and settings of every job; the rules only wire them."""


def as_parameter(settings: Callable[..., Settings]) -> Callable[[Wildcards], str]:
    """A rule's parameter: the settings as canonical JSON, with the digests of the plug-ins in them.

    Jobs with the same settings share the digests.
    """
    with_code: dict[str, str] = {}

    def text(wildcards: Wildcards) -> str:
        found = settings(wildcards)
        plain = found.canonical()
        if plain not in with_code:
            if code := digests_in(found):
                if not isinstance(found, JobSettings):
                    raise TypeError(f"{type(found).__name__} names plug-ins, so it must be JobSettings")
                found = found.model_copy(update={"code": code})
            with_code[plain] = found.canonical()
        return with_code[plain]

    return signed(text)
