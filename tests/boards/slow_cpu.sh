# Source this: slow_cpu gives this shell, and what it starts, a share of one core, enforced by the kernel.
# CPU_PERCENT of a core, e.g. 25; unset: nothing is done. It says where that cannot be enforced.
slow_cpu() {
    [ -n "${CPU_PERCENT:-}" ] || return 0
    quota=$((CPU_PERCENT * 1000)) # of each 100 ms, in microseconds
    if [ -e /sys/fs/cgroup/cpu/cpu.shares ]; then
        slow=/sys/fs/cgroup/cpu/zobench-slow-$$
        leaf=$slow
        setting=cpu.cfs_quota_us
    else # version 2: the shell in a leaf, so that memory groups can be made next to it
        slow=/sys/fs/cgroup/zobench-slow-$$
        leaf=$slow/run
        setting=cpu.max
    fi
    if _slow_cpu_join 2>/dev/null; then
        trap slow_cpu_end EXIT
        echo "$CPU_PERCENT % of one core, by $slow"
    else
        rmdir "$leaf" "$slow" 2>/dev/null || true
        echo "not slowed down: no control group for the processor can be made here (run as root)"
    fi
}

_slow_cpu_join() {
    mkdir "$slow" && echo "$quota" >"$slow/$setting" || return 1
    if [ "$leaf" != "$slow" ]; then
        echo +memory >"$slow/cgroup.subtree_control" && mkdir "$leaf" || return 1
    fi
    echo $$ >"$leaf/cgroup.procs"
}

slow_cpu_end() { # says how often the kernel stopped the processes, and removes the group
    grep nr_throttled "$slow/cpu.stat" || true
    echo $$ >"$(dirname "$slow")/cgroup.procs" || true
    rmdir "$leaf" || true
    [ "$leaf" = "$slow" ] || rmdir "$slow" || true
}
