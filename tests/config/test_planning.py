"""Snakemake reads configurations itself; the workflow looks at their text again."""

import pytest

from checkouts import Workflow


@pytest.mark.workflow
def test_keys_given_twice_numbers_that_are_text_and_missing_functions_stop_the_plan(fresh: Workflow) -> None:
    own = fresh.place / "own.yaml"
    good = (fresh.place / "config.yaml").read_text()
    own.write_text(good + "figures: {dpi: 100}\nfigures: {dpi: 2e2}\n")
    refused = fresh.run("-n", "--configfile", "own.yaml")
    assert refused.returncode == 1
    first = good.count("\n") + 1
    assert f"{own}: figures: given on lines {first} and {first + 1}; keep one" in refused.stdout
    assert f"{own}: figures.dpi: line {first + 1}: 2e2 is text to YAML" in refused.stdout
    assert "Traceback" not in refused.stdout
    (fresh.place / "mine.py").write_text("def fitted(reference): ...")
    own.write_text(good.replace("\ndetectors:", "\ndetectors:\n  mine: {kind: custom, file: mine.py}"))
    refused = fresh.run("-n", "--configfile", "own.yaml")
    assert refused.returncode == 1
    assert "detectors.mine.function: mine.py has no function 'fit'; did you mean 'fitted'?" in refused.stdout
