#!/bin/sh
# The wheel for 64-bit ARM, cross-built and emulated by qemu-user: its C kernels give the golden bits,
# and two rounds of the client without torch end at this machine's digest.
# Exit 0: equal; 1: different; 77: skipped, for the reason printed.
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
wheel=$(sh "$here/wheel.sh" "$work/dist") || { code=$?; echo "$wheel"; exit $code; }
rm -rf "$work/package"
"$python" -m zipfile -e "$wheel" "$work/package"
arm() { # a Python script on the emulated machine, with the wheel
    qemu-aarch64-static -cpu cortex-a72 -L "$work/root" -E PYTHONPATH="$work/package:$work/site" \
        "$work/root/usr/bin/python3.11" "$@"
}
arm "$here/../golden/check_installed.py"
field() { "$python" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
ours=$(PYTHONPATH="$here/../.." "$python" "$here/client.py" "$exported")
theirs=$(arm "$here/client.py" "$exported" "$(echo "$ours" | field scalars)")
echo "$ours"
echo "$theirs"
[ "$(echo "$ours" | field digest)" = "$(echo "$theirs" | field digest)" ]
echo "one digest on both machines"
