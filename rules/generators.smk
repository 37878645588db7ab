rule fit_generator:
    input:
        train=at.TRAIN,
        also=plan.also,
        classifier=plan.watching,
        stored=from_storage(at.GENERATOR),
        compared=at.OVERLAPS_ID,
    output:
        directory(at.GENERATOR),
    log:
        "results/logs/fit_generator/{dataset}/{generator}.log",
    priority: 100
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=32000, minutes=1440),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.fit_settings),
        resume=resume,
        raw=plan.generator_state,
    message:
        "fit generator {wildcards.generator} on {wildcards.dataset}"
    shell:
        with_copies(
            compared(
                stage(
                    "synthood.generators.fit_generator",
                    gpus="{resources.gpu}",
                    resume="{params.resume:q}",
                    raw="{params.raw:q}",
                )
            )
        )


rule synthesise:
    input:
        generator=at.GENERATOR,
    output:
        at.BLOCK,
    log:
        "results/logs/synthesise/{dataset}/{generator}/block{block}.log",
    priority: 90
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=480),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.block_settings),
    message:
        "synthesise block {wildcards.block} of {wildcards.dataset} with {wildcards.generator}"
    shell:
        stage("synthood.generators.synthesise", gpus="{resources.gpu}")


rule filter:
    input:
        synthetic=lambda wildcards: plan.sampled_blocks(wildcards.dataset, wildcards.generator),
        train=at.TRAIN,
        val=at.VAL,
        classifier=plan.filter_classifier,
    output:
        images=at.KEPT,
        table=at.KEPT_COUNTS,
    log:
        "results/logs/filter/{dataset}/{generator}.log",
    wildcard_constraints:
        generator=one_of(plan.filtered_generators()),
    priority: 90
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=240),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.filter_settings),
    message:
        "filter the images of {wildcards.generator} for {wildcards.dataset}"
    shell:
        stage("synthood.generators.filter", gpus="{resources.gpu}")


rule assess:
    input:
        synthetic=lambda wildcards: plan.blocks(wildcards.dataset, wildcards.generator),
        train=at.TRAIN,
        test=at.TEST,
        judge=plan.judge,
        stored=from_storage(at.QUALITY),
    output:
        figures=at.QUALITY,
        gallery=report(
            at.QUALITY_GALLERY,
            caption="../report/gallery.rst",
            category="Synthetic images",
            labels={"dataset": "{dataset}", "generator": "{generator}"},
        ),
    log:
        "results/logs/assess/{dataset}/{generator}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=120),
    params:
        flags=flags,
        settings=as_parameter(plan.assess_settings),
    message:
        "assess the images of {wildcards.generator} for {wildcards.dataset}"
    shell:
        with_copies(stage("synthood.generators.assess", title="{wildcards.generator}"))
