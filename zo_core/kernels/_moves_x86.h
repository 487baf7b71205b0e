/* The passes along one direction for x86-64 with AVX-512: those of _tiles.h, faster.
 *
 * A word of signs is a mask register as it is, and masked loads and stores serve parts of words.
 */
#ifndef ZO_MOVES_X86_H
#define ZO_MOVES_X86_H

#include "_sums_x86.h"

#ifdef ZO_SUMS_X86
/* The bits of word v whose elements lie in [from, to) of the tile. */
INLINE uint32_t live_bits(int v, int from, int to) {
    const int head = from - 32 * v, left = to - 32 * v;
    return (head > 0 ? UINT32_MAX << head : UINT32_MAX) &
           (left < 32 ? UINT32_MAX >> (32 - left) : UINT32_MAX);
}

INLINE FOR_AVX512 __m512 add_signed_avx512(__m512 w, __mmask16 signs, __m512 term) {
    return _mm512_mask_sub_ps(_mm512_add_ps(w, term), signs, w, term);
}

static FOR_AVX512 void perturb_tile_avx512(float *w, int from, int to, uint64_t seed,
                                           uint32_t tensor, uint64_t block, float scale,
                                           int fetch) {
    __m512i words[4];
    const __m512 term = _mm512_set1_ps(scale);
    draw_avx512(seed, tensor, block, words);
    for (int v = from / 32; 32 * v < to; v++) {
        const uint32_t signs = ((const uint32_t *)&words[v & 3])[v >> 2];
        const uint32_t live = live_bits(v, from, to);
        float *p = w + (32 * v - from);
        if (fetch) fetch_ahead(p);
#pragma GCC unroll 2
        for (int half = 0; half < 32; half += 16) {
            const __mmask16 here = (__mmask16)(live >> half);
            const __m512 old = _mm512_maskz_loadu_ps(here, p + half);
            _mm512_mask_storeu_ps(p + half, here,
                                  add_signed_avx512(old, (__mmask16)(signs >> half), term));
        }
    }
}

/* As Grid, of 16 lanes. */
typedef struct {
    __m512 per_quantum, quantum;
    __m512i largest;
    __mmask16 off_grid;
} Grid16;

INLINE FOR_AVX512 __m512 move_avx512(__m512 w, __mmask16 here, __m512i d, Grid16 *grid) {
    const __m512 steps = _mm512_mul_ps(w, grid->per_quantum);
    const __mmask16 on_grid =
        _mm512_cmp_ps_mask(_mm512_abs_ps(steps), _mm512_set1_ps(0x1p30f), _CMP_LT_OQ);
    const __m512i k = _mm512_maskz_cvt_roundps_epi32(
        on_grid, steps, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512i moved = _mm512_add_epi32(k, d), size = _mm512_abs_epi32(moved);
    grid->largest = _mm512_mask_max_epu32(grid->largest, here, grid->largest, size);
    grid->off_grid |= (__mmask16)(here & ~on_grid);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(moved), grid->quantum);
}

/* The increments of all combinations of up to FEW signs; bit j of a lane's number is sign j. */
INLINE FOR_AVX512 __m512i increments_avx512(const Step *step) {
    int32_t d[1 << FEW];
    for (uint32_t signs = 0; signs < 1 << FEW; signs++) {
        uint32_t s = 0;
        for (int j = 0; j < step->n; j++) s += signs >> j & 1 ? -step->a[j] : step->a[j];
        d[signs] = shift_round((int32_t)s, step->h);
    }
    return _mm512_loadu_si512(d);
}

/* n is step->n; known to the compiler, it unrolls the loops. */
INLINE FOR_AVX512 void step_along_avx512(float *w, int from, int to, const Step *step, int n,
                                         uint32_t tensor, uint64_t block, Stats *stats) {
    __m512i words[FEW + 1][4];
    Grid found = grid_of(step->e);
    Grid16 grid = {_mm512_set1_ps(found.per_quantum), _mm512_set1_ps(found.quantum),
                   _mm512_setzero_si512(), 0};
    const __m512 back = _mm512_set1_ps(step->back);
    const __m512i increments = increments_avx512(step);
    int64_t zeros = 0;
    for (int j = 0; j < n; j++) draw_avx512(step->seeds[j], tensor, block, words[j]);
    draw_avx512(step->back_seed, tensor, block, words[n]);
    for (int v = from / 32; 32 * v < to; v++) {
        const uint32_t live = live_bits(v, from, to);
        float *p = w + (32 * v - from);
        fetch_ahead(p);
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
            const int at = 2 * (v >> 2) + half; /* of the 16-bit parts of a vector of words */
            const __mmask16 here = (__mmask16)(live >> 16 * half);
            __m512i signs = _mm512_setzero_si512();
            for (int j = 0; j < n; j++)
                signs = _mm512_mask_add_epi32(signs, ((const __mmask16 *)&words[j][v & 3])[at],
                                              signs, _mm512_set1_epi32(1 << j));
            const __m512i d = _mm512_permutexvar_epi32(signs, increments);
            const __m512 old = _mm512_maskz_loadu_ps(here, p + 16 * half);
            const __m512 restored =
                add_signed_avx512(old, ((const __mmask16 *)&words[n][v & 3])[at], back);
            zeros += __builtin_popcount(_mm512_mask_testn_epi32_mask(here, d, d));
            _mm512_mask_storeu_ps(p + 16 * half, here, move_avx512(restored, here, d, &grid));
        }
    }
    found.largest = _mm512_reduce_max_epu32(grid.largest);
    found.off_grid = grid.off_grid;
    note(&found, zeros, stats);
}

static FOR_AVX512 void step_tile_avx512(float *w, int from, int to, const Step *step,
                                        uint32_t tensor, uint64_t block, Stats *stats) {
    switch (step->n) {
    case 0: step_along_avx512(w, from, to, step, 0, tensor, block, stats); break;
    case 1: step_along_avx512(w, from, to, step, 1, tensor, block, stats); break;
    case 2: step_along_avx512(w, from, to, step, 2, tensor, block, stats); break;
    case 3: step_along_avx512(w, from, to, step, 3, tensor, block, stats); break;
    default: step_along_avx512(w, from, to, step, FEW, tensor, block, stats);
    }
}
#endif

#endif
