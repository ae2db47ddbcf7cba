/* Vectors of the machine's width, by the vector extensions that GCC and Clang share: AVX-512, AVX2, NEON, plain.
 *
 * REAL_BITS, 32 or 64, is defined by the generated source before this text. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if REAL_BITS == 32
typedef float real;
typedef int32_t whole;
typedef uint32_t bits;
#else
typedef double real;
typedef int64_t whole;
typedef uint64_t bits;
#endif

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define REGISTERS 32
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define REGISTERS 16
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define REGISTERS 32
#else
#define VECTOR_BYTES 16
#define REGISTERS 16
#endif

enum { LANES = VECTOR_BYTES / sizeof(real) };

typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef whole mask __attribute__((vector_size(VECTOR_BYTES))); /* per lane: all bits set where it holds, else none */
typedef real loose __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

#define INLINE static inline __attribute__((always_inline, unused))

/* INTRINSIC(add) is _mm512_add_ps and its like, for the width and the type at hand. */
#if defined(__x86_64__)
#define JOIN(prefix, name, suffix) prefix##name##suffix
#define SPELL(prefix, name, suffix) JOIN(prefix, name, suffix)
#if VECTOR_BYTES == 64
#define PREFIX _mm512_
#elif VECTOR_BYTES == 32
#define PREFIX _mm256_
#else
#define PREFIX _mm_
#endif
#if REAL_BITS == 32
#define SUFFIX _ps
#else
#define SUFFIX _pd
#endif
#define INTRINSIC(name) SPELL(PREFIX, name, SUFFIX)
#endif

INLINE vec load(const real *from) { return *(const loose *)from; }

INLINE void store(real *to, vec value) { *(loose *)to = value; }

/* Holds in the first `count` lanes. */
INLINE mask leading(long count) {
    mask lanes;
    for (int lane = 0; lane < LANES; lane++) lanes[lane] = lane;
    return lanes < (whole)count;
}

/* The first `count` lanes, 1 to LANES of them; the others are 0 and their memory is not touched. */
INLINE vec load_some(const real *from, long count) {
    if (count >= LANES) return load(from);
#if defined(__AVX512F__)
    return INTRINSIC(maskz_loadu)((1u << count) - 1, from);
#elif defined(__AVX__)
    return INTRINSIC(maskload)(from, (__m256i)leading(count));
#else
    vec value = {0};
    for (int lane = 0; lane < LANES - 1; lane++)
        if (lane < count) value[lane] = from[lane];
    return value;
#endif
}

INLINE void store_some(real *to, vec value, long count) {
    if (count >= LANES) {
        store(to, value);
        return;
    }
#if defined(__AVX512F__)
    INTRINSIC(mask_storeu)(to, (1u << count) - 1, value);
#elif defined(__AVX__)
    INTRINSIC(maskstore)(to, (__m256i)leading(count), value);
#else
    for (int lane = 0; lane < LANES - 1; lane++)
        if (lane < count) to[lane] = value[lane];
#endif
}

INLINE vec all(real value) { return value - (vec){0}; }

INLINE mask as_mask(vec value) { return (mask)value; }

INLINE vec as_vec(mask value) { return (vec)value; }

/* one where the condition holds, else other; lane by lane, so that NaN and infinity do not cross. */
INLINE vec choose(mask condition, vec one, vec other) {
    return as_vec((condition & as_mask(one)) | (~condition & as_mask(other)));
}

/* The sum of the lanes, in pairs. */
INLINE real sum(vec value) {
#if defined(__AVX512F__)
    return INTRINSIC(reduce_add)(value);
#else
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int lane = 0; lane < width; lane++) value[lane] += value[lane + width];
    return value[0];
#endif
}
