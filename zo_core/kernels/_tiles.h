/* The arithmetic of the CPU kernels, on one tile: zo-stream/1's signs, zo-grid/1's rules 7 and 8.
 *
 * A tile is up to LANES neighbouring blocks of one tensor.  All loops are plain C over 32 elements
 * or LANES counters, which compilers turn into SSE2, AVX2, AVX-512 or NEON; the bits are those of
 * zo_core/kernels/numpy_ref.py on each of them.  Compile with -ffp-contract=off.
 */
#ifndef ZO_TILES_H
#define ZO_TILES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

enum {
    BLOCK = 128,           /* elements had from one Philox call */
    LANES = 16,            /* Philox calls made side by side */
    TILE = LANES * BLOCK,  /* elements; 8 KiB of weights stay in the first cache */
    GROUP = 8,             /* directions added to a sum while it stays in registers */
    FEW = 4                /* directions of a step whose sums are never stored */
};

/* One binary for all x86-64: the C library picks the best copy of a function when it is loaded. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && !defined(__clang__) && \
    !defined(ZO_ONE_TARGET)
#if __GNUC__ >= 12
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#elif __GNUC__ >= 8
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#endif
#ifndef CLONES
#define CLONES
#endif
#define INLINE static inline __attribute__((always_inline))

typedef uint32_t Signs[4][LANES]; /* [word of the block][block of the tile] */

/* Ask for what a pass will need soon: drawing signs is long enough that the memory would idle. */
INLINE void fetch_ahead(const float *w) {
    __builtin_prefetch(w + TILE, 1);
    __builtin_prefetch(w + TILE + 16, 1);
}

/* What a replay did; the same meaning as numpy_ref.ReplayStats. */
typedef struct {
    int64_t max_abs_k;
    int64_t zero_increments;
} Stats;

static const int64_t OFF_GRID = (int64_t)1 << 62; /* max_abs_k where a weight is no k * 2^e */

#define B4(i) 1u << (i), 1u << (i + 1), 1u << (i + 2), 1u << (i + 3)
static const uint32_t BIT[32] = {B4(0),  B4(4),  B4(8),  B4(12),
                                 B4(16), B4(20), B4(24), B4(28)};
#undef B4

/* Philox4x32-10 of LANES neighbouring blocks: the sign bits of one tile. */
INLINE void draw_signs(uint64_t seed, uint32_t tensor, uint64_t block, Signs out) {
    for (int lane = 0; lane < LANES; lane++) {
        const uint64_t counter = block + (uint64_t)lane;
        uint32_t x0 = (uint32_t)counter, x1 = (uint32_t)(counter >> 32), x2 = tensor, x3 = 0;
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#pragma GCC unroll 10
        for (int round = 0; round < 10; round++) {
            const uint64_t p0 = (uint64_t)x0 * 0xD2511F53u, p1 = (uint64_t)x2 * 0xCD9E8D57u;
            x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
            x1 = (uint32_t)p1;
            x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
            x3 = (uint32_t)p0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        out[0][lane] = x0;
        out[1][lane] = x1;
        out[2][lane] = x2;
        out[3][lane] = x3;
    }
}

/* All ones where bit i of the word is set; the form that every compiler vectorises. */
INLINE uint32_t mask_of(uint32_t word, int i) { return -(uint32_t)((word & BIT[i]) != 0); }

INLINE void add_signed(float *w, uint32_t word, int i, uint32_t scale_bits) {
    const uint32_t bits = scale_bits ^ (mask_of(word, i) & 0x80000000u);
    float term;
    memcpy(&term, &bits, sizeof term);
    *w += term;
}

/* w += scale * z on elements [from, to) of the tile; w points to element `from`. */
CLONES void zo_perturb_tile(float *w, int from, int to, uint64_t seed, uint32_t tensor,
                            uint64_t block, float scale, int fetch) {
    Signs signs;
    uint32_t scale_bits;
    draw_signs(seed, tensor, block, signs);
    memcpy(&scale_bits, &scale, sizeof scale_bits);
    for (int v = from / 32; 32 * v < to; v++) {
        const uint32_t word = signs[v & 3][v >> 2];
        const int first = 32 * v - from; /* below 0 where the tile starts within a word */
        if (first >= 0 && 32 * v + 32 <= to) {
            float *p = w + first;
            if (fetch) fetch_ahead(p);
            for (int i = 0; i < 32; i++) add_signed(p + i, word, i, scale_bits);
        } else {
            const int head = first < 0 ? -first : 0, tail = to - from - first;
            for (int i = head; i < 32 && i < tail; i++)
                add_signed(w + (first + i), word, i, scale_bits);
        }
    }
}

/* t[i] += sum of a[j] over the directions whose bit i is set. */
INLINE void add_where_set(uint32_t *restrict t, Signs *restrict signs, const uint32_t *restrict a,
                          int v, int count) {
    for (int i = 0; i < 32; i++) {
        uint32_t sum = t[i];
#pragma GCC unroll 8
        for (int j = 0; j < count; j++) sum += mask_of(signs[j][v & 3][v >> 2], i) & a[j];
        t[i] = sum;
    }
}

/* t = sum of a_j where z_j = -1, on the 32-element words [from, to) of the tile.
 *
 * z = 1 - 2 bit, so s = sum a_j z_j = (sum a_j) - 2 t, which is left to who uses it.  The sums fit
 * int32 (rule 7); unsigned words let what is between wrap.
 */
CLONES void zo_sum_tile(uint32_t *t, int from, int to, const uint64_t *seeds, const uint32_t *a,
                        int64_t n, uint32_t tensor, uint64_t block) {
    Signs signs[GROUP];
    int64_t j = 0;
    memset(t + 32 * from, 0, (size_t)(to - from) * 32 * sizeof *t);
    for (; j + GROUP <= n; j += GROUP) {
        for (int g = 0; g < GROUP; g++) draw_signs(seeds[j + g], tensor, block, signs[g]);
        for (int v = from; v < to; v++) add_where_set(t + 32 * v, signs, a + j, v, GROUP);
    }
    for (; j < n; j++) {
        draw_signs(seeds[j], tensor, block, signs[0]);
        for (int v = from; v < to; v++) add_where_set(t + 32 * v, signs, a + j, v, 1);
    }
}

/* s of one element from its t. */
INLINE int32_t signed_sum(uint32_t total, uint32_t t) { return (int32_t)(total - 2 * t); }

/* rne(s * 2^-h) for 1 <= h <= 30; s + below_half + 1 still fits int32. */
INLINE int32_t shift_round(int32_t s, int h) {
    const int32_t below_half = ((int32_t)1 << (h - 1)) - 1;
    return (s + below_half + ((s >> h) & 1)) >> h; /* arithmetic shifts */
}

/* A tensor's quantum, and what is noted of the weights on the way. */
typedef struct {
    float per_quantum, quantum;
    uint32_t largest, off_grid;
} Grid;

/* The grid of an exponent whose powers fp32 holds. */
INLINE Grid grid_of(int e) { return (Grid){ldexpf(1.0f, -e), ldexpf(1.0f, e), 0, 0}; }

INLINE void move_on_grid(float *w, int32_t d, Grid *grid) {
    const float steps = rintf(*w * grid->per_quantum);
    const int on_grid = fabsf(steps) < 0x1p30f; /* false for a NaN as well */
    const int32_t moved = (int32_t)(on_grid ? steps : 0.0f) + d;
    const uint32_t size = (uint32_t)(moved < 0 ? -moved : moved);
    grid->largest = size > grid->largest ? size : grid->largest;
    grid->off_grid |= !on_grid;
    *w = (float)moved * grid->quantum;
}

INLINE void note(const Grid *grid, int64_t zero_increments, Stats *stats) {
    if (grid->largest > stats->max_abs_k) stats->max_abs_k = grid->largest;
    if (grid->off_grid) stats->max_abs_k = OFF_GRID;
    stats->zero_increments += zero_increments;
}

INLINE uint32_t apply_some(float *w, const uint32_t *t, uint32_t total, int n, int h,
                           Grid *grid) {
    uint32_t zeros = 0;
    for (int i = 0; i < n; i++) {
        const int32_t d = shift_round(signed_sum(total, t[i]), h);
        zeros += d == 0;
        move_on_grid(w + i, d, grid);
    }
    return zeros;
}

/* k' = k + rne(s * 2^-h) for 1 <= h <= 30 and an exponent whose powers fp32 holds. */
CLONES void zo_apply_grid(float *w, const uint32_t *t, uint32_t total, int n, int e, int h,
                          Stats *stats) {
    Grid grid = grid_of(e);
    uint32_t zeros = 0;
    int i = 0;
    for (; i + 32 <= n; i += 32) {
        fetch_ahead(w + i);
        zeros += apply_some(w + i, t + i, total, 32, h, &grid);
    }
    zeros += apply_some(w + i, t + i, total, n - i, h, &grid);
    note(&grid, zeros, stats);
}

/* A step on the grid along few directions: w += back * z(back_seed), then k' = k + rne(s * 2^-h). */
typedef struct {
    uint64_t back_seed;
    float back;
    int n; /* 0 to FEW */
    const uint64_t *seeds;
    const uint32_t *a;
    int e, h; /* as zo_apply_grid takes them */
} Step;

/* Elements [from, to) of a word; words[n] has the signs of the way back. */
INLINE uint32_t step_some(float *p, int from, int to, const Step *step, const uint32_t *words,
                          Grid *grid) {
    uint32_t t[32] = {0}, total = 0, zeros = 0, back_bits;
    memcpy(&back_bits, &step->back, sizeof back_bits);
    for (int j = 0; j < step->n; j++) {
        total += step->a[j];
        for (int i = 0; i < 32; i++) t[i] += mask_of(words[j], i) & step->a[j];
    }
    for (int i = from; i < to; i++) {
        const int32_t d = shift_round(signed_sum(total, t[i]), step->h);
        zeros += d == 0;
        add_signed(p + i, words[step->n], i, back_bits);
        move_on_grid(p + i, d, grid);
    }
    return zeros;
}

CLONES void zo_step_tile(float *w, int from, int to, const Step *step, uint32_t tensor,
                         uint64_t block, Stats *stats) {
    Signs signs[FEW + 1];
    Grid grid = grid_of(step->e);
    int64_t zeros = 0;
    for (int j = 0; j < step->n; j++) draw_signs(step->seeds[j], tensor, block, signs[j]);
    draw_signs(step->back_seed, tensor, block, signs[step->n]);
    for (int v = from / 32; 32 * v < to; v++) {
        float *p = w + (32 * v - from);
        uint32_t words[FEW + 1];
        for (int j = 0; j <= step->n; j++) words[j] = signs[j][v & 3][v >> 2];
        const int first = 32 * v < from ? from - 32 * v : 0, last = to - 32 * v;
        if (first == 0 && last >= 32) {
            fetch_ahead(p);
            zeros += step_some(p, 0, 32, step, words, &grid);
        } else {
            zeros += step_some(p, first, last < 32 ? last : 32, step, words, &grid);
        }
    }
    note(&grid, zeros, stats);
}

/* The same for h <= 0 or an outlandish exponent: a step that big has left the grid, or nearly. */
static inline void zo_apply_grid_wide(float *w, const uint32_t *t, uint32_t total, int n, int e,
                                      int h, Stats *stats) {
    const int left = h > -32 ? -h : 32;
    for (int i = 0; i < n; i++) {
        const double steps = rint(ldexp((double)w[i], -e));
        const int on_grid = fabs(steps) < 0x1p30;
        const int32_t s = signed_sum(total, t[i]);
        const int64_t floor = left < 0 ? s >> h : 0;
        const int64_t rest = left < 0 ? s & (((int64_t)1 << h) - 1) : 0;
        const int64_t d = left >= 0 ? (int64_t)s * ((int64_t)1 << left)
                                    : floor + ((rest + (1 << (h - 1)) - 1 + (floor & 1)) >> h);
        const int64_t moved = (int64_t)(on_grid ? steps : 0.0) + d;
        const int64_t size = on_grid ? (moved < 0 ? -moved : moved) : OFF_GRID;
        if (size > stats->max_abs_k) stats->max_abs_k = size;
        stats->zero_increments += d == 0;
        w[i] = (float)ldexp((double)moved, e);
    }
}

/* Plain mode: w + fl(s) * 2^f, the factor in two steps that fp32 holds. */
CLONES void zo_apply_plain(float *w, const uint32_t *t, uint32_t total, int n, float factor,
                           Stats *stats) {
    uint32_t zeros = 0;
    for (int i = 0; i < n; i++) {
        const int32_t s = signed_sum(total, t[i]);
        w[i] += (float)s * 0x1p-30f * factor;
        zeros += s == 0;
    }
    stats->zero_increments += zeros;
}

#endif
