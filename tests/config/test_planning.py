"""Snakemake reads configurations itself; the workflow looks at their text again."""

from pathlib import Path

import pytest

from checkouts import WarmWorkflow


@pytest.mark.workflow
def test_keys_given_twice_numbers_that_are_text_and_missing_functions_stop_the_plan(
    clean: WarmWorkflow, tmp_path: Path
) -> None:
    own, mine = tmp_path / "own.yaml", tmp_path / "mine.py"
    good = (clean.place / "config.yaml").read_text()
    own.write_text(good + "figures: {dpi: 100}\nfigures: {dpi: 2e2}\n")
    refused = clean.run("-n", "--configfile", str(own))
    assert refused.returncode == 1
    first = good.count("\n") + 1
    assert f"{own}: figures: given on lines {first} and {first + 1}; keep one" in refused.stdout
    assert f"{own}: figures.dpi: line {first + 1}: 2e2 is text to YAML" in refused.stdout
    assert "Traceback" not in refused.stdout
    mine.write_text("def fitted(reference): ...")
    own.write_text(good.replace("\ndetectors:", f"\ndetectors:\n  mine: {{kind: custom, file: {mine}}}"))
    refused = clean.run("-n", "--configfile", str(own))
    assert refused.returncode == 1
    assert f"detectors.mine.function: {mine} has no function 'fit'; did you mean 'fitted'?" in refused.stdout
