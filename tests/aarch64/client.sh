#!/bin/sh
# Two rounds of the client without torch on 64-bit ARM, emulated by qemu-user, against this machine.
# Exit 0: one digest; 1: another; 77: skipped, for the reason printed.
#
# usage: client.sh EXPORTED_FOLDER [WORK_FOLDER]
# The work folder keeps the Debian root and the wheels for the next time (about 500 MB).
set -eu
exported=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
work=${2:-$(mktemp -d)}
python=${PYTHON:-python3}
# The newest onnxruntime that old emulators run: 1.32's ARM build crashes in qemu 7.2 on import.
onnxruntime=${ONNXRUNTIME:-1.23.2}
for tool in debootstrap qemu-aarch64-static dpkg-deb; do
    if ! command -v "$tool" >/dev/null; then
        echo "skipped: no $tool (Debian: apt-get install debootstrap qemu-user-static)"
        exit 77
    fi
done
if [ "$(id -u)" != 0 ]; then
    echo "skipped: debootstrap needs root"
    exit 77
fi
mkdir -p "$work/wheels" "$work/site"
if [ ! -e "$work/root/usr/bin/python3.11" ]; then
    mirror=${DEBIAN_MIRROR:-}
    debootstrap --arch=arm64 --foreign --variant=minbase --include=python3 bookworm \
        "$work/root" $mirror >"$work/debootstrap.log" 2>&1 || {
        echo "skipped: debootstrap failed, see $work/debootstrap.log (DEBIAN_MIRROR=URL chooses)"
        exit 77
    }
    for package in "$work"/root/var/cache/apt/archives/*.deb; do
        dpkg-deb -x "$package" "$work/root"
    done
fi
if [ ! -d "$work/site/onnxruntime" ]; then
    "$python" -m pip download -q --no-deps --only-binary=:all: --python-version 3.11 \
        --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
        --platform manylinux2014_aarch64 -d "$work/wheels" numpy "onnxruntime==$onnxruntime"
    for wheel in "$work"/wheels/*.whl; do
        "$python" -m zipfile -e "$wheel" "$work/site"
    done
fi
sources=$(cd "$here/../.." && pwd)
ours=$(PYTHONPATH="$sources" "$python" "$here/client.py" "$exported")
scalars=$(echo "$ours" | "$python" -c 'import json, sys; print(json.load(sys.stdin)["scalars"])')
theirs=$(qemu-aarch64-static -cpu cortex-a72 -L "$work/root" -E PYTHONPATH="$sources:$work/site" \
    "$work/root/usr/bin/python3.11" "$here/client.py" "$exported" "$scalars")
echo "$ours"
echo "$theirs"
digest() { echo "$1" | "$python" -c 'import json, sys; print(json.load(sys.stdin)["digest"])'; }
[ "$(digest "$ours")" = "$(digest "$theirs")" ] && echo "one digest on both machines"
