rule extract:
    input:
        model=at.MODEL,
        heads=plan.heads_read,
        images=plan.evaluated,
        cached=plan.evaluated_features,
    output:
        directory(at.FEATURES),
    log:
        "results/logs/extract/{dataset}/{recipe}/seed{seed}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=120),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.extract_settings),
    message:
        "extract features of {wildcards.recipe} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        stage("synthood.evaluation.extract", gpus="{resources.gpu}")


rule score:
    input:
        features=at.FEATURES,
    output:
        scores=at.SCORES,
        metrics=at.METRICS,
        search=at.SEARCH,
    log:
        "results/logs/score/{dataset}/{recipe}/seed{seed}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=120),
    params:
        flags=flags,
        settings=as_parameter(plan.score_settings),
    message:
        "score {wildcards.recipe} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        stage("synthood.evaluation.score")


rule score_model:
    input:
        model=at.MODEL,
        images=plan.evaluated,
    output:
        scores=at.ACCESS_SCORES,
        metrics=at.ACCESS_METRICS,
        search=at.ACCESS_SEARCH,
    log:
        "results/logs/score_model/{dataset}/{recipe}/seed{seed}/{access}.log",
    wildcard_constraints:
        access="maps|gradients",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=240),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.score_model_settings),
    message:
        "score {wildcards.recipe} on {wildcards.dataset} by {wildcards.access}, seed {wildcards.seed}"
    shell:
        stage("synthood.evaluation.score_model", gpus="{resources.gpu}")


rule score_denoiser:
    input:
        features=at.FEATURES,
        images=plan.evaluated,
        generators=plan.denoisers,
    output:
        scores=at.DENOISER_SCORES,
        metrics=at.DENOISER_METRICS,
        search=at.DENOISER_SEARCH,
    log:
        "results/logs/score_denoiser/{dataset}/{recipe}/seed{seed}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=240),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.score_denoiser_settings),
    message:
        "score {wildcards.recipe} on {wildcards.dataset} inside denoisers, seed {wildcards.seed}"
    shell:
        stage("synthood.generators.score_denoiser", gpus="{resources.gpu}")


rule score_ensemble:
    input:
        features=plan.ensemble_members,
    output:
        scores=at.ENSEMBLE_SCORES,
        metrics=at.ENSEMBLE_METRICS,
        search=at.ENSEMBLE_SEARCH,
    log:
        "results/logs/score_ensemble/{dataset}/{recipe}/{table}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=4000, minutes=30),
    params:
        flags=flags,
        settings=as_parameter(plan.score_ensemble_settings),
    message:
        "score the ensemble of {wildcards.recipe} on {wildcards.dataset} over the seeds of {wildcards.table}"
    shell:
        stage("synthood.evaluation.score_ensemble")
