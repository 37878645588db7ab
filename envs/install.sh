#!/bin/sh
# Installs the project ("." or ".[test]") into .venv with the tested versions; by uv, or by pip where uv can't be had.
# Bytecode is compiled here: the workflow starts many short processes, and each would compile torch again.
set -eu
python=.venv/bin/python
$python -m pip install --quiet --disable-pip-version-check uv || echo "no uv; going on with pip, which is slower"
if [ -x .venv/bin/uv ]; then
  .venv/bin/uv pip install --quiet --compile-bytecode --python $python --constraint envs/constraints.txt --editable "$1"
else
  $python -m pip install --quiet --disable-pip-version-check --constraint envs/constraints.txt --editable "$1"
fi
$python -c "import torchvision" || {
  echo "torchvision does not fit this torch: install both from one index, as in envs/constraints.txt" >&2
  exit 1
}
