/* Elementary functions of vectors, without branches. NaN gives NaN, infinities give the limits, denormals may become 0.
 *
 * The polynomials are minimax, by the Remez exchange in 50 digits and then rounded; a weight other than the relative
 * error is named. The largest errors seen, with and without fused multiply-add, and cycles for a vector of AVX-512:
 *
 *              float32                    float64
 *   sigmoid    1.2e-7           10        2.1 ulp    21
 *   tanh       2.1e-7 relative  11        2.6 ulp    25
 *   exp        1.1 ulp           9        1.0 ulp    15
 *   expm1      1.8 ulp          10        2.0 ulp    15
 *   log        0.9 ulp          23        0.9 ulp    30
 *   logaddexp  3.5 ulp          30        3.2 ulp    48    of the largest of its result and arguments
 */

#if REAL_BITS == 32
#define SCALAR(name) name##f
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define SMALLEST 0x1p-126f /* of the normal numbers */
#define LN2_HIGH 0x1.63p-1f /* nine bits: its product with an exponent is exact */
#define LN2_LOW -0x1.bd0106p-13f
#define EXP_LOWEST -104.f /* e^x is 0 from here down */
#define EXP_HIGHEST 89.f /* e^x is infinite from here up, and its exponent is still 128 */
#else
#define SCALAR(name) name
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define SMALLEST 0x1p-1022
#define LN2_HIGH 0x1.62e42fefap-1 /* 36 bits, likewise */
#define LN2_LOW 0x1.cf79abc9e3b39p-40
#define EXP_LOWEST -746.
#define EXP_HIGHEST 709.9
#endif
#define LOG2_E 0x1.71547652b82fep0
#define ONE_BITS ((bits)EXPONENT_BIAS << MANTISSA_BITS)
#define SIGN ((bits)1 << (REAL_BITS - 1))
/* n + SHIFTER rounds n to a whole number and holds n + EXPONENT_BIAS in its lowest bits. */
#define SHIFTER ((real)(1.5 * ((bits)1 << MANTISSA_BITS) + EXPONENT_BIAS))

typedef bits pattern __attribute__((vector_size(VECTOR_BYTES)));

INLINE pattern as_pattern(vec value) { return (pattern)value; }

/* one < other ? one : other, lane by lane; hence other where either is NaN. */
INLINE vec lesser(vec one, vec other) {
#if defined(INTRINSIC)
    return INTRINSIC(min)(one, other);
#else
    return choose(one < other, one, other);
#endif
}

INLINE vec greater(vec one, vec other) {
#if defined(INTRINSIC)
    return INTRINSIC(max)(one, other);
#else
    return choose(one > other, one, other);
#endif
}

/* NaN passes. */
INLINE vec clamp(vec x, real low, real high) { return greater(all(low), lesser(all(high), x)); }

INLINE vec polynomial(vec x, const real *coefficients, int degree) {
    vec value = all(coefficients[degree]);
    for (int power = degree - 1; power >= 0; power--) value = value * x + coefficients[power];
    return value;
}

/* 2^n of n + SHIFTER, -EXPONENT_BIAS <= n <= EXPONENT_BIAS; for n = -EXPONENT_BIAS it is 0. */
INLINE vec power_of_two(vec shifted) { return (vec)(as_pattern(shifted) << MANTISSA_BITS); }

/* value * 2^n, also where 2^n alone would overflow. */
INLINE vec scale(vec value, vec n) {
#if defined(__AVX512F__)
    return INTRINSIC(scalef)(value, n);
#else
    vec half = n * all(0.5) + SHIFTER;
    return value * power_of_two(half) * power_of_two(n - (half - SHIFTER) + SHIFTER);
#endif
}

/* p / q for q whose reciprocal is a normal number. AVX-512 divides 16 float32 in 10 to 16 cycles; an estimate of the
 * reciprocal to 14 bits and a Newton step take 3. */
INLINE vec divide(vec p, vec q) {
#if defined(__AVX512F__) && REAL_BITS == 32
    vec inverse = _mm512_rcp14_ps(q);
    return p * _mm512_fmadd_ps(inverse, _mm512_fnmadd_ps(q, inverse, all(1)), inverse);
#else
    return p / q;
#endif
}

INLINE vec vec_abs(vec x) { return (vec)(as_pattern(x) & ~SIGN); }

INLINE vec vec_relu(vec x) { return greater(all(0), x); }

INLINE vec vec_maximum(vec a, vec b) { return choose(a == a, greater(a, b), a); }

INLINE vec vec_minimum(vec a, vec b) { return choose(a == a, lesser(a, b), a); }

INLINE vec vec_sqrt(vec x) {
#if defined(INTRINSIC)
    return INTRINSIC(sqrt)(x);
#else
    for (int lane = 0; lane < LANES; lane++) x[lane] = SCALAR(sqrt)(x[lane]);
    return x;
#endif
}

INLINE vec vec_sin(vec x) {
    for (int lane = 0; lane < LANES; lane++) x[lane] = SCALAR(sin)(x[lane]);
    return x;
}

INLINE vec vec_cos(vec x) {
    for (int lane = 0; lane < LANES; lane++) x[lane] = SCALAR(cos)(x[lane]);
    return x;
}

/* (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2, weighted with r: the relative error of e^r - 1 is 1.4e-8, 2.7e-19. */
#if REAL_BITS == 32
enum { EXP_DEGREE = 4 };
static const real EXP[] = {0.5f, 0.16666543f, 0.04166628f, 0.008366611f, 0.0013946496f};
#else
enum { EXP_DEGREE = 10 };
static const real EXP[] = {0.5,
                           0.16666666666666677,
                           0.0416666666666667,
                           0.008333333333321579,
                           0.001388888888886677,
                           0.00019841269886266657,
                           2.480158736068967e-05,
                           2.7557244061469737e-06,
                           2.7557242647104814e-07,
                           2.510909057857271e-08,
                           2.0924477835668754e-09};
#endif

/* e^r - 1 of the rest r in x = n ln(2) + r. */
INLINE vec expm1_of_rest(vec x, vec *n) {
    *n = x * all(LOG2_E) + SHIFTER - SHIFTER;
    vec r = x - *n * all(LN2_HIGH) - *n * all(LN2_LOW);
    return r + r * r * polynomial(r, EXP, EXP_DEGREE);
}

INLINE vec vec_exp(vec x) {
    vec n, rest = expm1_of_rest(clamp(x, EXP_LOWEST, EXP_HIGHEST), &n);
    return scale(rest + all(1), n);
}

/* 2^n (1 + rest) - 1, at half its size for the sake of n = EXPONENT_BIAS + 1. */
INLINE vec vec_expm1(vec x) {
    vec n, rest = expm1_of_rest(clamp(x, -MANTISSA_BITS, EXP_HIGHEST), &n);
    vec half = power_of_two(n + (SHIFTER - 1));
    vec value = half * rest + (half - all(0.5));
    return value + value;
}

/* 2 (atanh(s) / s - 1) / s^2 as a polynomial in s^2 for |s| <= 1/3, weighted with s^2: the error of atanh(s) / s is
 * 4.6e-9, 1.6e-18. */
#if REAL_BITS == 32
enum { ATANH_DEGREE = 3 };
static const real ATANH[] = {0.6666641f, 0.40021706f, 0.2799900f, 0.2802522f};
#else
enum { ATANH_DEGREE = 9 };
static const real ATANH[] = {0.6666666666666652,
                             0.4000000000009882,
                             0.2857142855388456,
                             0.22222223649330336,
                             0.18181753855417115,
                             0.15386370102163113,
                             0.1330324255717043,
                             0.12089561783063386,
                             0.08407167462662976,
                             0.16902275563126454};
#endif

/* f - log(1 + f) for -0.3 < f <= 1: with s = f / (2 + f), log(1 + f) = 2 atanh(s) = f - s f + s^3 (2/3 + ...). */
INLINE vec log1p_defect(vec f) {
    vec s = f / (f + all(2)), square = s * s, half = all(0.5) * f * f;
    return half - s * (half + square * polynomial(square, ATANH, ATANH_DEGREE));
}

/* x = 2^n (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), taken from the bits of x. */
INLINE vec vec_log(vec x) {
    const bits root_half = REAL_BITS == 32 ? 0x3f3504f3 : (bits)0x3fe6a09e667f3bcdLL;
    mask tiny = x < all(SMALLEST);
    vec normal = choose(tiny, x * all((bits)1 << MANTISSA_BITS), x);
    pattern offset = as_pattern(normal) - root_half;
    vec f = (vec)((offset & (((bits)1 << MANTISSA_BITS) - 1)) + root_half) - all(1);
    vec n = (vec)(((offset + ONE_BITS) >> MANTISSA_BITS) + as_pattern(all(SHIFTER - EXPONENT_BIAS))) - SHIFTER;
    n -= choose(tiny, all(MANTISSA_BITS), all(0));
    vec value = n * all(LN2_HIGH) + (f - (log1p_defect(f) - n * all(LN2_LOW)));
    vec limit = choose(x == all(0), all(-INFINITY), all(NAN));
    return choose(x > all(0), choose(x < all(INFINITY), value, x), limit);
}

/* max(a, b) + log(1 + e^-|a - b|); equal infinities have no difference. */
INLINE vec vec_logaddexp(vec a, vec b) {
    vec y = vec_exp(choose(a == b, all(0), -vec_abs(a - b)));
    return vec_maximum(a, b) + (y - log1p_defect(y));
}

#if REAL_BITS == 32
/* 2^r for |r| <= 1/2: relative error 7.6e-8, a quarter of which is left in the sigmoid. */
static const real EXP2[] = {1.00000007f, 0.69314697f, 0.24022118f, 0.05550714f, 0.009675655f, 0.0013276365f};

/* 1 / (1 + 2^(n + r)), n + r = -x log2(e). At -88.3 n is its largest, 127, and the value denormal. */
INLINE vec vec_sigmoid(vec x) {
    x = clamp(x, -88.3f, 88.3f);
    vec shifted = x * all(-LOG2_E) + SHIFTER;
    vec r = x * all(-LOG2_E) - (shifted - SHIFTER);
    return divide(all(1), polynomial(r, EXP2, 5) * power_of_two(shifted) + all(1));
}

/* x (0.17 + P(x^2) / Q(x^2)): the rational with the least relative error, 1.8e-8, for |x| <= 8.6, by reweighted least
 * squares, its coefficients scaled by the factor that loses least in rounding. 0.17 is split off because P / Q is then
 * small where tanh is large, and rounding costs half as much. Beyond 8.6, P / Q stays and the value runs past 1. */
static const real TANH_P[] = {1.49249995f, 0.0982000604f, -0.00160499709f, -6.40052676e-05f, -2.21390692e-07f};
static const real TANH_Q[] = {1.79819274f, 0.840478837f, 0.0467420444f, 0.000599925872f, 1.45125716e-06f};

INLINE vec vec_tanh(vec x) {
    vec square = lesser(all(73.96f), x * x);
    vec slope = all(0.17f) + divide(polynomial(square, TANH_P, 4), polynomial(square, TANH_Q, 4));
    return clamp(x * slope, -1, 1);
}
#else
INLINE vec vec_sigmoid(vec x) { return divide(all(1), all(1) + vec_exp(-x)); }

/* -t / (2 + t), t = e^(-2|x|) - 1, with the sign of x. */
INLINE vec vec_tanh(vec x) {
    vec t = vec_expm1(all(-2) * vec_abs(x));
    return (vec)(as_pattern(vec_abs(divide(t, t + all(2)))) | (as_pattern(x) & SIGN));
}
#endif
