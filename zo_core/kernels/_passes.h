/* Passes over all tensors of a model: tiles are cut, staged where strided, and dealt to threads. */
#ifndef ZO_PASSES_H
#define ZO_PASSES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "_arithmetic.h"

/* The fastest for this processor, once the module is loaded. */
static Arithmetic arithmetic = PORTABLE;

enum { MAX_DIMS = 64, MAX_THREADS = 256 };

/* With fewer tile-directions a thread costs more than it saves: 20 us against 0.2 us each. */
static const int64_t WORK_PER_THREAD = 256;
/* A thread takes a helping at a time: so many for each at least, so many tiles at most. */
static const int64_t HELPINGS = 16, MAX_HELPING = 64;

typedef struct {
    char *data; /* the first element */
    int64_t count, start;
    uint32_t tensor;
    int ndim;
    const intptr_t *shape, *strides; /* NULL strides: contiguous */
    int64_t first_block;             /* of all blocks of all spans, set by number_blocks */
} Span;

typedef struct {
    uint64_t seed;
    float scale;
} Term;

typedef struct Pass Pass;
struct Pass {
    const Span *spans;
    int64_t num_spans;
    void (*on_tile)(const Pass *, const Span *, float *w, int from, int to, int64_t block,
                    Stats *);
    int write;             /* 0: work on copies, for the statistics alone */
    int64_t num_terms;     /* perturb, or back to where a replay starts */
    const Term *terms;
    int64_t directions;    /* replay */
    const uint64_t *seeds;
    const uint32_t *a;
    const int32_t *exponents; /* by tensor; NULL for plain mode */
    int64_t f;
    float factor; /* 2^(f + 30), for plain mode */
    Stats *stats; /* one a span, for replay */
    pthread_mutex_t lock;
    int64_t blocks, helping; /* of all spans; taken by a thread at a time */
    _Atomic int64_t next;    /* first block that nobody has taken */
};

INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

INLINE int64_t blocks_of(const Span *span) {
    return (span->start + span->count + BLOCK - 1) / BLOCK - span->start / BLOCK;
}

/* Give each span its place in the row of all blocks; return the row's length. */
static int64_t number_blocks(Span *spans, int64_t num_spans) {
    int64_t total = 0;
    for (int64_t p = 0; p < num_spans; p++) {
        spans[p].first_block = total;
        total += blocks_of(&spans[p]);
    }
    return total;
}

/* Copy n row-major elements of a strided span, from `first` on, to the buffer or back. */
static void stage(const Span *span, int64_t first, int n, float *buffer, int back) {
    intptr_t at[MAX_DIMS];
    const int last = span->ndim - 1;
    char *p = span->data;
    for (int d = last; d >= 0; d--) {
        at[d] = (intptr_t)(first % span->shape[d]);
        first /= span->shape[d];
        p += at[d] * span->strides[d];
    }
    for (int i = 0; i < n; i++) {
        memcpy(back ? (void *)p : (void *)(buffer + i), back ? (void *)(buffer + i) : (void *)p,
               sizeof(float));
        p += span->strides[last];
        at[last]++;
        for (int d = last; d > 0 && at[d] == span->shape[d]; d--) {
            at[d] = 0;
            at[d - 1]++;
            p += span->strides[d - 1] - span->shape[d] * span->strides[d];
        }
    }
}

/* One tile: blocks [block, block + LANES) of the span's tensor, cut to the span and to `end`. */
static void do_tile(const Pass *pass, const Span *span, int64_t block, int64_t end,
                    Stats *stats) {
    const int64_t origin = block * BLOCK;
    const int64_t from = max64(origin, span->start);
    const int64_t to = min64(min64(origin + TILE, end * BLOCK), span->start + span->count);
    const int64_t offset = from - span->start;
    const int n = (int)(to - from);
    float copy[TILE];
    float *w = (float *)span->data + offset;
    if (span->strides) {
        stage(span, offset, n, copy, 0);
    } else if (!pass->write) {
        memcpy(copy, w, (size_t)n * sizeof *copy);
    }
    if (span->strides || !pass->write) w = copy;
    pass->on_tile(pass, span, w, (int)(from - origin), (int)(to - origin), block, stats);
    if (span->strides && pass->write) stage(span, offset, n, copy, 1);
}

/* The last span that begins at or before a block; a span without elements has no block. */
static int64_t piece_at(const Pass *pass, int64_t block) {
    int64_t low = 0, high = pass->num_spans - 1;
    while (low < high) {
        const int64_t middle = (low + high + 1) / 2;
        if (pass->spans[middle].first_block <= block) low = middle;
        else high = middle - 1;
    }
    return low;
}

/* Blocks [first, last) of the row of all blocks, which may span many spans. */
static void do_blocks(Pass *pass, int64_t first, int64_t last) {
    for (int64_t p = piece_at(pass, first);
         p < pass->num_spans && pass->spans[p].first_block < last; p++) {
        const Span *span = &pass->spans[p];
        const int64_t shift = span->start / BLOCK - span->first_block;
        const int64_t from = max64(first, span->first_block) + shift;
        const int64_t to = min64(last, span->first_block + blocks_of(span)) + shift;
        Stats stats = {0, 0};
        for (int64_t b = from; b < to; b += LANES) do_tile(pass, span, b, to, &stats);
        if (from < to && pass->stats) { /* threads may share a span */
            pthread_mutex_lock(&pass->lock);
            pass->stats[p].max_abs_k = max64(pass->stats[p].max_abs_k, stats.max_abs_k);
            pass->stats[p].zero_increments += stats.zero_increments;
            pthread_mutex_unlock(&pass->lock);
        }
    }
}

/* GOMP_parallel of the OpenMP runtime that is in the process already, or NULL. */
static void (*run_team)(void (*)(void *), void *, unsigned, unsigned) = NULL;

static void *take_helpings(void *argument) {
    Pass *pass = argument;
    for (;;) {
        const int64_t first = atomic_fetch_add(&pass->next, pass->helping);
        if (first >= pass->blocks) return NULL;
        do_blocks(pass, first, min64(first + pass->helping, pass->blocks));
    }
}

static void as_team_member(void *pass) { take_helpings(pass); }

/* Work through all blocks by at most `threads` threads, the caller's among them.
 *
 * After a forward torch's OpenMP workers still spin on their cores for some milliseconds: a thread
 * of ours would fight them for the core, so where that runtime is known they do the work.  Threads
 * take blocks as they come, since they do not run alike.
 */
static void run_pass(Pass *pass, int64_t blocks, int64_t threads) {
    const int64_t work = blocks / LANES * max64(pass->num_terms + pass->directions, 1);
    const int64_t n = max64(1, min64(min64(threads, MAX_THREADS), work / WORK_PER_THREAD));
    const int64_t tiles = max64(1, min64(MAX_HELPING, blocks / LANES / (HELPINGS * n)));
    pthread_t ids[MAX_THREADS];
    int64_t started = 0;
    pass->blocks = blocks;
    pass->helping = n == 1 ? max64(blocks, 1) : tiles * LANES;
    atomic_init(&pass->next, 0);
    pthread_mutex_init(&pass->lock, NULL);
    if (n > 1 && run_team) {
        run_team(as_team_member, pass, (unsigned)n, 0);
    } else {
        while (started < n - 1 && pthread_create(&ids[started], NULL, take_helpings, pass) == 0)
            started++;
        take_helpings(pass);
    }
    for (int64_t t = 0; t < started; t++) pthread_join(ids[t], NULL);
    pthread_mutex_destroy(&pass->lock);
}

static void add_terms(const Pass *pass, const Span *span, float *w, int from, int to,
                      int64_t block, int fetch) {
    for (int64_t j = 0; j < pass->num_terms; j++)
        arithmetic.perturb_tile(w, from, to, pass->terms[j].seed, span->tensor, (uint64_t)block,
                                pass->terms[j].scale, fetch && j == 0);
}

static void perturb_on_tile(const Pass *pass, const Span *span, float *w, int from, int to,
                            int64_t block, Stats *stats) {
    (void)stats;
    add_terms(pass, span, w, from, to, block, 1);
}

/* Describe a replay on the grid as a step along few directions, unless it is none. */
static int is_step(const Pass *pass, uint32_t tensor, Step *step) {
    if (pass->directions > FEW || !pass->exponents || pass->num_terms > 1) return 0;
    const int e = pass->exponents[tensor];
    const int64_t h = e - pass->f;
    const int nothing = h >= 32; /* every increment is below half a quantum */
    if (h < 1 || h == 31 || e < -126 || e > 126) return 0;
    *step = (Step){.n = nothing ? 0 : (int)pass->directions, .seeds = pass->seeds, .a = pass->a,
                   .e = e, .h = nothing ? 1 : (int)h};
    if (pass->num_terms) {
        step->back_seed = pass->terms[0].seed;
        step->back = pass->terms[0].scale;
    }
    return 1;
}

static void replay_on_tile(const Pass *pass, const Span *span, float *w, int from, int to,
                           int64_t block, Stats *stats) {
    uint32_t sums[TILE];
    const uint32_t *t = sums + from;
    uint32_t total = 0;
    const int n = to - from;
    Step step;
    if (is_step(pass, span->tensor, &step)) {
        arithmetic.step_tile(w, from, to, &step, span->tensor, (uint64_t)block, stats);
        return;
    }
    add_terms(pass, span, w, from, to, block, 0);
    for (int64_t j = 0; j < pass->directions; j++) total += pass->a[j];
    arithmetic.sum_tile(sums, from / 32, (to + 31) / 32, pass->seeds, pass->a, pass->directions,
                        span->tensor, (uint64_t)block);
    if (!pass->exponents) {
        zo_apply_plain(w, t, total, n, pass->factor, stats);
        return;
    }
    const int e = pass->exponents[span->tensor];
    int64_t h = e - pass->f;
    if (h >= 32) { /* every increment is below half a quantum */
        memset(sums, 0, sizeof sums);
        total = 0;
        h = 1;
    }
    if (h >= 1 && h <= 30 && e >= -126 && e <= 126) {
        zo_apply_grid(w, t, total, n, e, (int)h, stats);
    } else {
        zo_apply_grid_wide(w, t, total, n, e, (int)max64(h, -32), stats);
    }
}

#endif
