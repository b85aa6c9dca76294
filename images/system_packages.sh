#!/bin/sh
# What an engine needs of the system beside Python: a compiler and Python's headers, because TorchInductor and Triton
# compile kernels while they run, and libnuma, by which vLLM binds its threads. Installs what the base lacks.
set -eu
wanted=""
command -v g++ > /dev/null || wanted="$wanted g++"
ldconfig -p | grep -q 'libnuma\.so\.1' || wanted="$wanted libnuma1"
python3 -c 'import pathlib, sysconfig; exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' \
    || wanted="$wanted python3-dev"
test -n "$wanted" || exit 0
apt-get update
# shellcheck disable=SC2086  # names of packages, one word each
apt-get install --yes --no-install-recommends $wanted
rm -rf /var/lib/apt/lists/*
