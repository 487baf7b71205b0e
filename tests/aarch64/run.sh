#!/bin/sh
# Build the C kernels for 64-bit ARM and run them under qemu-user against the golden vectors.
# Exit 0: equal; 1: different; 77: skipped, for the reason printed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
compiler=${CC_AARCH64:-aarch64-linux-gnu-gcc}
emulator=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || true)
if ! command -v "$compiler" >/dev/null; then
    echo "skipped: no $compiler (Debian: apt-get install gcc-aarch64-linux-gnu)"
    exit 77
fi
if [ -z "$emulator" ]; then
    echo "skipped: no qemu-aarch64 (Debian: apt-get install qemu-user-static)"
    exit 77
fi
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
"$compiler" -std=c11 -Wall -Wextra -Werror -Wno-unused-function -O3 -ffp-contract=off \
    -fno-math-errno -fno-trapping-math -static -pthread -I "$here/../../zo_core/kernels" \
    "$here/golden.c" -o "$build/golden" -lm
"$emulator" "$build/golden" "$here/../golden/kernels.txt"
