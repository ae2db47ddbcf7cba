/* The fastest loop of fused multiply-adds: enough independent chains to fill every pipe, and nothing else. */

#if defined(__AVX512F__)
enum { BYTES = 64, CHAINS = 16 };
#elif defined(__AVX__)
enum { BYTES = 32, CHAINS = 12 };
#else
enum { BYTES = 16, CHAINS = 16 };
#endif

typedef float vec __attribute__((vector_size(BYTES)));

/* Additions and multiplications of one round. */
long operations(void) { return 2 * CHAINS * (BYTES / sizeof(float)); }

/* The sum, which must depend on all chains: else a compiler leaves them out. */
float run(long rounds, float factor, float term)
{
    vec chains[CHAINS], factors = factor - (vec){0}, terms = term - (vec){0}, sum = {0};
    float total = 0;
    for (int i = 0; i < CHAINS; i++)
        chains[i] = (float)i - (vec){0};
    for (long round = 0; round < rounds; round++)
        for (int i = 0; i < CHAINS; i++)
            chains[i] = chains[i] * factors + terms;
    for (int i = 0; i < CHAINS; i++)
        sum += chains[i];
    for (unsigned lane = 0; lane < BYTES / sizeof(float); lane++)
        total += sum[lane];
    return total;
}
