# Artefacts under results/: {dataset}/images, generators, synthetic, models/{recipe}/seed{seed}; tables, figures.
from snakemake.utils import min_version

min_version("9.19")


if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/fetch.smk"
include: "rules/prepare.smk"
include: "rules/leaks.smk"
include: "rules/generators.smk"
include: "rules/outliers.smk"
include: "rules/training.smk"
include: "rules/evaluation.smk"
include: "rules/reporting.smk"
include: "rules/deploy.smk"


localrules:
    all,
    fetch,
    tables,
    figures,
    galleries,
    outliers,
    deploy,
    report,


rule all:
    default_target: True
    input:
        rendered_tables,
        drawn_figures,
        drawn_galleries,
        drawn_outliers,
        plan.deployed(),
        at.REPORT_PAGE,


rule tables:
    input:
        rendered_tables,


rule figures:
    input:
        drawn_figures,


rule galleries:
    input:
        drawn_galleries,


rule outliers:
    input:
        plan.outlier_pictures(),


rule deploy:
    input:
        plan.deployed(),


rule report:
    input:
        at.REPORT_PAGE,
