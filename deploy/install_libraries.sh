#!/bin/sh
# Installs what Footnote needs into /app/.venv while the image is built: install_libraries.sh UV TORCH
# The locks and extras.txt lie beside it.
set -eu
uv=$1 torch=$2

# A build of torch that lies in a folder of packages (PIP_FIND_LINKS) is taken from there, as `make setup` does.
set -- --torch-backend "$torch"
for folder in ${PIP_FIND_LINKS:-}; do
    for wheel in "$folder"/torch-*.whl; do
        if [ -e "$wheel" ]; then set --; fi
    done
done

"$uv" pip install --quiet --python /app/.venv "$@" --constraints requirements-extras.lock \
    --requirements requirements.lock --requirements extras.txt

# What nobody needs here: what is for compiling against the libraries, their own tests, and what only a distributed
# Chroma server imports.
cd /app/.venv/lib/python3.*/site-packages
find torch/bin -type f ! -name torch_shm_manager -delete
rm -rf torch/include torch/test torch/share openvino/include kubernetes
find scipy sklearn sympy networkx numpy nltk -type d -name tests -prune -exec rm -r {} +
# In a read-only file system nothing can be compiled later. Of some hundred model families one is used.
/app/.venv/bin/python -m compileall -q -j 0 -x 'transformers/models/[^/]+/' . >/dev/null || true
