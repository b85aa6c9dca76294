#!/bin/sh
# install_packages.sh ENVIRONMENT LOCK: what LOCK pins, into the virtual environment ENVIRONMENT, which is made where it
# is not there. INSTALL_FLAGS say where packages come from. Packages that it holds already in that version stay.
# A lock with hashes is taken only whole: every package has to have one, and to be the file that it is of.
# Bytecode is made now: a run's root file system is read-only. The installer itself goes to /tmp, out of the image.
set -eu
environment=$1
lock=$2
hashes=""
if grep -q -- '--hash=' "$lock"; then hashes=--require-hashes; fi
python3 -m venv /tmp/installer
# shellcheck disable=SC2086  # flags, one word each
/tmp/installer/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-cache-dir \
    --require-hashes ${INSTALL_FLAGS} -r "$(dirname "$0")/installer.lock"
test -x "$environment/bin/python" || python3 -m venv --without-pip "$environment"
# shellcheck disable=SC2086
/tmp/installer/bin/uv pip install --python "$environment/bin/python" --no-deps --no-cache --compile-bytecode \
    $hashes ${INSTALL_FLAGS} -r "$lock"
