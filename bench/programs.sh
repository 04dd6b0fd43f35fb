#!/bin/sh
# Whole programs of BusyBox, each timed from its start to its end: programs.sh N, with N commands in the first.
n=${1:-500}

if [ "$2" = commands ]; then
    i=0
    while [ $i -lt "$n" ]; do
        /bin/true
        i=$((i + 1))
    done
elif [ "$2" = subshells ]; then
    i=0
    while [ $i -lt $((n * 4)) ]; do
        (:)
        i=$((i + 1))
    done
elif [ "$2" = pipelines ]; then
    i=0
    while [ $i -lt $((n / 5)) ]; do
        echo $i | sed s/1/2/ | wc -c
        i=$((i + 1))
    done
else
    numbers=/bench.numbers
    seq 1 $((n * 100)) >$numbers
    for what in commands subshells pipelines; do
        /bench/timed $what sh "$0" "$n" $what
    done
    /bench/timed sort sort -rn $numbers
    /bench/timed awk awk '{ s += $1 * 3 % 7 } END { print s }' $numbers
    /bench/timed gzip gzip -c $numbers
fi
