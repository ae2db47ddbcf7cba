/* Products of x and of the output before in one pass: sums begin at the bias and stay in registers for both.
 *
 * For cells whose first columns fit a panel, or all read both. */

enum { CACHED_BYTES = 1 << 20 };

#define WIDE (FIRST_COLUMNS * PARTS)
#if U_COUNT == 0 || X_COUNT == 0 || LAYER_NORM
#define FUSED_WIDTH 0
#elif WIDE <= PANEL
#define FUSED_WIDTH WIDE
#define FUSED_X (X_COUNT * PARTS)
#define FUSED_U_FROM (U_FIRST * PARTS)
#define FUSED_U (U_COUNT * PARTS)
#elif WIDE % PANEL == 0 && X_COUNT == FIRST_COLUMNS && U_COUNT == FIRST_COLUMNS
#define FUSED_WIDTH PANEL
#define FUSED_X PANEL
#define FUSED_U_FROM 0
#define FUSED_U PANEL
#else
#define FUSED_WIDTH 0
#endif

#if FUSED_WIDTH
/* Rows of x and u lie x_row and u_row apart, panels of a step of the depth x_step and u_step. */
typedef struct {
    const real *x, *x_panel;
    long x_row, x_depth, x_step;
    const real *u, *u_panel;
    long u_row, u_depth, u_step;
    const real *bias;
    real *out;
    long out_row;
} Fused;

#define ADD_PRODUCTS(ROWS, FACTORS, ROW, DEPTH, VECTORS, STEP, FROM, WIDTH)                                 \
    {                                                                                                       \
        const real *factors = FACTORS, *vectors = VECTORS;                                                  \
        const long apart = ROW, step = STEP;                                                                \
        for (long k = DEPTH; k > 0; k--, factors++, vectors += step) {                                      \
            vec panel[WIDTH];                                                                               \
            _Pragma("GCC unroll 4") for (int v = 0; v < WIDTH; v++) panel[v] = load(vectors + v * LANES);   \
            _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; r++) {                                        \
                const real factor = factors[r * apart];                                                     \
                _Pragma("GCC unroll 4") for (int v = 0; v < WIDTH; v++) sums[r][FROM + v] += panel[v] * factor; \
            }                                                                                               \
        }                                                                                                   \
    }

#define DEFINE_FUSED(ROWS)                                                                                  \
    static void fused_##ROWS(const Fused *f, long row) {                                                    \
        vec sums[ROWS][FUSED_WIDTH];                                                                        \
        _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; r++)                                              \
            _Pragma("GCC unroll 4") for (int v = 0; v < FUSED_WIDTH; v++) sums[r][v] = load(f->bias + v * LANES); \
        ADD_PRODUCTS(ROWS, f->x + row * f->x_row, f->x_row, f->x_depth, f->x_panel, f->x_step, 0, FUSED_X)  \
        ADD_PRODUCTS(ROWS, f->u + row * f->u_row, f->u_row, f->u_depth, f->u_panel, f->u_step, FUSED_U_FROM, FUSED_U) \
        real *out = f->out + row * f->out_row;                                                              \
        _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; r++)                                              \
            _Pragma("GCC unroll 4") for (int v = 0; v < FUSED_WIDTH; v++)                                   \
                store(out + r * f->out_row + v * LANES, sums[r][v]);                                        \
    }

DEFINE_FUSED(1)
DEFINE_FUSED(2)
DEFINE_FUSED(3)
DEFINE_FUSED(4)
DEFINE_FUSED(5)
DEFINE_FUSED(6)
#if REGISTERS == 32 && FUSED_WIDTH < 4
DEFINE_FUSED(7)
DEFINE_FUSED(8)
static void (*const FUSED[])(const Fused *, long) = {fused_1, fused_2, fused_3, fused_4, fused_5, fused_6, fused_7, fused_8};
enum { FUSED_HEIGHT = 8 };
#else
static void (*const FUSED[])(const Fused *, long) = {fused_1, fused_2, fused_3, fused_4, fused_5, fused_6};
enum { FUSED_HEIGHT = 6 };
#endif

/* All first columns of one tile. f: as for its first vectors. */
static void multiply_fused(Fused f, long rows) {
    for (long v = 0; v < WIDE; v += FUSED_WIDTH) {
        const long blocks = (rows + FUSED_HEIGHT - 1) / FUSED_HEIGHT;
        for (long block = 0, row = 0; block < blocks; block++) {
            const long height = (rows - row + blocks - block - 1) / (blocks - block);
            FUSED[height - 1](&f, row);
            row += height;
        }
        f.x_panel += FUSED_WIDTH * LANES, f.u_panel += FUSED_WIDTH * LANES;
        f.bias += FUSED_WIDTH * LANES, f.out += FUSED_WIDTH * LANES;
    }
}
#endif

/* Whether x is multiplied step by step: where all weights stay in the second cache. Else their products come first, for
 * a block of steps, which reads the weights of x less often. */
INLINE int reads_stepwise(const Call *c) {
    const long numbers = (c->input * X_COUNT + c->output * U_COUNT) * tiles_of(c) * TILE;
    return U_COUNT && !LAYER_NORM && numbers * (long)sizeof(real) <= CACHED_BYTES;
}
