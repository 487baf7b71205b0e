#!/bin/sh
# A client's whole round in the memory of a Raspberry Pi Zero 2 W, enforced by the kernel, on one core.
# Exit 0: all as predicted; 1: not; 77: no memory limit can be enforced here.
#
# usage: pi-zero-2.sh [IMAGES] [EXPORTED]
#   IMAGES    of a client's 900; default 100
#   EXPORTED  folder of `zobench export --model resnet18 --out EXPORTED`, made where torch is: then only
#             the client without torch runs, with no other install than zobench[edge], as on the board
# Afterwards tests/aarch64/client.sh compares the bits with 64-bit ARM's, emulated.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
one_core=$(command -v taskset >/dev/null && echo "taskset -c 0" || true)
PYTHONPATH="$here/../..:$here" exec $one_core "$python" "$here/pi_zero_2.py" "${1:-100}" ${2:+"$2"}
