#!/bin/sh
# Run `pytest --benchmark --scale smoke` in an emulated 64-bit ARM system, and check its records.
# usage (as root): smoke.sh ROOT OUT    ROOT: the ARM system's folder, made if it is not there
# Needs Debian's debootstrap and qemu-user-static, a network, about 3 GB and half an hour or more.
# Right for bytes, digests and counts; the records say so and have neither time nor memory.
set -eu
[ $# -eq 2 ] || { echo "usage: $0 ROOT OUT" >&2; exit 2; }
root=$1 out=$2
source=$(cd "$(dirname "$0")/../.." && pwd)
for tool in debootstrap qemu-aarch64-static; do
    command -v "$tool" >/dev/null || { echo "no $tool (Debian: apt-get install debootstrap qemu-user-static)" >&2; exit 3; }
done
binfmt=/proc/sys/fs/binfmt_misc
[ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt
if [ ! -e $binfmt/qemu-aarch64 ]; then # magic and mask of a 64-bit ARM ELF; F: opened here, for the chroot
    magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    printf '%s' ":qemu-aarch64:M::$magic:$mask:$(command -v qemu-aarch64-static):F" >$binfmt/register
fi
if [ ! -e "$root/usr/bin/python3" ]; then
    debootstrap --arch=arm64 --include=python3,python3-venv,python3-dev,gcc,libc6-dev,libgomp1 bookworm "$root"
fi
mkdir -p "$root/zobench" "$root/proc" "$out"
(cd "$source" && tar cf - --exclude=.venv --exclude='*.so' .) | tar xf - -C "$root/zobench"
mount -t proc proc "$root/proc"
trap 'umount "$root/proc"' EXIT
cp /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" sh -euc '
    cd /zobench
    [ -x /venv/bin/pytest ] || { python3 -m venv /venv && /venv/bin/pip install -q -e ".[bench]"; }
    /venv/bin/pytest --benchmark --scale smoke --out /results
    /venv/bin/zobench check /results'
cp -r "$root/results/." "$out/"
