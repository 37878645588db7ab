rule export_detector:
    input:
        models=plan.deploy_models,
        features=plan.deploy_features,
        heads=plan.deploy_heads,
        images=plan.evaluated,
        compared=at.OVERLAPS,
    output:
        directory(at.DEPLOYED),
    log:
        "results/logs/export_detector/{dataset}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=60),
    params:
        flags=flags,
        settings=as_parameter(plan.export_settings),
    message:
        "export a detector of {wildcards.dataset}"
    shell:
        stage("synthood.deploy.export_detector")
