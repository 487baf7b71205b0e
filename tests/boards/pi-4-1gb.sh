#!/bin/sh
# A client's whole round in the memory of a Raspberry Pi 4 with 1 GiB, enforced by the kernel, on one core.
# Exit 0: all as predicted; 1: not; 77: no memory limit can be enforced here.
#
# usage: pi-4-1gb.sh [IMAGES] [EXPORTED]    as pi-zero-2.sh, with torch's steps of a larger batch
# CPU_PERCENT=25 gives it a quarter of a core: bits and memory stay, and the time shows the throttling.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec sh "$here/round.sh" pi-4-1gb "$@"
