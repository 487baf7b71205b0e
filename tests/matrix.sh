#!/usr/bin/env bash
# Run `make test` on other Pythons, users, numbers of workers and folders; one line per row.
#
# usage: tests/matrix.sh [ROW...]     default: all rows; KEEP=DIR keeps the logs there
#
# Tests the last commit. A row that cannot run here prints why. Exit code 1: a row failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
ALL="py3.10 py3.11 py3.12 py3.13 py3.14 archive no-results user container workers-1 workers-16
no-home readonly tmpdir"
PYTHON="${PYTHON:-python3}"
work="$(mktemp -d)"
logs="${KEEP:-$work/logs}"
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # another user reads it
mkdir -p "$logs"
logs="$(cd "$logs" && pwd)"
failed=0
lists=(--expected-skips tests/expected_skips/bench.txt)

line() { printf '%-11s %-34s %5s  %s\n' "$1" "$2" "$3" "$4"; }

# row NAME COMMAND...: run, and print pytest's last line.
row() {
    local name="$1" begun=$SECONDS result remark=""
    shift
    if "$@" >"$logs/$name.log" 2>&1; then :; else remark="FAILED: see $logs/$name.log" failed=1; fi
    result="$(grep -Eo '[0-9]+ (passed|failed|skipped|errors?)' "$logs/$name.log" | tail -n 4 |
        paste -sd, | sed 's/,/, /g')"
    line "$name" "${result:-no result}" "$((SECONDS - begun)) s" "$remark"
    if [ -n "$remark" ]; then
        grep -E '^(FAILED|ERROR)|error:|^tests/.*: ' "$logs/$name.log" | head -n 30
        [ -n "${KEEP:-}" ] || tail -n 20 "$logs/$name.log"
    fi
}
skip() { line "$1" "skipped" "" "$2"; }

find_python() { # VERSION: print an interpreter of it, and succeed
    local version="$1" candidate
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python \
        "$(uv python find "$version" 2>/dev/null || true)"; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c "import sys; exit(sys.version_info[:2] != (${version/./, }))" \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    uv python install -q "$version" 2>/dev/null && uv python find "$version"
}

copy() { # NAME: clone the last commit
    [ -d "$work/$1" ] || git clone -q . "$work/$1"
}
shared() { # a clone and its environment, for the rows that need no other
    copy shared
    [ -e "$work/venv/.installed" ] || make -s -C "$work/shared" PYTHON="$PYTHON" VENV="$work/venv" \
        "$work/venv/.installed" >"$logs/install.log" 2>&1 || {
        tail -n 20 "$logs/install.log"
        exit 1
    }
}
tests() { # WORKERS [BEFORE...]: the tests in the shared clone, behind a command such as env
    local workers="$1"
    shift
    cd "$work/shared" && "$@" "$work/venv/bin/python" -m pytest -q -n "$workers" \
        -m "not slow and not nightly" "${lists[@]}"
}
made() { # FOLDER PYTHON [LIST...]: make test, with an environment of its own
    local folder="$1" python="$2"
    shift 2
    cd "$work/$folder" && make test PYTHON="$python" VENV="$work/$folder-venv" \
        TEST_OPTIONS="-q ${lists[*]} $*"
    local code=$?
    rm -rf "$work/$folder-venv"
    return $code
}
pick() { # NAME CODE...: run functions in a subshell, so that cd stays there
    local name="$1"
    shift
    in_subshell() { ("$@"); }
    row "$name" in_subshell "$@"
}

on_python() { # VERSION
    local python
    if python="$(find_python "$1")"; then
        copy "py$1"
        pick "py$1" made "py$1" "$python"
    else
        skip "py$1" "no Python $1 here, and uv cannot install one"
    fi
}
from_archive() { # NAME: the source without .git, or without .git and results/
    mkdir -p "$work/$1"
    git archive HEAD | tar -x -C "$work/$1"
    [ "$1" = archive ] || rm -r "$work/$1/results"
    pick "$1" made "$1" "$PYTHON" --expected-skips tests/expected_skips/archive.txt
}
may_use() { # COMMAND...: whether nobody can run the environment's interpreter
    setpriv --reuid=65534 --regid=65534 --clear-groups "$1" -c "import ctypes" 2>/dev/null
}
as_user() {
    [ "$(id -u)" = 0 ] || { skip user "these rows run as an ordinary user"; return; }
    local python
    for python in "$PYTHON" /usr/bin/python3; do
        if may_use "$python" && "$python" -c "import sys, venv; exit(sys.version_info < (3, 10))"; then
            copy user
            mkdir -p "$work/user-home"
            make -s -C "$work/user" PYTHON="$python" VENV="$work/user-venv" \
                "$work/user-venv/.installed" >"$logs/user-install.log" 2>&1
            chown -R 65534:65534 "$work/user" "$work/user-home"
            pick user of_user
            return
        fi
    done
    skip user "no Python 3.10 or newer that an ordinary user can run"
}
of_user() {
    cd "$work/user" && HOME="$work/user-home" setpriv --reuid=65534 --regid=65534 --clear-groups \
        "$work/user-venv/bin/python" -m pytest -q -n 2 -m "not slow and not nightly" "${lists[@]}"
}
in_container() { # root with the rights that a container has by default
    [ "$(id -u)" = 0 ] || { skip container "needs root"; return; }
    shared
    pick container tests 2 setpriv --inh-caps=-all --bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+net_bind_service,+sys_chroot,+mknod,+setfcap
}
read_only() {
    [ "$(id -u)" = 0 ] || { skip readonly "needs root, for a read-only mount"; return; }
    shared
    pick readonly tests 2 unshare --mount sh -c \
        'mount --bind . . && mount -o remount,bind,ro . && cd "$PWD" && ! touch x 2>/dev/null && exec "$@"' sh
}

for name in ${*:-$ALL}; do
    case "$name" in
    py3.*) on_python "${name#py}" ;;
    archive | no-results) from_archive "$name" ;;
    user) as_user ;;
    container) in_container ;;
    workers-1) shared && pick "$name" tests 0 env ;; # pytest alone, without pytest-xdist's workers
    workers-*) shared && pick "$name" tests "${name#workers-}" env ;;
    no-home) shared && pick "$name" tests 2 env -u HOME ;;
    readonly) read_only ;;
    tmpdir) shared && mkdir -p "$work/another folder" &&
        pick "$name" tests 2 env TMPDIR="$work/another folder" ;;
    *) echo "unknown row $name; one of: $ALL" && exit 2 ;;
    esac
done
exit $failed
