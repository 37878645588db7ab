rule fetch:
    log:
        "results/logs/fetch.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        mem_mb=1000,
        runtime=720,
    params:
        configs=" ".join(f"--config {quote(str(path))}" for path in workflow.configfiles),
    message:
        "fetch the public data that the configuration names"
    shell:
        "python -m synthood.cli fetch {params.configs} 2>&1 | tee {log}"
