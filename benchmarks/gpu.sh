#!/bin/sh
# Measures tfnst on a GPU, in less than ten minutes after the installation.
#
#     sh benchmarks/gpu.sh [RESULTS]
#
# Run it from the repository's root, on Linux with NVIDIA's driver. It makes the virtual
# environment .venv-gpu, with a TensorFlow that brings CUDA, and writes what it prints to
# the file RESULTS, gpu.txt by default. PYTHON, STEP_SIZES, SIZE and BATCH_SIZE change
# what it runs; on a machine without a GPU, small sizes try it out.
set -eu
results=${1:-gpu.txt}
tensorflow=${TENSORFLOW:-tensorflow[and-cuda]}
python=${PYTHON:-.venv-gpu/bin/python}
images=examples/images

if [ -z "${PYTHON:-}" ]; then
    python3 -m venv .venv-gpu
    "$python" -m pip install -e . "$tensorflow"
fi

measure() {
    nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv || true
    "$python" -m tfnst info
    echo "== a step =="
    "$python" benchmarks/step_time.py --sizes "${STEP_SIZES:-512,1024,2048}" --steps 20 \
        --profile
    echo "== pictures of ${SIZE:-512} pixels =="
    "$python" -m benchmarks.time_to_quality --size "${SIZE:-512}" \
        --pairs cat_ink_hatching,cat_stained_glass,rocket_swirls \
        --recipe before --recipe default --recipe fast --out "$folder/pictures"
    echo "== a batch of 9 =="
    began=$(date +%s)
    "$python" -m tfnst batch $images/photo_*.jpg -s $images/style_mosaic.jpg \
        -s $images/style_swirls.jpg -s $images/style_pencil.jpg \
        -o "$folder/batch" --size "${BATCH_SIZE:-512}"
    echo "$(($(date +%s) - began)) s"
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
measure 2>&1 | tee "$results"
