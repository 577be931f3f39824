#!/bin/sh
# Installs what Footnote needs into /app/.venv while the image is built: install_libraries.sh UV TORCH EXTRAS
set -eu
uv=$1 torch=$2 extras=$3

# A build of torch that lies in a folder of packages (PIP_FIND_LINKS) is taken from there, as `make setup` does.
set -- --torch-backend "$torch"
for folder in ${PIP_FIND_LINKS:-}; do
    for wheel in "$folder"/torch-*.whl; do
        if [ -e "$wheel" ]; then set --; fi
    done
done

"$uv" pip install --quiet --python /app/.venv "$@" --requirements requirements.lock
if [ -n "$extras" ]; then
    for extra in $(echo "$extras" | tr , ' '); do set -- "$@" --extra "$extra"; done
    "$uv" pip install --quiet --python /app/.venv --constraints requirements.lock "$@" --requirements pyproject.toml
fi

# What is only for compiling against the libraries, or for their own tests.
cd /app/.venv/lib/python3.*/site-packages
find torch/bin -type f ! -name torch_shm_manager -delete
rm -rf torch/include torch/test torch/share openvino/include
# In a read-only file system nothing can be compiled later. Some libraries bring templates that are no Python.
/app/.venv/bin/python -m compileall -q -j 0 . >/dev/null || true
