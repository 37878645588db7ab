# syntax=docker/dockerfile:1
# synthood's commands in an image: serve, score, monitor, and run for the workflow.
#   docker build --tag synthood .                                 for a CPU
#   docker build --tag synthood:cuda --build-arg TORCH=cuda .     with PyPI's builds of torch, which hold CUDA
#   docker run --rm --volume "$PWD:/work" synthood score detector photos
# Pinned by tag. A digest is better, and could not be looked up where this was written:
#   docker buildx imagetools inspect python:3.12.12-slim-bookworm     gives it for --build-arg PYTHON=python@sha256:...
ARG PYTHON=python:3.12.12-slim-bookworm

FROM ${PYTHON} AS build
ARG TORCH=cpu
ARG UV=0.13.9
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet --no-cache-dir "uv==${UV}" && python3 -m venv /opt/synthood
WORKDIR /src
COPY envs/constraints.txt envs/constraints.txt
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE CHANGELOG.md Snakefile config.yaml ./
COPY envs envs
COPY rules rules
COPY profiles profiles
COPY report report
COPY src src
RUN --mount=type=cache,target=/root/.cache/uv \
    if [ "${TORCH}" = cpu ]; then export UV_TORCH_BACKEND=cpu; fi; \
    /opt/uv/bin/uv pip install --quiet --python /opt/synthood/bin/python --constraint envs/constraints.txt ".[serve,lite]"

FROM ${PYTHON}
COPY --from=build /opt/synthood /opt/synthood
RUN useradd --uid 10001 --create-home --home-dir /work synthood
ENV PATH=/opt/synthood/bin:$PATH PYTHONUNBUFFERED=1 MPLCONFIGDIR=/tmp/matplotlib XDG_CACHE_HOME=/tmp/cache
WORKDIR /work
USER 10001
EXPOSE 8000
ENTRYPOINT ["synthood"]
CMD ["--help"]
