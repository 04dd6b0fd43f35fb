#!/bin/sh
# Whole programs of BusyBox, by the guest's clock (which counts instructions): programs.sh N, N commands in the first.
n=${1:-500}

# Nanoseconds since boot: hundredths of a second are all that /proc tells.
clock() {
    read up rest </proc/uptime
    echo $(( ${up%.*} * 100 + 1${up#*.} - 100 ))
}

measure() {
    name=$1
    shift
    before=$(clock)
    "$@" >/dev/null
    after=$(clock)
    echo "@ program.$name 0 $(( (after - before) * 10000000 ))"
}

commands() {
    i=0
    while [ $i -lt "$n" ]; do
        /bin/true
        i=$((i + 1))
    done
}

subshells() {
    i=0
    while [ $i -lt $((n * 4)) ]; do
        (:)
        i=$((i + 1))
    done
}

pipelines() {
    i=0
    while [ $i -lt $((n / 5)) ]; do
        echo $i | sed s/1/2/ | wc -c
        i=$((i + 1))
    done
}

seq 1 $((n * 100)) >/bench.numbers
measure commands commands
measure subshells subshells
measure pipelines pipelines
measure sort sort -rn /bench.numbers
measure awk awk '{ s += $1 * 3 % 7 } END { print s }' /bench.numbers
measure gzip gzip -c /bench.numbers
