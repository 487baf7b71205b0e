#!/bin/sh
# Audit public implementations and write the table of docs/audit.md.
#
#   sh examples/audits/run.sh [NAME...]
#
# Needs zobench with the extra "bench" in the current Python. Installs the pinned packages and
# clones the pinned commits into a temporary folder. PIP_FLAGS and MIRROR change where from.
set -eu
cd "$(dirname "$0")"
PYTHON=${PYTHON:-python3}
MIRROR=${MIRROR:-https://github.com}
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT

"$PYTHON" -m pip install -q --no-deps --target "$FOLDER/packages" ${PIP_FLAGS:-} \
    mezo==0.0.1 torcheggroll==0.2.0 eggroll-es==0.2.0 ZoSolvers==0.1.5 ZOTitan==0.1.0 \
    torchzero==0.4.4

clone() { # owner/name commit folder
    git clone -q --no-checkout "$MIRROR/$1" "$FOLDER/${1#*/}"
    git -C "$FOLDER/${1#*/}" checkout -q "$2" -- "$3"
}
clone ZidongLiu/DeComFL 0c426e65b5f3132edc3e3191bc7f1eaa89d0fc3e cezo_fl
clone OPTML-Group/ZO-Muon 166a8f33d88d54906dad13702a38f31910b5da26 vit
export DECOMFL="$FOLDER/DeComFL" ZO_MUON="$FOLDER/ZO-Muon"
export PYTHONPATH="$FOLDER/packages:$PWD${PYTHONPATH:+:$PYTHONPATH}"

mkdir -p outcomes
[ $# -gt 0 ] || set -- $("$PYTHON" table.py --names)
for name in "$@"; do
    echo "$name"
    "$PYTHON" -m bench audit "$name" --json >outcomes/"${name#*:}".json || [ $? -eq 1 ]
done
"$PYTHON" table.py ../../docs/audit.md
