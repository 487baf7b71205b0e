#!/bin/sh
# usage: round.sh BOARD [IMAGES] [EXPORTED]    see pi-zero-2.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/slow_cpu.sh"
python=${PYTHON:-python3}
one_core=$(command -v taskset >/dev/null && echo "taskset -c 0" || true)
slow_cpu
# The installed packages come first: a clone has the C kernels only after `pip install -e`.
source=$(cd / && "$python" -c "import bench, zo_core" 2>/dev/null || echo "$here/../..")
PYTHONPATH="$here${source:+:$source}" $one_core "$python" "$here/board_round.py" "$1" "${2:-100}" ${3:+"$3"}
