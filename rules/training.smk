rule train:
    input:
        unpack(plan.learned_from),
        stored=from_storage(at.MODEL),
        compared=at.OVERLAPS_ID,
    output:
        model=at.MODEL,
        history=at.HISTORY,
        heads=at.HEADS,
    log:
        "results/logs/train/{dataset}/{recipe}/seed{seed}.log",
    wildcard_constraints:
        recipe=one_of(plan.recipes("trained")),
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=8000, minutes=1440),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.train_settings),
        resume=resume,
        raw=plan.pictures_state,
    message:
        "train {wildcards.recipe} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        with_copies(
            compared(
                stage(
                    "synthood.training.train",
                    gpus="{resources.gpu}",
                    resume="{params.resume:q}",
                    seed="{wildcards.seed}",
                    raw="{params.raw:q}",
                    memory="{resources.mem_mb}",
                )
            )
        )


rule backbone_features:
    input:
        images=at.IMAGE_SET,
        train=at.TRAIN,
        stored=lambda wildcards: [storage(query) for query in plan.stored_backbone(wildcards)],
    output:
        at.BACKBONE_FEATURES,
    log:
        "results/logs/backbone_features/{dataset}/{backbone}/{images}.log",
    wildcard_constraints:
        backbone=one_of(plan.backbones),
        images="(images|synthetic|outliers)/.+",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=8000, minutes=240),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.backbone_settings),
    message:
        "compute features of {wildcards.images} of {wildcards.dataset} by {wildcards.backbone}"
    shell:
        with_copies(stage("synthood.training.backbone_features", gpus="{resources.gpu}"))


rule import_checkpoint:
    input:
        val=at.VAL,
        stored=from_storage(at.MODEL),
        compared=at.OVERLAPS_ID,
    output:
        model=at.MODEL,
        history=at.HISTORY,
        heads=at.HEADS,
    log:
        "results/logs/import_checkpoint/{dataset}/{recipe}/seed{seed}.log",
    wildcard_constraints:
        recipe=one_of(plan.recipes("imported")),
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=4000, minutes=30),
    params:
        flags=flags,
        settings=as_parameter(plan.checkpoint_settings),
        raw=plan.checkpoint_state,
    message:
        "import {wildcards.recipe} for {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        with_copies(compared(stage("synthood.training.import_checkpoint", raw="{params.raw:q}")))
