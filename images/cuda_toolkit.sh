#!/bin/sh
# cuda_toolkit.sh ENVIRONMENT: ENVIRONMENT/cuda is the CUDA toolkit that the packages of ENVIRONMENT brought, if they did.
# Kernels are compiled with it while a run goes on (FlashInfer). In packages it lacks the names that a linker looks for.
set -eu
for compiler in "$1"/lib/python3*/site-packages/nvidia/cu*/bin/nvcc; do
    test -x "$compiler" || continue
    toolkit=${compiler%/bin/nvcc}
    ln -sfn lib "$toolkit/lib64"
    for library in "$toolkit"/lib/lib*.so.*; do
        ln -sfn "${library##*/}" "${library%.so.*}.so"
    done
    ln -sfn "$toolkit" "$1/cuda"
done
