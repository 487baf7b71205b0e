#!/bin/sh
# One run on a CUDA machine in 14 minutes: kernels, rounds against f4032c4, suite, tests, training.
#
#   tests/gpu/run.sh OUT [OLD [DATA]]
#   DRY_RUN=1 tests/gpu/run.sh OUT [OLD]      each step at its smallest on a CPU, to try this script
#
# OUT: folder for what is found; with the same OUT the training continues.
# OLD: an unpacked archive of f4032c4, made on a machine with git:
#   mkdir OLD && git archive f4032c4 | tar x -C OLD
# DATA: folder with cifar-10-batches-py; without it nothing is trained.
# SECONDS_IN_ALL (840) bounds the whole; USER_ID (65534) runs the tests again where root starts this.
# ONLY="kernels suite" runs these steps alone.
# Needs an environment with zobench[bench] installed from this checkout.  Each step's failure is
# written to OUT/status and does not stop the next one.
set -u
[ $# -ge 1 ] || { sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 2; }
out=$1 old=${2:-} data=${3:-}
mkdir -p "$out"
out=$(cd "$out" && pwd)
[ -z "$old" ] || old=$(cd "$old" && pwd) || exit 2
[ -z "$data" ] || data=$(cd "$data" && pwd) || exit 2
cd "$(dirname "$0")/../.." || exit 2
: > "$out/status"
end=$(($(date +%s) + ${SECONDS_IN_ALL:-840}))
device=cuda scale=default tiny= rounds= backend=inductor paths="tests/zo_core/kernels tests/devices"
paths="$paths tests/zo_core/test_precision.py tests/zo_core/test_graphed_steps.py"
paths="$paths tests/zo_core/test_forward_mode.py tests/bench/test_precision_records.py"
if [ -n "${DRY_RUN:-}" ]; then
    export TRITON_INTERPRET=1
    device=cpu scale=smoke tiny=--tiny backend=eager rounds="--model cnn --items 8 --repeats 1"
    paths=tests/zo_core/test_graphed_steps.py
fi

step() { # name, limit in seconds, command: its output goes to OUT/name.txt
    name=$1 limit=$2
    shift 2
    case " ${ONLY:-$name} " in *" $name "*) ;; *) return ;; esac
    left=$((end - $(date +%s)))
    [ "$left" -gt 10 ] || { echo "$name skipped: no time left" | tee -a "$out/status"; return; }
    [ "$limit" -lt "$left" ] || limit=$left
    timeout "$limit" "$@" > "$out/$name.txt" 2> "$out/$name.err"
    echo "$name $?" | tee -a "$out/status"
}

nvidia-smi > "$out/nvidia-smi.txt" 2>&1
# word splitting of $tiny, $rounds and $paths is meant
# shellcheck disable=SC2086
step kernels 90 python tests/gpu/kernels.py --device "$device" $tiny
times="python tests/gpu/round_times.py --device $device $rounds"
if [ -n "$old" ]; then
    step rounds-f4032c4 90 env PYTHONPATH="$old" $times --precision inherited
fi
for precision in tf32 fp16; do
    step "rounds-$precision" 90 $times --precision "$precision" --compiled "$backend"
done
step rounds-fp32 60 $times --precision fp32
groups=
[ -z "${DRY_RUN:-}" ] || groups="--only bytes,memory --model cnn"
step suite 240 python -m bench run --device "$device" --scale "$scale" $groups --out "$out/suite"
step tests 150 python -m pytest -q -p no:cacheprovider $paths
if [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then
    user=${USER_ID:-65534} home=$(mktemp -d)
    chown "$user" "$home"
    as_user="setpriv --reuid $user --regid $user --clear-groups env HOME=$home TMPDIR=$home"
    if $as_user python -c "import torch" 2> "$out/tests-user.err"; then
        step tests-user 100 $as_user python -m pytest -q -p no:cacheprovider $paths
    else
        echo "tests-user skipped: user $user cannot run this python" | tee -a "$out/status"
    fi
    rm -rf "$home"
fi
left=$((end - $(date +%s) - 20)) # it stops after a round, and saves
if [ -n "${DRY_RUN:-}" ]; then
    step training 60 python tests/gpu/training.py "$out" --device cpu --tiny --precision fp32
elif [ -n "$data" ] && [ "$left" -gt 60 ]; then
    step training "$((left + 20))" python tests/gpu/training.py "$out" --device "$device" \
        --data-dir "$data" --precision tf32 --seconds "$((left - 20))"
fi
[ -z "${DRY_RUN:-}" ] || echo "dry run: the bars of times below mean nothing"
python tests/gpu/summary.py "$out" | tee "$out/summary.txt"
