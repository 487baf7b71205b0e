#!/bin/sh
# A client's whole round in the memory of a Raspberry Pi Zero 2 W, enforced by the kernel, on one core.
# Exit 0: all as predicted; 1: not; 77: no memory limit can be enforced here.
#
# usage: pi-zero-2.sh [IMAGES] [EXPORTED]
#   IMAGES    of a client's 900; default 100
#   EXPORTED  folder of `zobench export --model resnet18 --out EXPORTED`, made where torch is: then only
#             the client without torch runs, with no other install than zobench[edge], as on the board
# CPU_PERCENT=25 gives it a quarter of a core: bits and memory stay, and the time shows the throttling.
# Afterwards tests/aarch64/client.sh compares the bits with 64-bit ARM's, emulated.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec sh "$here/round.sh" pi-zero-2 "$@"
