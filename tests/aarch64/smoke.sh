#!/bin/sh
# Run `pytest --benchmark --scale smoke` in an emulated 64-bit ARM system, and hold its records
# against an x86-64 run's: equal digests and bytes, no time, no process memory.
# usage (as root): smoke.sh ROOT OUT REFERENCE [OPTIONS]
#   ROOT       the ARM system's folder, made if it is not there
#   OUT        where the ARM run's records, plots and report go
#   REFERENCE  records of a smoke run of the same sources here: pytest --benchmark --scale smoke
#   OPTIONS    of pytest, for a part of the suite: "--only bytes,engine -k restore"
# Needs Debian's debootstrap and qemu-user-static, a network, about 4 GB and an hour or more.
set -eu
[ $# -ge 3 ] || { echo "usage: $0 ROOT OUT REFERENCE [GROUPS]" >&2; exit 2; }
root=$1 out=$2 reference=$3 options=${4:-}
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
for tool in debootstrap qemu-aarch64-static; do
    command -v "$tool" >/dev/null || {
        echo "no $tool (Debian: apt-get install debootstrap qemu-user-static)" >&2
        exit 3
    }
done
binfmt=/proc/sys/fs/binfmt_misc
[ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt
if [ ! -e $binfmt/qemu-aarch64 ]; then # magic and mask of a 64-bit ARM ELF; F: opened here, for the chroot
    magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    printf '%s' ":qemu-aarch64:M::$magic:$mask:$(command -v qemu-aarch64-static):F" >$binfmt/register
fi
if [ ! -e "$root/usr/bin/python3" ]; then
    debootstrap --arch=arm64 --variant=minbase \
        --include=python3,python3-venv,python3-dev,gcc,git,libc6-dev,libgomp1,ca-certificates \
        bookworm "$root"
fi
mkdir -p "$root/proc" "$out"
rm -rf "$root/zobench" "$root/results"
git clone -q "$source" "$root/zobench" # committed sources alone, so that the records are clean
mount -t proc proc "$root/proc"
trap 'umount "$root/proc"' EXIT
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt" # a proxy's among them
# The newest onnxruntime that qemu 7.2 runs: 1.32's ARM build crashes in it on import.
echo "onnxruntime==1.23.2" >"$root/constraints.txt"
within() { # a command line in the ARM system; torch 2.10 needs ARMv8.2, a Cortex-A72 stops at its import
    env -i PATH=/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root QEMU_CPU=neoverse-n1 \
        OMP_NUM_THREADS=1 PIP_CONSTRAINT=/constraints.txt \
        chroot "$root" sh -euc "cd /zobench; $1"
}
if [ ! -e "$root/venv/.unpacked" ]; then # resolved over there, unpacked here, which is much faster
    within 'python3 -m venv /venv; pip download -q -d /wheels "setuptools>=77" wheel ".[bench]"'
    for wheel in "$root"/wheels/*.whl; do
        python3 -m zipfile -e "$wheel" "$root/venv/lib/python3.11/site-packages"
    done
    touch "$root/venv/.unpacked"
fi
within 'pip install -q --no-deps --no-build-isolation --no-compile -e .'
within "python3 -m pytest --benchmark --scale smoke --out /results $options"
within 'python3 -m bench check /results'
cp -r "$root/results/." "$out/"
python3 "$here/same_bits.py" "$out" "$reference"
