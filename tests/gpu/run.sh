#!/bin/sh
# One run on a CUDA machine, about six minutes: kernels, rounds against f4032c4, tests, suite.
#
#   tests/gpu/run.sh OUT [OLD]
#
# OUT: folder for what is found.  OLD: an unpacked archive of f4032c4, made on a machine with git:
#   git archive f4032c4 | tar x -C OLD
# Needs an environment with zobench[bench] installed from this checkout.  Each step's failure is
# written to OUT/status and does not stop the next one.
set -u
out=$1
old=${2:-}
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")/../.." || exit 2

step() { # name, limit in seconds, command: its output goes to OUT/name.txt
    name=$1 limit=$2
    shift 2
    timeout "$limit" "$@" > "$out/$name.txt" 2> "$out/$name.err"
    echo "$name $?" | tee -a "$out/status"
}

nvidia-smi > "$out/nvidia-smi.txt" 2>&1
step kernels 90 python tests/gpu/kernels.py
for precision in fp32 tf32 fp16; do
    step "rounds-$precision" 60 python tests/gpu/round_times.py --precision "$precision"
done
if [ -n "$old" ]; then
    step rounds-f4032c4 60 env PYTHONPATH="$old" python tests/gpu/round_times.py --precision inherited
fi
step suite 240 python -m bench run --device cuda --scale default --out "$out/suite"
step tests 240 python -m pytest -q -x tests/zo_core/kernels tests/devices tests/zo_core/test_precision.py
