# Artefacts under results/: {dataset}/images, generators, synthetic, models/{recipe}/seed{seed}; tables, figures.
from posixpath import sep

from snakemake.sourcecache import LocalSourceFile
from snakemake.utils import min_version

min_version("9.19")


if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


report: "report/workflow.rst"


# Of a Snakefile in the root of a Git URL, Snakemake would look for them in the root of the file system.
RULES = workflow.current_basedir.join("rules")
if hasattr(RULES, "path") and not isinstance(RULES, LocalSourceFile):
    RULES.path = RULES.path.removeprefix(sep)


include: RULES.join("common.smk")
include: RULES.join("fetch.smk")
include: RULES.join("prepare.smk")
include: RULES.join("leaks.smk")
include: RULES.join("generators.smk")
include: RULES.join("outliers.smk")
include: RULES.join("training.smk")
include: RULES.join("evaluation.smk")
include: RULES.join("reporting.smk")
include: RULES.join("deploy.smk")


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
