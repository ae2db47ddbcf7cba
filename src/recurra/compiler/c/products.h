/* Products of small matrices in registers: some rows of `a` with a panel of vectors of `b`, over a depth.
 *
 *     out[row][v] = init[row][v] + sum over k of a[row][k] * b[k][v]
 *
 * A panel is 1 to PANEL vectors wide, a block 1 to BLOCK rows high, so that all sums stay in registers. Sums run over k in
 * order, one fused multiply-add at a time, whatever the height of the block: a row's bits do not depend on the rows beside
 * it, nor on how many threads share them. */

#if REGISTERS == 32
#define PANEL 4
#define BLOCK 8
#else
#define PANEL 2
#define BLOCK 6
#endif
enum { BAND = 6 };

/* a: its rows are a_row apart; the depth comes in `segments` of `depth` steps, which begin a_segment apart. Or a is a band,
 * whose rows lie side by side, step after step: then a_row, a_segment and ahead mean nothing.
 * b: the vectors of a step stand side by side, those of the next one b_step further on.
 * ahead: what is read soon, laid out as b: one cache line of each step is called into the cache.
 * init: rows init_row apart, 0 for one row of all; NULL for zeros. It may be out itself. */
typedef void product(const real *a, long a_row, long a_segment, long segments, long depth, const real *b, long b_step,
                     const real *ahead, const real *init, long init_row, real *out, long out_row);

/* Heights of blocks, by the width of the panel. */
#if REGISTERS == 32
static const int HEIGHT[PANEL] = {8, 8, 8, 6};
#else
static const int HEIGHT[PANEL] = {6, 6};
#endif

/* Bytes of a vector, and vectors of a panel: what the caller reckons with. */
__attribute__((visibility("default"))) int recurra_vector_bytes(void) { return VECTOR_BYTES; }
__attribute__((visibility("default"))) int recurra_panel(void) { return PANEL; }

#ifdef PRODUCTS_APART /* they are the same for all programs, and take as long to build as the rest of one */
static product *const (*BY_ROWS)[BLOCK], *const (*OF_BANDS)[BLOCK];

__attribute__((visibility("default"))) void recurra_link(product *const (*rows)[BLOCK], product *const (*bands)[BLOCK]) {
    BY_ROWS = rows;
    OF_BANDS = bands;
}
#else
#define DEFINE_PRODUCT(NAME, ROWS, WIDTH, A_ROW, A_STEP, FETCH)                                                        \
    static void NAME(const real *a, long a_row, long a_segment, long segments, long depth, const real *b, long b_step, \
                     const real *ahead, const real *init, long init_row, real *out, long out_row) {                    \
        vec sums[ROWS][WIDTH];                                                                                         \
        _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; r++)                                                         \
            _Pragma("GCC unroll 4") for (int v = 0; v < WIDTH; v++)                                                    \
                sums[r][v] = init ? load(init + r * init_row + v * LANES) : (vec){0};                                  \
        for (long segment = 0; segment < segments; segment++) {                                                        \
            const real *at = a + segment * a_segment;                                                                  \
            for (long k = 0; k < depth; k++, at += A_STEP, b += b_step, ahead += b_step) {                             \
                FETCH;                                                                                                 \
                vec panel[WIDTH];                                                                                      \
                _Pragma("GCC unroll 4") for (int v = 0; v < WIDTH; v++) panel[v] = load(b + v * LANES);                \
                _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; r++) {                                               \
                    const real factor = at[r * A_ROW];                                                                 \
                    _Pragma("GCC unroll 4") for (int v = 0; v < WIDTH; v++) sums[r][v] += panel[v] * factor;           \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; r++)                                                         \
            _Pragma("GCC unroll 4") for (int v = 0; v < WIDTH; v++) store(out + r * out_row + v * LANES, sums[r][v]);  \
        (void)a_row, (void)ahead;                                                                                      \
    }

/* By rows: a row's factors lie one after another. Of bands: a step's do, those of BAND rows. */
#define DEFINE_BY_ROWS(ROWS, WIDTH) \
    DEFINE_PRODUCT(by_rows_##ROWS##_##WIDTH, ROWS, WIDTH, a_row, 1, __builtin_prefetch(ahead, 0, 2))
#define DEFINE_BOTH(ROWS, WIDTH) \
    DEFINE_BY_ROWS(ROWS, WIDTH)  \
    DEFINE_PRODUCT(of_bands_##ROWS##_##WIDTH, ROWS, WIDTH, 1, BAND, (void)0)

#define DEFINE_WIDTH(WIDTH) \
    DEFINE_BOTH(1, WIDTH)   \
    DEFINE_BOTH(2, WIDTH)   \
    DEFINE_BOTH(3, WIDTH)   \
    DEFINE_BOTH(4, WIDTH)   \
    DEFINE_BOTH(5, WIDTH)   \
    DEFINE_BOTH(6, WIDTH)

DEFINE_WIDTH(1)
DEFINE_WIDTH(2)
#define LIST(KIND, W) KIND##_1_##W, KIND##_2_##W, KIND##_3_##W, KIND##_4_##W, KIND##_5_##W, KIND##_6_##W
#if REGISTERS == 32
DEFINE_BY_ROWS(7, 1)
DEFINE_BY_ROWS(8, 1)
DEFINE_BY_ROWS(7, 2)
DEFINE_BY_ROWS(8, 2)
DEFINE_WIDTH(3)
DEFINE_BY_ROWS(7, 3)
DEFINE_BY_ROWS(8, 3)
DEFINE_WIDTH(4)
static product *const BY_ROWS[PANEL][BLOCK] = {{LIST(by_rows, 1), by_rows_7_1, by_rows_8_1},
                                               {LIST(by_rows, 2), by_rows_7_2, by_rows_8_2},
                                               {LIST(by_rows, 3), by_rows_7_3, by_rows_8_3},
                                               {LIST(by_rows, 4)}};
static product *const OF_BANDS[PANEL][BLOCK] = {
    {LIST(of_bands, 1)}, {LIST(of_bands, 2)}, {LIST(of_bands, 3)}, {LIST(of_bands, 4)}};
#else
static product *const BY_ROWS[PANEL][BLOCK] = {{LIST(by_rows, 1)}, {LIST(by_rows, 2)}};
static product *const OF_BANDS[PANEL][BLOCK] = {{LIST(of_bands, 1)}, {LIST(of_bands, 2)}};
#endif

__attribute__((visibility("default"))) const void *recurra_products(int of_bands) { return of_bands ? OF_BANDS : BY_ROWS; }
#endif

/* What a product reads, and where its result goes, over any number of rows. */
typedef struct {
    const real *a;
    long a_row, a_segment, segments, depth;
    const real *b;
    long b_step;
    const real *init;
    long init_row;
    real *out;
    long out_row;
    long rows, width;  /* width in vectors, at most PANEL */
    const real *after; /* the panel that is read next; NULL: the one behind b */
} Product;

/* Steps of the depth whose part of a panel stays in the first cache while all rows pass. */
enum { DEPTH = (REGISTERS == 32 ? 32768 : 24576) / (PANEL * VECTOR_BYTES) };

INLINE void multiply_rows(const Product *p) {
    const int highest = HEIGHT[p->width - 1];
    const long blocks = (p->rows + highest - 1) / highest;
    const real *after = p->after ? p->after : p->b + p->segments * p->depth * p->b_step;
    for (long block = 0, row = 0; block < blocks; block++) { /* spread evenly: no block is much lower than the others */
        const long height = (p->rows - row + blocks - block - 1) / (blocks - block);
        const real *ahead = block < p->width ? after + block * LANES : p->b; /* of what follows, a line a block */
        BY_ROWS[p->width - 1][height - 1](
            p->a + row * p->a_row, p->a_row, p->a_segment, p->segments, p->depth, p->b, p->b_step, ahead,
            p->init ? p->init + row * p->init_row : NULL, p->init_row, p->out + row * p->out_row, p->out_row);
        row += height;
    }
}

/* Rows of a lie a_row apart. */
static void multiply(const Product *p) {
    const long size = p->segments > 1 ? (p->depth < DEPTH ? DEPTH / p->depth : 1) : DEPTH;
    const long whole = p->segments > 1 ? p->segments : p->depth;
    for (long begin = 0; begin < whole; begin += size) {
        const long count = whole - begin < size ? whole - begin : size;
        Product part = *p;
        if (p->segments > 1) part.segments = count, part.a += begin * p->a_segment, part.b += begin * p->depth * p->b_step;
        else part.depth = count, part.a += begin, part.b += begin * p->b_step;
        if (begin) part.init = p->out, part.init_row = p->out_row;
        if (begin + count < whole) part.after = NULL;
        multiply_rows(&part);
    }
}

/* Rows of a lie in bands, band after band, each with room for a_row steps: what sums gradients of weights over time. */
static void multiply_bands(const Product *p) {
    for (long begin = 0; begin < p->depth; begin += DEPTH) {
        const long depth = p->depth - begin < DEPTH ? p->depth - begin : DEPTH;
        const real *init = begin ? p->out : p->init;
        const long init_row = begin ? p->out_row : p->init_row;
        for (long row = 0; row < p->rows; row += BAND) {
            const long height = p->rows - row < BAND ? p->rows - row : BAND;
            OF_BANDS[p->width - 1][height - 1](p->a + row * p->a_row + begin * BAND, 0, 0, 1, depth, p->b + begin * p->b_step,
                                               p->b_step, p->b, init ? init + row * init_row : NULL, init_row,
                                               p->out + row * p->out_row, p->out_row);
        }
    }
}

/* `count` numbers of a row of a as step `step` of bands with room for `steps`. */
INLINE void into_bands(real *bands, long steps, long step, const real *from, long count) {
    long k = 0;
    for (; k + BAND <= count; k += BAND) memcpy(bands + k * steps + step * BAND, from + k, BAND * sizeof(real));
    for (long rest = 0; k + rest < count; rest++) bands[k * steps + step * BAND + rest] = from[k + rest];
}
