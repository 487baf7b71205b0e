/* The replay's sums for x86-64 with AVX2, and with AVX-512 and GFNI: zo_sum_tile of _tiles.h, faster.
 *
 * Eight directions at a time.  Their sign bits are transposed, so that one byte holds the eight bits
 * of one element; the byte's parts then select partial sums from tables that stay in registers.
 * Integer sums may be taken in any order, so the bits equal those of the plain loops.
 */
#ifndef ZO_SUMS_X86_H
#define ZO_SUMS_X86_H

#include "_tiles.h"

#if defined(__x86_64__) && (defined(__clang__) || __GNUC__ >= 9) && !defined(ZO_ONE_TARGET)
#define ZO_SUMS_X86
#include <immintrin.h>

#define FOR_AVX2 __attribute__((target("avx2")))
#define FOR_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,gfni")))

/* Four Philox blocks in 64-bit lanes: a lane's product needs one instruction, and what stays in its
 * upper half is ignored by the next. */
typedef struct {
    __m256i x0, x1, x2, x3;
} Philox4;

INLINE FOR_AVX2 Philox4 round_avx2(Philox4 x, __m256i k0, __m256i k1) {
    const __m256i p0 = _mm256_mul_epu32(x.x0, _mm256_set1_epi64x(0xD2511F53));
    const __m256i p1 = _mm256_mul_epu32(x.x2, _mm256_set1_epi64x(0xCD9E8D57));
    return (Philox4){_mm256_xor_si256(_mm256_srli_epi64(p1, 32), _mm256_xor_si256(x.x1, k0)), p1,
                     _mm256_xor_si256(_mm256_srli_epi64(p0, 32), _mm256_xor_si256(x.x3, k1)), p0};
}

INLINE FOR_AVX2 __m256i low_halves_avx2(__m256i a, __m256i b) {
    const __m256 both = _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88);
    return _mm256_permute4x64_epi64(_mm256_castps_si256(both), 0xD8);
}

/* The four words of 8 neighbouring blocks. */
INLINE FOR_AVX2 void draw_avx2(uint64_t seed, uint32_t tensor, uint64_t block, __m256i words[4]) {
    const __m256i lanes = _mm256_set_epi64x(3, 2, 1, 0);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    Philox4 x[2];
    for (int i = 0; i < 2; i++) {
        const __m256i c = _mm256_add_epi64(_mm256_set1_epi64x((int64_t)block + 4 * i), lanes);
        x[i] = (Philox4){c, _mm256_srli_epi64(c, 32), _mm256_set1_epi64x(tensor),
                         _mm256_setzero_si256()};
    }
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
        const __m256i key0 = _mm256_set1_epi64x(k0), key1 = _mm256_set1_epi64x(k1);
        for (int i = 0; i < 2; i++) x[i] = round_avx2(x[i], key0, key1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = low_halves_avx2(x[0].x0, x[1].x0);
    words[1] = low_halves_avx2(x[0].x1, x[1].x1);
    words[2] = low_halves_avx2(x[0].x2, x[1].x2);
    words[3] = low_halves_avx2(x[0].x3, x[1].x3);
}

INLINE FOR_AVX2 __m256i swap_bits(__m256i x, uint64_t mask, int by) {
    const __m256i differ = _mm256_xor_si256(x, _mm256_srli_epi64(x, by));
    const __m256i moved = _mm256_and_si256(differ, _mm256_set1_epi64x((int64_t)mask));
    return _mm256_xor_si256(_mm256_xor_si256(x, moved), _mm256_slli_epi64(moved, by));
}

/* Bit j of a result's byte is direction j's bit of one element; 16 bytes of a 128-bit lane are 16
 * neighbouring elements. */
INLINE FOR_AVX2 void transpose_avx2(const __m256i s[8], __m256i out[8]) {
    __m256i u[8], v[8];
    for (int i = 0; i < 4; i++) {
        u[2 * i] = _mm256_unpacklo_epi8(s[2 * i], s[2 * i + 1]);
        u[2 * i + 1] = _mm256_unpackhi_epi8(s[2 * i], s[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        const int first = 4 * (i >> 1) + (i & 1);
        v[2 * i] = _mm256_unpacklo_epi16(u[first], u[first + 2]);
        v[2 * i + 1] = _mm256_unpackhi_epi16(u[first], u[first + 2]);
    }
    for (int q = 0; q < 4; q++) {
        out[2 * q] = _mm256_unpacklo_epi32(v[q], v[q + 4]);
        out[2 * q + 1] = _mm256_unpackhi_epi32(v[q], v[q + 4]);
    }
    for (int h = 0; h < 8; h++) { /* 8 x 8 bits in each 64-bit lane */
        out[h] = swap_bits(out[h], 0x00AA00AA00AA00AAu, 7);
        out[h] = swap_bits(out[h], 0x0000CCCC0000CCCCu, 14);
        out[h] = swap_bits(out[h], 0x00000000F0F0F0F0u, 28);
    }
}

/* The sums of all subsets of three numbers. */
INLINE FOR_AVX2 __m256i subset_sums_avx2(uint32_t a, uint32_t b, uint32_t c) {
    const int x = (int)a, y = (int)b, xy = (int)(a + b), z = (int)c;
    return _mm256_setr_epi32(0, x, y, xy, z, (int)(a + c), (int)(b + c), (int)(a + b + c));
}

static FOR_AVX2 void sum_tile_avx2(uint32_t *t, int from, int to, const uint64_t *seeds,
                                   const uint32_t *a, int64_t n, uint32_t tensor, uint64_t block) {
    __m256i words[2][4][8], bytes[2][4][8]; /* [half of the blocks][word][direction, or part] */
    memset(t + 32 * from, 0, (size_t)(to - from) * 32 * sizeof *t);
    memset(words, 0, sizeof words);
    for (int64_t j = 0; j < n; j += 8) {
        const int count = n - j < 8 ? (int)(n - j) : 8;
        uint32_t s[8] = {0};
        memcpy(s, a + j, (size_t)count * sizeof *s);
        for (int g = 0; g < count; g++) {
            for (int half = 0; half < 2; half++) {
                __m256i w[4];
                draw_avx2(seeds[j + g], tensor, block + 8 * (uint64_t)half, w);
                for (int k = 0; k < 4; k++) words[half][k][g] = w[k];
            }
        }
        for (int i = 0; i < 8; i++) transpose_avx2(words[i >> 2][i & 3], bytes[i >> 2][i & 3]);
        const __m256i low = subset_sums_avx2(s[0], s[1], s[2]);
        const __m256i middle = subset_sums_avx2(s[3], s[4], s[5]);
        const __m256i high = subset_sums_avx2(s[6], s[7], 0);
        for (int v = from; v < to; v++) {
            const int lane = v >> 2;
            const uint8_t *pair = (const uint8_t *)&bytes[lane >> 3][v & 3][2 * (lane & 3)];
            pair += 16 * ((lane >> 2) & 1);
#pragma GCC unroll 4
            for (int part = 0; part < 4; part++) {
                const uint8_t *eight = pair + 32 * (part >> 1) + 8 * (part & 1);
                const __m256i at = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)eight));
                __m256i *p = (__m256i *)(t + 32 * v + 8 * part);
                __m256i sum = _mm256_add_epi32(_mm256_loadu_si256(p),
                                               _mm256_permutevar8x32_epi32(low, at));
                sum = _mm256_add_epi32(
                    sum, _mm256_permutevar8x32_epi32(middle, _mm256_srli_epi32(at, 3)));
                sum = _mm256_add_epi32(
                    sum, _mm256_permutevar8x32_epi32(high, _mm256_srli_epi32(at, 6)));
                _mm256_storeu_si256(p, sum);
            }
        }
    }
}

/* The same with twice the width, in which a whole tile's word fits. */
typedef struct {
    __m512i x0, x1, x2, x3;
} Philox8;

INLINE FOR_AVX512 Philox8 round_avx512(Philox8 x, __m512i k0, __m512i k1) {
    const __m512i p0 = _mm512_mul_epu32(x.x0, _mm512_set1_epi64(0xD2511F53));
    const __m512i p1 = _mm512_mul_epu32(x.x2, _mm512_set1_epi64(0xCD9E8D57));
    return (Philox8){_mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), x.x1, k0, 0x96), p1,
                     _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), x.x3, k1, 0x96), p0};
}

INLINE FOR_AVX512 __m512i low_halves_avx512(__m512i a, __m512i b) {
    return _mm512_permutex2var_epi32(
        a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b);
}

/* The four words of 16 neighbouring blocks. */
INLINE FOR_AVX512 void draw_avx512(uint64_t seed, uint32_t tensor, uint64_t block,
                                   __m512i words[4]) {
    const __m512i lanes = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    Philox8 x[2];
    for (int i = 0; i < 2; i++) {
        const __m512i c = _mm512_add_epi64(_mm512_set1_epi64((int64_t)block + 8 * i), lanes);
        x[i] = (Philox8){c, _mm512_srli_epi64(c, 32), _mm512_set1_epi64(tensor),
                         _mm512_setzero_si512()};
    }
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
        const __m512i key0 = _mm512_set1_epi64(k0), key1 = _mm512_set1_epi64(k1);
        for (int i = 0; i < 2; i++) x[i] = round_avx512(x[i], key0, key1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = low_halves_avx512(x[0].x0, x[1].x0);
    words[1] = low_halves_avx512(x[0].x1, x[1].x1);
    words[2] = low_halves_avx512(x[0].x2, x[1].x2);
    words[3] = low_halves_avx512(x[0].x3, x[1].x3);
}

/* As transpose_avx2; the instruction that transposes bits reverses the directions. */
INLINE FOR_AVX512 void transpose_avx512(const __m512i s[8], __m512i out[8]) {
    const __m512i unit = _mm512_set1_epi64((int64_t)0x8040201008040201u);
    __m512i u[8], v[8];
    for (int i = 0; i < 4; i++) {
        u[2 * i] = _mm512_unpacklo_epi8(s[7 - 2 * i], s[6 - 2 * i]);
        u[2 * i + 1] = _mm512_unpackhi_epi8(s[7 - 2 * i], s[6 - 2 * i]);
    }
    for (int i = 0; i < 4; i++) {
        const int first = 4 * (i >> 1) + (i & 1);
        v[2 * i] = _mm512_unpacklo_epi16(u[first], u[first + 2]);
        v[2 * i + 1] = _mm512_unpackhi_epi16(u[first], u[first + 2]);
    }
    for (int q = 0; q < 4; q++) {
        out[2 * q] = _mm512_unpacklo_epi32(v[q], v[q + 4]);
        out[2 * q + 1] = _mm512_unpackhi_epi32(v[q], v[q + 4]);
    }
    for (int h = 0; h < 8; h++) out[h] = _mm512_gf2p8affine_epi64_epi8(unit, out[h], 0);
}

/* The sums of all subsets of four numbers. */
INLINE FOR_AVX512 __m512i subset_sums_avx512(const uint32_t a[4]) {
    static const __mmask16 HAVE[4] = {0xAAAA, 0xCCCC, 0xF0F0, 0xFF00};
    __m512i sums = _mm512_setzero_si512();
    for (int i = 0; i < 4; i++)
        sums = _mm512_mask_add_epi32(sums, HAVE[i], sums, _mm512_set1_epi32((int)a[i]));
    return sums;
}

static FOR_AVX512 void sum_tile_avx512(uint32_t *t, int from, int to, const uint64_t *seeds,
                                       const uint32_t *a, int64_t n, uint32_t tensor,
                                       uint64_t block) {
    __m512i words[4][8], bytes[4][8]; /* [word][direction, or part] */
    memset(t + 32 * from, 0, (size_t)(to - from) * 32 * sizeof *t);
    memset(words, 0, sizeof words);
    for (int64_t j = 0; j < n; j += 8) {
        const int count = n - j < 8 ? (int)(n - j) : 8;
        uint32_t s[8] = {0};
        memcpy(s, a + j, (size_t)count * sizeof *s);
        for (int g = 0; g < count; g++) {
            __m512i w[4];
            draw_avx512(seeds[j + g], tensor, block, w);
            for (int k = 0; k < 4; k++) words[k][g] = w[k];
        }
        for (int k = 0; k < 4; k++) transpose_avx512(words[k], bytes[k]);
        const __m512i low = subset_sums_avx512(s), high = subset_sums_avx512(s + 4);
        for (int v = from; v < to; v++) {
            const int lane = v >> 2;
            const uint8_t *pair = (const uint8_t *)&bytes[v & 3][2 * (lane & 3)];
            pair += 16 * (lane >> 2);
#pragma GCC unroll 2
            for (int part = 0; part < 2; part++) {
                const __m128i sixteen = _mm_load_si128((const __m128i *)(pair + 64 * part));
                const __m512i at = _mm512_cvtepu8_epi32(sixteen);
                const __m512i above = _mm512_srli_epi32(at, 4);
                uint32_t *p = t + 32 * v + 16 * part;
                const __m512i sum = _mm512_add_epi32(_mm512_permutexvar_epi32(at, low),
                                                     _mm512_permutexvar_epi32(above, high));
                _mm512_storeu_si512(p, _mm512_add_epi32(_mm512_loadu_si512(p), sum));
            }
        }
    }
}
#endif

#endif
