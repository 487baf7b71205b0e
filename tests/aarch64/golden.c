/* Check the C kernels against tests/golden/kernels.txt without Python: golden <file>.
 *
 * The inputs follow from each line by the rules of tests/golden/write_kernels.py.
 */
#include <inttypes.h>
#include <stdio.h>

#include "_passes.h"

enum { PLAIN = 999, MOST = 150 };

static uint64_t seed_of(int64_t j) { return (uint64_t)(j + 1) * 0x9E3779B97F4A7C15u; }

static float *weights_of(int64_t count, int e) {
    float *w = malloc((size_t)count * sizeof *w);
    for (int64_t i = 0; i < count; i++)
        w[i] = ldexpf((float)((int32_t)((uint32_t)((uint64_t)i * 2654435761u) >> 8) - (1 << 23)), e);
    return w;
}

static uint64_t checksum(const float *w, int64_t count) {
    uint64_t sum = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &w[i], sizeof bits);
        sum += ((uint64_t)bits + 1) * ((uint64_t)i * 0x9E3779B97F4A7C15u + 1);
    }
    return sum;
}

static int perturb_is_golden(const char *line, int64_t threads) {
    int64_t tensor, start, count, n;
    uint64_t expected;
    Term terms[MOST];
    if (sscanf(line, "perturb %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNx64, &tensor,
               &start, &count, &n, &expected) != 5)
        return 0;
    for (int64_t j = 0; j < n; j++)
        terms[j] = (Term){seed_of(j), (j % 2 ? -1.0f : 1.0f) * (float)(j + 1) * 0x1p-12f};
    float *w = weights_of(count, -26);
    Span span = {.data = (char *)w, .count = count, .start = start, .tensor = (uint32_t)tensor};
    Pass pass = {.spans = &span, .num_spans = 1, .on_tile = perturb_on_tile, .write = 1,
                 .num_terms = n, .terms = terms};
    run_pass(&pass, number_blocks(&span, 1), threads);
    const int same = checksum(w, count) == expected;
    free(w);
    return same;
}

static int replay_is_golden(const char *line, int64_t threads) {
    int64_t tensor, start, count, n, f, largest, zeros;
    int e;
    uint64_t expected, seeds[MOST];
    uint32_t a[MOST];
    Stats stats = {0, 0};
    if (sscanf(line,
               "replay %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %d %" SCNd64 " %" SCNd64
               " %" SCNd64 " %" SCNx64,
               &tensor, &start, &count, &n, &e, &f, &largest, &zeros, &expected) != 9)
        return 0;
    const int64_t m = ((int64_t)1 << 30) / n;
    for (int64_t j = 0; j < n; j++) {
        seeds[j] = seed_of(j);
        a[j] = (uint32_t)((int64_t)((seeds[j] >> 33) % (uint64_t)(2 * m + 1)) - m);
    }
    const int32_t exponents[2] = {e, e};
    float *w = weights_of(count, e == PLAIN ? -26 : e);
    Span span = {.data = (char *)w, .count = count, .start = start, .tensor = (uint32_t)tensor};
    Pass pass = {.spans = &span, .num_spans = 1, .on_tile = replay_on_tile, .write = 1,
                 .directions = n, .seeds = seeds, .a = a,
                 .exponents = e == PLAIN ? NULL : exponents, .f = f,
                 .factor = ldexpf(1.0f, (int)f + 30), .stats = &stats};
    run_pass(&pass, number_blocks(&span, 1), threads);
    const int same = checksum(w, count) == expected && stats.max_abs_k == largest &&
                     stats.zero_increments == zeros;
    free(w);
    return same;
}

int main(int argc, char **argv) {
    char line[512];
    int checked = 0, wrong = 0;
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!file) return fprintf(stderr, "usage: golden kernels.txt\n"), 2;
    while (fgets(line, sizeof line, file)) {
        const int perturbs = !strncmp(line, "perturb", 7);
        if (!perturbs && strncmp(line, "replay", 6) != 0) continue;
        for (int64_t threads = 1; threads <= 3; threads += 2) {
            const int same = perturbs ? perturb_is_golden(line, threads)
                                      : replay_is_golden(line, threads);
            if (!same) printf("%" PRId64 " threads, not golden: %s", threads, line);
            wrong += !same;
            checked++;
        }
    }
    fclose(file);
    printf("%d of %d checks equal the golden vectors\n", checked - wrong, checked);
    return wrong || !checked;
}
