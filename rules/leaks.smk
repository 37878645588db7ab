rule leaks:
    input:
        images=plan.all_parts,
        synthetic=plan.leak_synthetic,
    output:
        counts="results/{dataset}/leaks.csv",
        pairs="results/{dataset}/leak_pairs.csv",
        html=report(
            at.LEAKS,
            caption="../report/leaks.rst",
            category="Data",
            labels={"dataset": "{dataset}", "page": "leaks"},
        ),
    log:
        "results/logs/leaks/{dataset}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=4000, minutes=120),
    params:
        flags=flags,
        settings=as_parameter(plan.leak_settings),
    message:
        "look for images of {wildcards.dataset} that stand in two parts"
    shell:
        stage("synthood.data.leaks.find_leaks")


rule drop_leaks:
    input:
        images=at.IMAGES,
        against=plan.kept_parts,
    output:
        at.WITHOUT_LEAKS,
    log:
        "results/logs/drop_leaks/{dataset}/{part}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=4000, minutes=60),
    params:
        flags=flags,
        settings=as_parameter(plan.drop_settings),
    message:
        "leave out images of {wildcards.part} of {wildcards.dataset} that stand in ID parts"
    shell:
        stage("synthood.data.leaks.drop_leaks")
