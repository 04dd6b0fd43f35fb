#!/bin/sh
# Asks Linux's tools/mm/page-types about the memory of the machine and of one process; prints TAP.
# page-types reads /proc/kpageflags, /proc/kpagecount and /proc/PID/pagemap.
n=0
t=/suite/page-types

check() { # NAME CONDITION...
    n=$((n + 1))
    name=$1
    shift
    if "$@"; then
        echo "ok $n $name"
    else
        echo "not ok $n $name"
        echo "# $*"
    fi
}

# Pages of process $1 that have all of flags $2, as the summary's total; -: page-types failed.
pages() {
    out=$($t -p "$1" ${2:+-b "$2"} 2>/tmp/pages.err) || { echo -; return; }
    echo "$out" | awk '$1 == "total" { print $2; exit }'
}

# What $1 of /proc/PID/smaps adds up to, in pages; $2: the process.
smaps() {
    awk -v f="$1:" '$1 == f { sum += $2 } END { print int(sum / 4) }' "/proc/$2/smaps"
}

near() { # A B SLACK: numbers that differ by no more
    [ "$1" -ge $(($2 - $3)) ] 2>/dev/null && [ "$1" -le $(($2 + $3)) ] 2>/dev/null
}

more() { # A B
    [ "$1" -gt "$2" ] 2>/dev/null
}

echo "1..13"
# 4 MiB of the shell's own, and another process.
x=0123456789abcdef
while [ ${#x} -lt 4194304 ]; do x=$x$x; done
sleep 1000 &
other=$!
me=$$

$t -r >/tmp/pages.raw 2>/tmp/pages.err
check "the whole machine, raw" [ $? = 0 ]
total=$(awk '$1 == "total" { print $2; exit }' /tmp/pages.raw)
ram=$(awk '$1 == "MemTotal:" { print int($2 / 4) }' /proc/meminfo)
check "as many pages as there is memory" more "${total:-0}" "$ram"
check "few more than that" more $((ram * 2)) "${total:-999999999}"
free=$(awk '$1 == "MemFree:" { print int($2 / 4) }' /proc/meminfo)
check "anonymous pages somewhere" grep -q anonymous /tmp/pages.raw
buddy=$($t -b buddy 2>/dev/null | awk '$1 == "total" { print $2; exit }')
check "pages of the free lists, about as many as are free" near "${buddy:--}" "$free" $((free / 20))

all=$(pages $me)
check "this process" near "${all:--}" "$(smaps Rss $me)" 64
anonymous=$(pages $me anon)
check "its anonymous pages" near "${anonymous:--}" "$(smaps Anonymous $me)" 64
check "which are more than its string has" more "${anonymous:-0}" 1024
mapped=$(pages $me mmap)
check "all of its pages are mapped" near "${mapped:--}" "$all" 8
check "another process has less" more "$all" "$(pages $other)"
check "and has some" more "$(pages $other)" 4

# With each page's count of mappings: -L -M prints offset, count and flags of each.
$t -p $me -L -M -N >/tmp/pages.list 2>/tmp/pages.err
check "a list with counts" [ $? = 0 ]
check "one line for each page" near "$(grep -c '^[0-9a-f]' /tmp/pages.list)" "$all" 64
kill $other
