"""Prints the tables of docs/reproduction.md anew from the results kept beside it: python docs/tables.py

A table is between `<!-- table: FILE SET METRIC [gain over BASE] -->` and `<!-- end -->`: a row per detector, a column
per recipe, of docs/reproduction/FILE.csv, or of FILE-gains.csv for gains, which `tabulate` made; of one recipe,
several sets with commas between are a column each. Numbers are percent or points, as in the files: mean and SD over
seeds, or of one seed the interval for new images; or the gain over another recipe (or, with commas between, over the
one that each is listed with; RECIPE/BASE picks a pair) with its interval. Between `<!-- csv: FILE COLUMN,COLUMN -->`
and `<!-- end -->` are columns of a file as they are; between `<!-- seeds: FILE -->` and `<!-- end -->`, of a file
with a row per recipe and seed, the mean and SD of every other column, and how many seeds had it.
"""

import argparse
import math
import re
import sys
from pathlib import Path

import pandas as pd

from synthood.reporting.comparisons import FEWEST, points

DOCUMENT = Path(__file__).with_name("reproduction.md")
BLOCK = re.compile(r"(<!-- table: (\S+) (\S+) (\S+?)(?: gain over (\S+))? -->\n)(.*?)(<!-- end -->)", re.DOTALL)


PLAIN = re.compile(r"(<!-- csv: (\S+) (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

APART = "°"
"""Not the asterisk of tables, which says that a test corrected for all comparisons is significant."""


SEEDS = re.compile(r"(<!-- seeds: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def value(line: pd.Series) -> str:
    """Mean and, of several seeds, SD; of one, the interval."""
    if math.isnan(line["sd"]):
        return f"{line['mean']:.2f} [{line['low']:.1f}, {line['high']:.1f}]"
    return f"{line['mean']:.2f} ± {line['sd']:.2f}"


def gain(line: pd.Series) -> str:
    """Gain and interval, in points; from five seeds on with a mark where the interval leaves out zero."""
    low, high = line["low"], line["high"]
    mark = APART if line["seeds"] >= FEWEST and (low > 0 or high < 0) else ""
    return f"{points(line['gain'])}{mark} [{points(low)}, {points(high)}]"


def table(rows: pd.DataFrame, part: str, metric: str, base: str | None) -> str:
    """One table in Markdown; ValueError where the rows do not hold it."""
    parts = part.split(",")
    chosen = rows[rows["set"].isin(parts) & (rows["metric"] == metric)]
    if base is not None:
        bases = base.split(",")
        pairs = chosen["recipe"] + "/" + chosen["base"]
        chosen = chosen[pairs.isin(bases) | (chosen["base"].isin(bases) & ~chosen["recipe"].isin(bases))]
    columns = "recipe" if len(parts) == 1 else "set"
    names = list(dict.fromkeys(chosen["recipe"])) if len(parts) == 1 else parts
    chosen = chosen.assign(detector=chosen["detector"].fillna(""))
    found = {(line["detector"], line[columns]): line for _, line in chosen.iterrows()}
    detectors = list(dict.fromkeys(chosen["detector"]))
    if not found or len(found) != len(chosen) or len(found) != len(names) * len(detectors):
        raise ValueError(f"not one row for each cell of set {part}, metric {metric}, base {base}")
    lines = [["", *names], ["---", *["---:"] * len(names)]]
    for detector in detectors:
        cells = [(gain if base else value)(found[detector, name]) for name in names]
        lines.append([detector or metric.replace("_", " "), *cells])
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


def over_seeds(rows: pd.DataFrame) -> str:
    """A row per figure, a column per recipe: mean, SD and number of the seeds that have it."""
    figures, recipes = [name for name in rows if name not in ("recipe", "seed")], list(dict.fromkeys(rows["recipe"]))
    lines = [["", *recipes], ["---", *["---:"] * len(recipes)]]
    for figure in figures:
        of = [rows.loc[rows["recipe"] == name, figure].dropna() for name in recipes]
        means = [f"{x.mean():.2f}" + (f" ± {x.std():.2f}" if len(x) > 1 else "") for x in of]
        cells = [f"{mean} ({len(x)})" if len(x) else "" for mean, x in zip(means, of, strict=True)]
        lines.append([figure.replace("_", " "), *cells])
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


def rewritten(text: str, folder: Path) -> str:
    """The document with every table made from its file."""

    def made(found: re.Match[str]) -> str:
        head, name, part, metric, base, _, end = found.groups()
        file = folder / (f"{name}-gains.csv" if base else f"{name}.csv")
        return head + table(pd.read_csv(file), part, metric, base) + end

    def plain(found: re.Match[str]) -> str:
        head, name, columns, _, end = found.groups()
        rows = pd.read_csv(folder / f"{name}.csv", dtype=str).fillna("")[columns.split(",")]
        lines = [
            [name.replace("_", " ") for name in rows],
            ["---", *["---:"] * (len(rows.columns) - 1)],
            *rows.to_numpy().tolist(),
        ]
        return head + "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines) + end

    def of_seeds(found: re.Match[str]) -> str:
        head, name, _, end = found.groups()
        return head + over_seeds(pd.read_csv(folder / f"{name}.csv")) + end

    return SEEDS.sub(of_seeds, PLAIN.sub(plain, BLOCK.sub(made, text)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit code 1 where the document is not as its files say")
    check = parser.parse_args().check
    text = DOCUMENT.read_text()
    new = rewritten(text, DOCUMENT.with_suffix(""))
    if not check:
        DOCUMENT.write_text(new)
    elif new != text:
        sys.exit(f"{DOCUMENT}: its tables are not those of its files; run python docs/tables.py")


if __name__ == "__main__":
    main()
