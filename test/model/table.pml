/*
 * The protocol of a shared table, for every interleaving: a process with two
 * threads (three with THREE), on CPUs 0, 1 and 3, forks while the others load and
 * store; the child, on CPU 2, and all threads then read, write and let go, in
 * whatever order. (With THREE the child only reads.)
 *
 * One table with one entry stands for a leaf table, the edge to it for the root
 * entry (RISC-V: a sealed edge is not valid). Each line that touches something
 * shared is a step of its own, but where the code has a lock or an atomic
 * instruction. The TLB and the walk cache of each CPU fetch what they like, when
 * they like, and forget nothing but in a flush.
 *
 * Properties, as assertions:
 *   - a load finds what its process stored last, or had at the fork (isolation,
 *     no lost update, no stale translation);
 *   - no CPU walks through a freed table, or reaches a freed page;
 *   - at the end every count is 0.
 * And Spin's own: nobody waits for ever.
 *
 * Each of the following leaves a step out, and must make it fail:
 *   NO_FORK_FLUSH NO_SEAL NO_COUNT NO_COPY_FLUSH DROP_EARLY NAIVE_COPY KEEP_SEALED_MARK
 */
#define TABLES 4
#define PAGES 6
#define CPUS 4
#define POISON 99

byte trefs[TABLES], tpage[TABLES];
bit tsealed[TABLES], twrite[TABLES], tlocked[TABLES];
byte prefs[PAGES], content[PAGES];
byte next_table = 1, next_page = 1;

byte edge[2];
bit valid[2], vmlocked[2];
byte value[2];      /* what the process must read */
bit forked;
byte threads;
byte users[2] = 0;  /* threads that have not let go */

bit wvalid[CPUS], tvalid[CPUS], tlbw[CPUS];
byte wtable[CPUS], tlbpage[CPUS];

inline lock(b) { atomic { b == 0 -> b = 1 } }

inline flush(c) { d_step { wvalid[c] = 0; tvalid[c] = 0; wtable[c] = 0; tlbpage[c] = 0; tlbw[c] = 0 } }
inline flush_all(p) {
    if
    :: p == 0 -> flush(0); flush(1); if :: threads == 3 -> flush(3) :: else fi
    :: else -> flush(2)
    fi
}

inline page_drop(g) {
    d_step { prefs[g] = prefs[g] - 1; if :: prefs[g] == 0 -> content[g] = POISON :: else fi }
}
inline table_drop(t) {
    d_step { trefs[t] = trefs[t] - 1; last = (trefs[t] == 0) }
    if :: last -> page_drop(tpage[t]) :: else fi
}

/* Seals the entry; the lock is held. */
inline seal(t) {
#ifndef NO_SEAL
    twrite[t] = 0;
#endif
    tsealed[t] = 1
}

/* ---- the hardware ---- */

inline fetch(c, p) {
    if
    :: wvalid[c] -> skip
    :: valid[p] -> atomic { if :: valid[p] -> wtable[c] = edge[p]; wvalid[c] = 1 :: else fi }
    :: !wvalid[c] && !valid[p] -> skip
    fi;
    atomic {
        if
        :: wvalid[c] -> assert(trefs[wtable[c]] > 0);
                        tlbpage[c] = tpage[wtable[c]]; tlbw[c] = twrite[wtable[c]]; tvalid[c] = 1
        :: else
        fi
    }
}

/* ---- faults ---- */

inline read_fault(c, p) {
    lock(vmlocked[p]);
    if
    :: valid[p] -> skip
    :: else ->
        if
        :: trefs[edge[p]] > 1 -> lock(tlocked[edge[p]]); seal(edge[p]); tlocked[edge[p]] = 0
        :: else
        fi;
        valid[p] = 1
    fi;
    flush(c);
    vmlocked[p] = 0
}

inline copy_table(p) {
    d_step { n = next_table; next_table++; trefs[n] = 1 }
    lock(tlocked[t]);
    seal(t);
#ifndef NO_COUNT
    d_step { prefs[tpage[t]] = prefs[tpage[t]] + 1 }
#endif
    tpage[n] = tpage[t];
    tlocked[t] = 0;
    d_step { edge[p] = n; valid[p] = 1 }
    old = t; t = n;
#ifdef DROP_EARLY
    table_drop(old)
#endif
}

inline copy_page(p) {
    d_step { n = next_page; next_page++; prefs[n] = 1; content[n] = content[g] }
#ifdef NAIVE_COPY
    d_step { tpage[t] = n; twrite[t] = 1 }
#else
    d_step { tpage[t] = n; twrite[t] = 0 }
#endif
#ifndef NO_COPY_FLUSH
    flush_all(p);
#endif
    twrite[t] = 1;
    page_drop(g)
}

inline write_fault(c, p) {
    lock(vmlocked[p]);
    old = 0; none = 1; t = edge[p];
    if
    :: valid[p] && twrite[t] && !tsealed[t] -> flush(c) /* another thread was first */
    :: else ->
        if
        :: trefs[t] > 1 -> none = 0; copy_table(p)
        :: else ->
            valid[p] = 1;
#ifndef KEEP_SEALED_MARK
            tsealed[t] = 0
#endif
        fi;
        g = tpage[t];
        if
        :: prefs[g] > 1 -> copy_page(p)
        :: else -> twrite[t] = 1; if :: !none -> flush_all(p) :: else -> flush(c) fi
        fi;
#ifndef DROP_EARLY
        if :: !none -> table_drop(old) :: else fi
#endif
    fi;
    vmlocked[p] = 0
}

/* ---- what programs do ---- */

inline load(c, p) {
    done = 0;
    do
    :: done -> break
    :: else ->
        if :: !tvalid[c] -> fetch(c, p) :: fetch(c, p) :: else fi;
        atomic {
            if
            :: tvalid[c] -> assert(prefs[tlbpage[c]] > 0); assert(content[tlbpage[c]] == value[p]); done = 1
            :: else
            fi
        }
        if :: !done -> read_fault(c, p) :: else fi
    od
}

inline store(c, p, v) {
    done = 0;
    do
    :: done -> break
    :: else ->
        if :: !(tvalid[c] && tlbw[c]) -> fetch(c, p) :: fetch(c, p) :: else fi;
        atomic {
            if
            :: tvalid[c] && tlbw[c] ->
                assert(prefs[tlbpage[c]] > 0); content[tlbpage[c]] = v; value[p] = v; done = 1
            :: else
            fi
        }
        if :: !done -> write_fault(c, p) :: else fi
    od
}

inline fork() {
    lock(vmlocked[0]);
    d_step { trefs[edge[0]] = trefs[edge[0]] + 1 }
    if :: !tsealed[edge[0]] -> valid[0] = 0 :: else fi;
    d_step { edge[1] = edge[0]; valid[1] = valid[0] }
#ifdef NO_FORK_FLUSH
    value[1] = value[0];
#else
    flush(0);
    if :: threads == 3 -> flush(3) :: else fi;
    d_step { wvalid[1] = 0; tvalid[1] = 0; wtable[1] = 0; tlbpage[1] = 0; tlbw[1] = 0; value[1] = value[0] }
#endif
    vmlocked[0] = 0;
    forked = 1
}

inline let_go(c, p) {
    flush(c);
    atomic { users[p] = users[p] - 1; done = (users[p] == 0) }
    if :: done -> valid[p] = 0; table_drop(edge[p]) :: else fi
}

inline act(c, p, v) {
    if
    :: load(c, p)
    :: store(c, p, v)
    fi
}

proctype parent() {
    byte t, n, g, old; bit done, none, last;
    fork();
#ifndef THREE
    act(0, 0, 1);
#endif
    act(0, 0, 2);
    let_go(0, 0)
}

proctype thread(byte c) {
    byte t, n, g, old; bit done, none, last;
    act(c, 0, c + 3);
#ifndef THREE
    act(c, 0, c + 6);
#endif
    let_go(c, 0)
}

proctype child() {
    byte t, n, g, old; bit done, none, last;
    forked;
#ifdef THREE
    if :: load(2, 1) :: skip fi;
#else
    act(2, 1, 20);
    act(2, 1, 21);
#endif
    let_go(2, 1)
}

/* A table as it is before any fork; or sealed, as one is whose sharer has gone. */
init {
    atomic {
        trefs[0] = 1; prefs[0] = 1; valid[0] = 1; users[1] = 1;
        if :: twrite[0] = 1 :: tsealed[0] = 1 fi;
#ifdef THREE
        threads = 3; run thread(3);
#else
        threads = 2;
#endif
        users[0] = threads;
        run parent(); run thread(1); run child()
    }
    (_nr_pr == 1);
    assert(trefs[0] == 0 && trefs[1] == 0 && trefs[2] == 0 && trefs[3] == 0);
    assert(prefs[0] == 0 && prefs[1] == 0 && prefs[2] == 0 && prefs[3] == 0 && prefs[4] == 0 && prefs[5] == 0)
}
