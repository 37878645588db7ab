"""A table as CSV files of other shapes: a row per recipe and detector, and OpenOOD's leaderboard."""

from collections.abc import Collection, Mapping

import pandas as pd

from synthood.reporting.settings import TableSettings

LEADERBOARD = [
    "Training",
    "Postprocessor",
    "Near-OOD_AUROC",
    "Far-OOD_AUROC",
    "ID_Accuracy",
    "Outlier_Data",
    "Arch",
    "Additional_Description",
]
"""The columns of the files in which OpenOOD v1.5 keeps its leaderboard, one per ID dataset."""


def wide(values: pd.DataFrame) -> pd.DataFrame:
    """A row per dataset, recipe and detector; a column METRIC_SET and METRIC_SET_sd per number, in percent.

    Metrics of the classifier alone have METRIC and METRIC_sd, the same for every detector.
    """
    rows: dict[tuple[str, str, str], dict[str, object]] = {}
    classifier: dict[tuple[str, str], dict[str, object]] = {}
    for line in values.to_dict("records"):
        key = line["metric"] if line["set"] == "test" else f"{line['metric']}_{line['set']}"
        numbers = {key: line["mean"], f"{key}_sd": line["sd"]}
        names = (line["dataset"], line["recipe"])
        if line["detector"]:
            rows.setdefault((*names, line["detector"]), {}).update(numbers)
        else:
            classifier.setdefault(names, {}).update(numbers)
    if not rows:
        rows = {(*names, ""): {} for names in classifier}
    found = [
        dict(zip(("dataset", "recipe", "detector"), names, strict=True)) | numbers | classifier.get(names[:2], {})
        for names, numbers in rows.items()
    ]
    return pd.DataFrame(found)


def leaderboard(
    values: pd.DataFrame,
    table: TableSettings,
    architectures: Mapping[str, str],
    outlier_data: Collection[str],
    descriptions: Mapping[str, str],
) -> pd.DataFrame:
    """Rows of OpenOOD's leaderboard, best near AUROC first: mean ± SD in percent, `/` where there is none.

    By recipe: its architecture, whether it learns from outlier data, and a description. The SD has ddof 1.
    """
    found = {(line["dataset"], line["recipe"], line["detector"], line["set"], line["metric"]): line
             for line in values.to_dict("records")}  # fmt: skip

    def shown(dataset: str, recipe: str, detector: str, part: str, metric: str) -> str:
        line = found.get((dataset, recipe, detector, part, metric))
        if line is None or pd.isna(line["mean"]):
            return "/"
        return f"{line['mean']:.2f}" + (f" ± {line['sd']:.2f}" if pd.notna(line["sd"]) else "")

    rows = []
    for dataset in table.datasets:
        of_dataset = []
        for method in table.methods:
            for recipe in method.recipes.values():
                areas = [shown(dataset, recipe, method.detector, role, "auroc") for role in ("near", "far")]
                accuracy = shown(dataset, recipe, "", "test", "id_accuracy")
                said = [dataset] * (len(table.datasets) > 1) + [descriptions.get(recipe, "")]
                outliers = "Yes" if recipe in outlier_data else "No"
                facts = [outliers, architectures.get(recipe, ""), "; ".join(filter(None, said))]
                of_dataset.append([recipe, method.detector, *areas, accuracy, *facts])
        rows += sorted(of_dataset, key=lambda row: -float(row[2].split()[0]) if row[2] != "/" else 0)
    return pd.DataFrame(rows, columns=LEADERBOARD)
