#!/bin/sh
# Check a CUDA machine: kernels, rounds against an older checkout, suite, tests, and training.
#
#   tests/gpu/run.sh measure OUT [OLD]     8 minutes at most
#   tests/gpu/run.sh train OUT DATA        5 minutes at most; the same OUT continues
#
# See README.md in this folder. Each step has its own time limit; a step that fails or runs out of
# time is written to OUT/status-PART and does not stop the next one.
#
#   SECONDS_IN_ALL=480     limit of the whole call
#   ONLY="kernels suite"   run these steps only
#   WHEELS=DIR             wheels of packages that the machine does not have
#   PACK=FILE.tar.gz       pack OUT, without checkpoints, after each step
#   USER_ID=65534          the user that runs the tests a second time, if root starts this
#   DRY_RUN=1              each step at its smallest on a CPU, to try this script
set -u
usage() { sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 2; }
[ $# -ge 2 ] || usage
part=$1 out=$2 third=${3:-}
case $part$third in measure*) seconds=480 ;; train?*) seconds=300 ;; *) usage ;; esac
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
[ -z "$third" ] || third=$(cd "$third" && pwd) || exit 2
cd "$(dirname "$0")/../.." || exit 2
repository=$(pwd)
end=$(($(date +%s) + ${SECONDS_IN_ALL:-$seconds}))
status=$out/status-$part
: > "$status"
export PYTHONUNBUFFERED=1

device=cuda scale=default tiny='' rounds='' backend=inductor groups='' users_paths=tests/devices
precision=fp16 trained="--data-dir $third --no-verify" splits=10/90,50/50,30/70
all_paths=tests workers=12
paths="tests/zo_core/kernels tests/zo_core/test_precision.py tests/zo_core/test_graphed_steps.py
    tests/zo_core/test_forward_mode.py tests/devices tests/bench/test_precision_records.py
    tests/bench/test_cuda_records.py"
if [ -n "${DRY_RUN:-}" ]; then
    export TRITON_INTERPRET=1
    device=cpu scale=smoke tiny=--tiny backend=eager groups="--only bytes,memory --model cnn"
    rounds="--model cnn --items 4 --clients 2 --repeats 1"
    paths="tests/devices/test_nvml.py tests/zo_core/test_precision.py" users_paths=$paths
    all_paths=$paths workers=2
    precision=fp32 trained="--dataset digits --model cnn --workers 1" splits=10/90
fi

imports="import jinja2, jsonschema, matplotlib, psutil, pytest, pytest_benchmark, rich, safetensors, scipy,\
 sklearn, torch, torchinfo, xdist; from zo_core.compat import torchvision; torchvision.import_torchvision()"

say() { echo "$*" | tee -a "$status"; }

pack() {
    [ -n "${PACK:-}" ] || return 0
    tar czf "$PACK.part" -C "$out" --exclude=checkpoints . && mv "$PACK.part" "$PACK"
}

left() { echo $((end - $(date +%s))); }

asked() { case " ${ONLY:-$1} " in *" $1 "*) ;; *) return 1 ;; esac; }

step() { # NAME LIMIT COMMAND...: at most LIMIT seconds; output goes to OUT/NAME.txt and .err
    name=$1 limit=$2
    shift 2
    asked "$name" || return
    [ "$(left)" -gt 10 ] || { say "$name: skipped, no time left"; return; }
    [ "$limit" -lt "$(left)" ] || limit=$(left)
    started=$(date +%s)
    timeout -k 15 "$limit" "$@" > "$out/$name.txt" 2> "$out/$name.err"
    say "$name: exit code $?, $(($(date +%s) - started)) of $limit s"
    grep '^{' "$out/$name.txt"
    pack
}

install() { # the checkout first on the path, its C kernels built, missing packages beside them
    if [ -n "${WHEELS:-}" ]; then
        timeout 60 python3 -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$out/../site" \
            "$WHEELS"/*.whl > "$out/install.txt" 2>&1 || say "wheels: exit code $?, see install.txt"
    fi
    others="$out/../site${PYTHONPATH:+:$PYTHONPATH}"
    export PYTHONPATH="$repository:$others"
    python3 -c "import zo_core.kernels._cpu" 2> /dev/null ||
        timeout 90 python3 setup.py -q build_ext --inplace > "$out/build.txt" 2>&1
    python3 -c "import zo_core.kernels._cpu" 2>> "$out/build.txt" || say "C kernels: exit code 1, see build.txt"
    python3 -c "$imports" 2> "$out/imports.txt" || say "imports: exit code $?, see imports.txt"
    registered="import importlib.metadata as m; m.version('zobench')"
    plugin=''
    python3 -c "$registered" 2> /dev/null || plugin='-p bench.plugin'
    pytest="python3 -m pytest -p no:cacheprovider $plugin -v -n $workers"
}

tests_of_user() {
    user=${USER_ID:-65534} copy=$(mktemp -d)
    cp -r bench devices docs examples results tests zo_core ./*.md ./*.toml ./*.py "$copy"
    mkdir "$copy/home"
    chmod -R a+rX "$copy"
    chown "$user" "$copy/home"
    as_user="setpriv --reuid $user --regid $user --clear-groups env HOME=$copy/home
        TMPDIR=$copy/home PYTHONPATH=$copy:$others"
    if (cd "$copy" && $as_user python3 -c "import torch") 2> "$out/tests-user.err"; then
        step tests-user 90 sh -c "cd $copy && exec $(echo $as_user) $pytest $users_paths"
    else
        say "tests-user: skipped, user $user cannot run this Python, see tests-user.err"
    fi
    rm -rf "$copy"
}

measure() {
    old=$third
    step kernels 90 python3 tests/gpu/kernels.py --device "$device" $tiny
    times="python3 tests/gpu/round_times.py --device $device $rounds"
    if [ -n "$old" ]; then
        step rounds-f4032c4 80 env PYTHONPATH="$old:$others" $times --precision inherited
    fi
    for precision in fp16 tf32; do
        step "rounds-$precision" 80 $times --precision "$precision" --compiled "$backend"
    done
    step suite 240 python3 -m bench run --device "$device" --scale "$scale" $groups \
        --out "$out/suite"
    step tests 100 $pytest $paths
    if asked tests-user && [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then
        tests_of_user
    fi
    step rounds-fp32 60 $times --precision fp32
    step kernel-variants 90 python3 tests/gpu/kernels.py --device "$device" --variants $tiny
    step all-tests 300 $pytest -m "not nightly" $all_paths
}

train() {
    recipe="--scale paper --device $device --precision ${PRECISION:-$precision} $trained"
    recipe="$recipe --rows zowarmup,high-res-only --out $out/paper"
    searching=$(($(left) * ${SEARCH_PERCENT:-50} / 100))
    [ "$searching" -le 0 ] ||
        step search $((searching + 60)) python3 -m bench run --only search --splits 10/90 $recipe \
        --minutes "$(minutes "$searching")"
    training=$(($(left) - 40)) # the round that runs is finished, saved and written down
    if [ "$training" -gt 20 ]; then
        step table2 "$(left)" python3 -m bench run --only table2 --splits "$splits" \
            --seeds 1 $recipe --minutes "$(minutes "$training")"
    else
        say "table2: skipped, no time left"
    fi
}

minutes() { python3 -c "print($1 / 60)"; }

# word splitting of the variables with several words is meant
# shellcheck disable=SC2086,SC2116
{
    install
    timeout 20 nvidia-smi > "$out/nvidia-smi.txt" 2>&1
    "$part"
}
[ -z "${DRY_RUN:-}" ] || echo "dry run: the limits of times below mean nothing"
python3 tests/gpu/summary.py "$out" | tee "$out/summary.txt"
pack
