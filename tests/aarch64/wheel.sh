#!/bin/sh
# Cross-build the wheel for 64-bit ARM Linux, C kernels included. Prints its path.
# Exit 0: built; 1: failed; 77: skipped, for the reason printed.
#
# usage: wheel.sh OUT
# PYTHON (python3) needs pip and must be 3.11 or later: one wheel then serves 3.11 and later. The wheel is for
# this compiler's C library; the release workflow builds the portable ones (manylinux, musllinux).
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
compiler=${CC_AARCH64:-aarch64-linux-gnu-gcc}
if ! command -v "$compiler" >/dev/null; then
    echo "skipped: no $compiler (Debian: apt-get install gcc-aarch64-linux-gnu)"
    exit 77
fi
source=$(mktemp -d) # a copy: build/ of the checkout has this machine's objects
trap 'rm -rf "$source"' EXIT
(cd "$here/../.." && tar -cf - pyproject.toml setup.py README.md LICENSE zo_core devices bench) |
    tar -xf - -C "$source" --exclude=__pycache__ --exclude='*.so'
CC="$compiler" LDSHARED="$compiler -shared" _PYTHON_HOST_PLATFORM=linux-aarch64 \
    "$python" -m pip wheel -q --no-deps -w "$out" "$source" >&2
wheel=$(ls -t "$out"/zobench-*-linux_aarch64.whl | head -n 1)
"$python" -m zipfile -l "$wheel" | grep -q 'kernels/_cpu\..*\.so' || {
    echo "$wheel has no C kernels" >&2
    exit 1
}
echo "$wheel"
