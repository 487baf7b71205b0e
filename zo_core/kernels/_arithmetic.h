/* Which of the implementations of the tiles' arithmetic this processor runs; all give the same bits. */
#ifndef ZO_ARITHMETIC_H
#define ZO_ARITHMETIC_H

#include "_moves_x86.h"

typedef struct {
    const char *name; /* of the instructions */
    void (*sum_tile)(uint32_t *, int, int, const uint64_t *, const uint32_t *, int64_t, uint32_t,
                     uint64_t);
    void (*perturb_tile)(float *, int, int, uint64_t, uint32_t, uint64_t, float, int);
    void (*step_tile)(float *, int, int, const Step *, uint32_t, uint64_t, Stats *);
} Arithmetic;

#define PORTABLE {"portable", zo_sum_tile, zo_perturb_tile, zo_step_tile}

/* Fill `found` with what this processor can run, the fastest first; return their number. */
static int find_arithmetics(Arithmetic found[3]) {
    int n = 0;
#ifdef ZO_SUMS_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("gfni") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        found[n++] = (Arithmetic){"avx512-gfni", sum_tile_avx512, perturb_tile_avx512,
                                  step_tile_avx512};
    if (__builtin_cpu_supports("avx2"))
        found[n++] = (Arithmetic){"avx2", sum_tile_avx2, zo_perturb_tile, zo_step_tile};
#endif
    found[n++] = (Arithmetic)PORTABLE;
    return n;
}

#endif
