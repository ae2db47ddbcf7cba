/* What forward and backward share: the arguments of a call, how buffers lie, how weights are packed.
 *
 * Generated before this text: the numbers of columns, stages, states and so on, and what columns are made of. A column is
 * one number per unit that a product gives: of the input (x), of the output before (u), or of a further operand that
 * the equations compute on their way. Units come in tiles of TILE; a buffer of columns is [tile][row][column][TILE].
 *
 * Rows of a batch are shared out in slabs, one a thread; each runs through all of time by itself. */

#include <stdio.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__SSE2__)
#include <immintrin.h>
#endif

enum { TILE = PARTS * LANES, FURTHER_COLUMNS = COLUMNS - FIRST_COLUMNS };
enum { ROOM = 64 / sizeof(real) }; /* between rows that are read across: without it they would share cache sets */

/* All are 8 bytes wide; pointers are NULL where the call has no such thing. Rows are contiguous but for x. */
typedef struct {
    int64_t time, batch, input, hidden, output, reverse, slabs, block;
    int64_t x_time, x_batch; /* strides of x */
    int64_t connected;       /* outputs that each row of the recurrent weights reads; 0: all */
    int64_t most_read;       /* rows that read the output that most of them read: found on the way back */
    const real *x;           /* time batch input */
    const real *weight_input, *weight_recurrent, *bias_input, *bias_recurrent; /* torch's layout */
    const int64_t *connections;      /* recurrent row, connected: which outputs; the weights of others are 0 */
    const real *projection;          /* output hidden */
    const real *const *vectors;      /* each: hidden */
    const int64_t *order, *lengths;  /* rows by falling length, and their lengths in that order */
    const uint8_t *resets;           /* time batch */
    const real *const *restart;      /* per state: batch unit */
    const real *gaps;                /* time batch */
    const real *thin;                /* batch output */
    const uint8_t *const *kept;      /* per state: time batch unit */
    const real *const *start;        /* per state: batch unit; NULL for zeros */
    real *y;                         /* time batch output */
    real *const *last;               /* per state: batch unit */
    real *tape;                      /* tape_size() numbers */
    const real *dy;                  /* gradients from here on, in the shapes of what they are of */
    const real *const *dlast;
    real *dx, *dweight_input, *dweight_recurrent, *dbias_input, *dbias_recurrent, *dprojection;
    real *dvectors; /* vector hidden */
    real *const *dstart, *const *drestart; /* NULL for a state whose gradient is not wanted */
} Call;

/* Exported; with a prefix, for a name that some other library has too would be taken from there. */
#define EXPORT __attribute__((visibility("default")))

INLINE long up(long size, long step) { return (size + step - 1) / step * step; }

INLINE long tiles_of(const Call *c) { return up(c->hidden, TILE) / TILE; }

/* Units with padding. */
INLINE long width_of(const Call *c, int state) {
    return state == 0 && PROJECTED ? up(c->output, LANES) : tiles_of(c) * TILE;
}

/* Outputs likewise, also where panels of products end. */
INLINE long output_width(const Call *c) { return width_of(c, 0); }

INLINE long unit_count(const Call *c, int state) { return state == 0 ? c->output : c->hidden; }

/* A slab: which rows of the batch, longest first. */
typedef struct {
    long index, first, rows, stride;
} Slab;

static Slab slab_of(const Call *c, long index) {
    const long share = c->batch / c->slabs, more = c->batch % c->slabs;
    Slab s = {index, index * share + (index < more ? index : more), share + (index < more), 1};
    if (c->order) s.first = index, s.stride = c->slabs; /* short rows and long ones to every thread */
    return s;
}

/* The batch's row that is the slab's row `row`. */
INLINE long place(const Call *c, const Slab *s, long row) {
    const long at = s->first + row * s->stride;
    return c->order ? c->order[at] : at;
}

INLINE long length_of(const Call *c, const Slab *s, long row) {
    return c->lengths ? c->lengths[s->first + row * s->stride] : c->time;
}

/* Rows that have a step t: the first so many. */
static long active_rows(const Call *c, const Slab *s, long t) {
    if (!c->lengths) return s->rows;
    long rows = 0;
    while (rows < s->rows && length_of(c, s, rows) > t) rows++;
    return rows;
}

INLINE long time_of(const Call *c, long k) { return c->reverse ? c->time - 1 - k : k; }

/* One allocation, handed out in pieces that begin at cache lines. */
typedef struct {
    char *base;
    size_t used, size;
} Arena;

static real *take(Arena *arena, long count) {
    const size_t bytes = ((size_t)count * sizeof(real) + 63) / 64 * 64 + 64;
    real *piece = arena->base ? (real *)(arena->base + arena->used) : NULL; /* without a base: only counts */
    arena->used += bytes;
    return piece;
}

/* Large memory in large pages: to touch it for the first time would else take longer than to compute what is in it. */
static void ask_for_large_pages(void *memory, size_t bytes) {
#if defined(__linux__)
    const uintptr_t page = 4096, begin = ((uintptr_t)memory + page - 1) / page * page;
    if (bytes > (4u << 20)) madvise((void *)begin, (bytes - page) / page * page, MADV_HUGEPAGE);
#else
    (void)memory, (void)bytes;
#endif
}

static int allocate(Arena *arena) {
    void *base = NULL;
    if (posix_memalign(&base, 64, arena->used + 64)) return -1;
    ask_for_large_pages(base, arena->used);
    memset(base, 0, arena->used + 64); /* what is never written, the padding, must be 0 */
    *arena = (Arena){base, 0, arena->used};
    return 0;
}

/* Numbers so small that processors handle them apart are taken for 0: vanished gradients would cost a hundred times more. */
INLINE unsigned flush_denormals(void) {
#if defined(__SSE2__)
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    return before;
#elif defined(__aarch64__)
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | (1 << 24)));
    return (unsigned)before;
#else
    return 0;
#endif
}

INLINE void restore_denormals(unsigned before) {
#if defined(__SSE2__)
    _mm_setcsr(before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)before));
#else
    (void)before;
#endif
}

enum { STRIP = 32 }; /* steps of a depth whose cache lines stay at hand while a tile's units are taken in turn */

/* to[tile][k][column][unit] = weight[(gate * hidden + unit) * depth + k], for the columns from first on. */
static void pack_forward(const Call *c, const real *weight, const int *gates, int first, int count, long depth, long tile,
                         real *to) {
    real *panel = to + tile * depth * count * TILE;
    const long units = c->hidden - tile * TILE < TILE ? c->hidden - tile * TILE : TILE;
    for (long begin = 0; begin < depth; begin += STRIP) {
        const long end = begin + STRIP < depth ? begin + STRIP : depth;
        for (int column = 0; column < count; column++)
            for (long unit = 0; unit < units; unit++) {
                const real *from = weight + (gates[first + column] * c->hidden + tile * TILE + unit) * depth;
                for (long k = begin; k < end; k++) panel[(k * count + column) * TILE + unit] = from[k];
            }
    }
}

INLINE long panels_of(long width) { return up(up(width, LANES) / LANES, PANEL) / PANEL; }

/* Vectors in a panel over `width` numbers. */
INLINE long panel_width(long width, long panel) {
    const long left = up(width, LANES) / LANES - panel * PANEL;
    return left < PANEL ? left : PANEL;
}

/* to[panel][tile][column][unit][lane] = weight[(gate * hidden + unit) * depth + lane of the panel]. */
static void pack_backward(const Call *c, const real *weight, const int *gates, int first, int count, long depth, long tile,
                          real *to) {
    const long tiles = tiles_of(c);
    for (long panel = 0; panel < panels_of(depth); panel++) {
        const long lanes = panel_width(depth, panel) * LANES, begin = panel * PANEL * LANES;
        const long filled = depth - begin < lanes ? depth - begin : lanes;
        real *block = to + panel * PANEL * LANES * tiles * count * TILE + tile * count * TILE * lanes;
        for (int column = 0; column < count; column++) {
            for (long unit = 0; unit < TILE && tile * TILE + unit < c->hidden; unit++) {
                const real *from = weight + (gates[first + column] * c->hidden + tile * TILE + unit) * depth + begin;
                memcpy(block + (column * TILE + unit) * lanes, from, (size_t)filled * sizeof(real));
            }
        }
    }
}

/* weight[(gate * hidden + unit) * depth + k] = from[tile][k][column][unit]: gradients back in torch's layout. */
static void unpack(const Call *c, const real *from, const int *gates, int first, int count, long depth, long tile,
                   real *weight) {
    const real *panel = from + tile * depth * count * TILE;
    const long units = c->hidden - tile * TILE < TILE ? c->hidden - tile * TILE : TILE;
    for (long begin = 0; begin < depth; begin += STRIP) {
        const long end = begin + STRIP < depth ? begin + STRIP : depth;
        for (int column = 0; column < count; column++)
            for (long unit = 0; unit < units; unit++) {
                real *to = weight + (gates[first + column] * c->hidden + tile * TILE + unit) * depth;
                for (long k = begin; k < end; k++) to[k] = panel[(k * count + column) * TILE + unit];
            }
    }
}

INLINE void copy_row(real *to, const real *from, long count) {
    memcpy(to, from, (size_t)count * sizeof(real));
}

/* Rows of x at step t, side by side, `apart` numbers apart. */
static void gather(const Call *c, const Slab *s, long t, long rows, real *to, long apart) {
    for (long row = 0; row < rows; row++)
        copy_row(to + row * apart, c->x + t * c->x_time + place(c, s, row) * c->x_batch, c->input);
}

/* Per lane whether the byte is not 0. */
INLINE mask load_mask(const uint8_t *from, long count) {
    mask found = {0};
    for (int lane = 0; lane < LANES && lane < count; lane++) found[lane] = -(whole)(from[lane] != 0);
    return found;
}

/* What one step of a slab reads and writes; states and the like are [state][row][padded unit]. */
typedef struct {
    const Call *call;
    const Slab *slab;
    long t, rows;          /* rows: those that have the step */
    long tile_rows;        /* rows of pre and of gradients between tiles */
    const real *x;         /* rows of x, x_row apart, if they are still to be multiplied */
    long x_row;
    real *pre;             /* the first columns, at the step's first row */
    real *work, *tape;     /* further columns and what later stages need; what the way back needs */
    const real *state;     /* before the step; the way back: gradient of the state after it */
    real *next;            /* after it; the way back: gradient of the state before */
    long state_stride;     /* between states */
    long width;            /* between rows of a state */
    const real *vectors;   /* [vector][padded unit] */
    const real *thin;      /* [row][padded output] */
    real *operands;        /* [operand][row][padded unit] */
    real *full;            /* [row][padded unit]: the output before its projection, or its gradient */
    const real *const *before; /* the way back: per row, the output before the step */
    const real *nothing;   /* zeros, as many as there are outputs */
    real *full_again;      /* the way back: [row][padded unit], the output before its projection */
    real *gradients;       /* of all columns, at the step's first row */
    real *spread;          /* [row][column]: 1 / deviation of normalised columns */
    real *dvectors;        /* [vector][padded unit] */
    real *backs;           /* [operand][row][padded unit]: what further operands are owed */
} Step;

/* Every other step takes tiles and panels the other way round: the weights that one ends with, the next finds in the cache. */
INLINE int turns(const Step *s) { return (int)(s->t & 1); }

INLINE long in_turn(long at, long count, int turned) { return turned ? count - 1 - at : at; }

/* The batch's row that is row `row` of the step. */
INLINE long place_of(const Step *s, long row) { return place(s->call, s->slab, row); }

#if LAYER_NORM
/* Columns of some rows to mean 0 and variance 1 over their units; 1 / deviation to spread. */
static void normalise(const Call *c, real *columns, long tile_stride, long row_stride, long rows, int count, real *spread,
                      long spread_row) {
    const long tiles = tiles_of(c), hidden = c->hidden;
    for (long row = 0; row < rows; row++) {
        for (int column = 0; column < count; column++) {
            real *at = columns + row * row_stride + column * TILE;
            vec total = {0}, squares = {0};
            for (long tile = 0; tile < tiles; tile++)
                for (long unit = 0; unit < TILE; unit += LANES) total += load(at + tile * tile_stride + unit);
            const real mean = sum(total) / (real)hidden;
            for (long tile = 0; tile < tiles; tile++)
                for (long unit = 0; unit < TILE; unit += LANES) {
                    const vec keep = as_vec(leading(hidden - tile * TILE - unit));
                    const vec centred = load(at + tile * tile_stride + unit) - mean;
                    const vec inside = as_vec(as_mask(centred) & as_mask(keep));
                    squares += inside * inside;
                    store(at + tile * tile_stride + unit, inside);
                }
            const real inverse = 1 / (real)sqrt((double)(sum(squares) / (real)hidden) + 1e-5);
            for (long tile = 0; tile < tiles; tile++)
                for (long unit = 0; unit < TILE; unit += LANES)
                    store(at + tile * tile_stride + unit, load(at + tile * tile_stride + unit) * inverse);
            spread[row * spread_row + column] = inverse;
        }
    }
}

/* Gradients of normalised columns become those of the raw ones:  (d - mean(d) - v mean(d v)) / deviation. */
static void denormalise(const Step *s, int column, int taped) {
    const Call *c = s->call;
    const long tiles = tiles_of(c), hidden = c->hidden;
    for (long row = 0; row < s->rows; row++) {
        real *at = s->gradients + (row * COLUMNS + column) * TILE;
        const real *normal = s->tape + (row * TAPE + taped) * TILE;
        const long stride = s->tile_rows * COLUMNS * TILE, taped_stride = s->slab->rows * TAPE * TILE;
        vec total = {0}, product = {0};
        for (long tile = 0; tile < tiles; tile++)
            for (long unit = 0; unit < TILE; unit += LANES) {
                const vec d = load(at + tile * stride + unit);
                total += d;
                product += d * load(normal + tile * taped_stride + unit);
            }
        const real mean = sum(total) / (real)hidden, slope = sum(product) / (real)hidden;
        const real inverse = s->spread[row * COLUMNS + column];
        for (long tile = 0; tile < tiles; tile++)
            for (long unit = 0; unit < TILE; unit += LANES) {
                const vec d = load(at + tile * stride + unit), v = load(normal + tile * taped_stride + unit);
                const mask keep = leading(hidden - tile * TILE - unit);
                store(at + tile * stride + unit, as_vec(as_mask((d - mean - v * slope) * inverse) & keep));
            }
    }
}
#endif
