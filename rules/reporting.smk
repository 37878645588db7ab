rule tabulate:
    input:
        scores=lambda wildcards: plan.table_runs(wildcards.table, at.SCORES),
        images=lambda wildcards: plan.table_images(wildcards.table),
        beside=lambda wildcards: plan.scores_beside(wildcards.table),
        compared=lambda wildcards: plan.compared(wildcards.table),
    output:
        csv=report(
            at.TABLE,
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}", "form": "CSV"},
        ),
        gains=at.TABLE_GAINS,
        md=at.TABLE_MARKDOWN,
        html=report(
            at.TABLE_HTML,
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}", "form": "page"},
        ),
        tex=at.TABLE_LATEX,
        wide_csv=at.TABLE_WIDE,
        leaderboard_csv=at.TABLE_LEADERBOARD,
    log:
        "results/logs/tabulate/{table}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=60),
    params:
        flags=flags,
        settings=as_parameter(plan.tabulate_settings),
    message:
        "tabulate {wildcards.table}"
    shell:
        stage("synthood.reporting.tabulate")


rule plot:
    input:
        scores=lambda wildcards: plan.table_runs(wildcards.table, at.SCORES),
        images=lambda wildcards: plan.table_images(wildcards.table),
        beside=lambda wildcards: plan.scores_beside(wildcards.table),
        compared=lambda wildcards: plan.compared(wildcards.table),
        histories=lambda wildcards: plan.table_runs(wildcards.table, at.HISTORY),
    output:
        figure_files(
            "scores",
            lambda path, title: report(
                path,
                caption="../report/figures.rst",
                category="Figures",
                labels={"table": "{table}", "figure": title},
            ),
        ),
    log:
        "results/logs/plot/{table}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=4000, minutes=30),
    params:
        flags=flags,
        settings=as_parameter(plan.plot_settings),
        guide=reading_guide("scores"),
    message:
        "plot the figures of {wildcards.table}"
    shell:
        stage("synthood.reporting.plot")


rule plot_results:
    input:
        values=at.TABLE,
        gains=at.TABLE_GAINS,
    output:
        figure_files(
            "results",
            lambda path, title: report(
                path,
                caption="../report/figures.rst",
                category="Figures",
                labels={"table": "{table}", "figure": title},
            ),
        ),
    log:
        "results/logs/plot_results/{table}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=4000, minutes=30),
    params:
        flags=flags,
        settings=as_parameter(plan.plot_results_settings),
        guide=reading_guide("results"),
    message:
        "plot the results of {wildcards.table}"
    shell:
        stage("synthood.reporting.plot_results")


rule map:
    input:
        heads=at.HEADS,
        features=at.FEATURES,
        boundary=plan.outliers(at.BOUNDARY),
        latents=plan.outliers(at.LATENTS),
        gate=plan.outliers(at.GATE),
    output:
        report(
            at.MAP,
            caption="../report/map.rst",
            category="Outliers",
            labels={"dataset": "{dataset}", "recipe": "{recipe}", "figure": "map"},
        ),
    log:
        "results/logs/map/{dataset}/{recipe}/seed{seed}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=4000, minutes=30),
    params:
        flags=flags,
        settings=as_parameter(plan.map_settings),
    message:
        "map the outliers of {wildcards.recipe} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        stage("synthood.reporting.map")


# Of all built tables. Times are read from the provenance of results, which no job depends on.
rule report_page:
    input:
        unpack(plan.page_inputs),
        specifications=[path for path in drawn_figures if path.endswith(".vl.json")],
    output:
        at.REPORT_PAGE,
    log:
        "results/logs/report_page.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=4000, minutes=30),
    params:
        flags=flags,
        settings=as_parameter(plan.page_settings),
    message:
        "build the report page"
    shell:
        stage("synthood.reporting.report_page", results=RESULTS)


# The page of one table, as soon as that is there.
use rule report_page as table_page with:
    input:
        unpack(plan.page_inputs),
        specifications=lambda wildcards: [
            path for path in figures_of(wildcards.table) if path.endswith(".vl.json")
        ],
    output:
        at.TABLE_PAGE,
    log:
        "results/logs/table_page/{table}.log",
    message:
        "build the report page of table {wildcards.table}"
