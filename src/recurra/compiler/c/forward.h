/* The way through time: each slab runs through all of it, block by block of steps.
 *
 * A block's products with x come first, many rows at once; then step by step those with the output before, on top of them,
 * tile by tile, each tile's equations while it is at hand. */

/* Rows of first columns that are held at once, of all tiles: those of a block, or of a step, or of a step's one tile. */
INLINE long first_rows(const Call *c, const Slab *s) {
    if (!reads_stepwise(c)) return tiles_of(c) * c->block;
    return STAGES == 1 && c->time > 1 ? s->rows : tiles_of(c) * s->rows;
}

#define FORWARD_BUFFERS(X)                                                       \
    X(inputs, c->block * (c->input + ROOM))                                      \
    X(pre, first_rows(c, s) * FIRST_COLUMNS * TILE)                              \
    X(work, tiles * s->rows * WORK * TILE)                                       \
    X(states, 2 * STATES * s->rows * wide)                                       \
    X(thin, THINNED ? s->rows * wide : 0)                                        \
    X(thinned, THINNED ? s->rows * wide : 0)                                     \
    X(operands, OPERANDS * s->rows * tiles * TILE)                               \
    X(full, PROJECTED ? s->rows * tiles * TILE : 0)                              \
    X(spread, LAYER_NORM ? s->rows * COLUMNS : 0)

typedef struct {
#define DECLARE(NAME, SIZE) real *NAME;
    FORWARD_BUFFERS(DECLARE)
} ForwardBuffers;

static ForwardBuffers take_forward(const Call *c, const Slab *s, Arena *arena) {
    const long tiles = tiles_of(c), wide = width_of(c, 0) > tiles * TILE ? width_of(c, 0) : tiles * TILE;
    ForwardBuffers b;
#define TAKE(NAME, SIZE) b.NAME = take(arena, SIZE);
    FORWARD_BUFFERS(TAKE)
    (void)wide;
    return b;
}

/* Packed once for all slabs. */
#define FORWARD_WEIGHTS(X)                                                       \
    X(input, X_COUNT * tiles * c->input * TILE)                                  \
    X(recurrent, U_COUNT * tiles * TILE * (c->connected ? c->connected : c->output)) \
    X(places, U_COUNT * tiles * TILE * c->connected)                             \
    X(further, FURTHER_COLUMNS * tiles * c->hidden * TILE)                       \
    X(bias, COLUMNS * tiles * TILE)                                              \
    X(projection, PROJECTED ? panels_of(c->output) * PANEL * LANES * c->hidden : 0) \
    X(vectors, VECTORS * tiles * TILE)

typedef struct {
    FORWARD_WEIGHTS(DECLARE)
} ForwardWeights;

static ForwardWeights take_forward_weights(const Call *c, Arena *arena) {
    const long tiles = tiles_of(c);
    ForwardWeights w;
#define TAKE_WEIGHT(NAME, SIZE) w.NAME = take(arena, SIZE);
    FORWARD_WEIGHTS(TAKE_WEIGHT)
    return w;
}

static void pack_vectors(const Call *c, real *to) {
    for (int vector = 0; vector < VECTORS; vector++)
        copy_row(to + vector * tiles_of(c) * TILE, c->vectors[vector], c->hidden);
}

static void pack_bias(const Call *c, long tile, real *to) {
    for (int column = 0; column < COLUMNS; column++) {
        for (long unit = 0; unit < TILE && tile * TILE + unit < c->hidden; unit++) {
            real bias = 0;
            if (c->bias_input && INPUT_GATE[column] >= 0)
                bias += c->bias_input[INPUT_GATE[column] * c->hidden + tile * TILE + unit];
            if (c->bias_recurrent && RECURRENT_GATE[column] >= 0)
                bias += c->bias_recurrent[RECURRENT_GATE[column] * c->hidden + tile * TILE + unit];
            to[(tile * COLUMNS + column) * TILE + unit] = LAYER_NORM ? 0 : bias; /* else it comes behind, as a vector */
        }
    }
}

/* One tile's share of all that forward packs. */
static void pack_forward_tile(const Call *c, long tile, const ForwardWeights *w) {
    pack_forward(c, c->weight_input, INPUT_GATE, 0, X_COUNT, c->input, tile, w->input);
    if (U_COUNT && c->connected) pack_sparse(c, tile, w->recurrent, (spot *)w->places);
    else if (U_COUNT) pack_forward(c, c->weight_recurrent, RECURRENT_GATE, U_FIRST, U_COUNT, c->output, tile, w->recurrent);
    for (int operand = 0; operand < OPERANDS; operand++)
        pack_forward(c, c->weight_recurrent, RECURRENT_GATE, OPERAND_FIRST[operand], OPERAND_COUNT[operand], c->hidden, tile,
                     w->further + (OPERAND_FIRST[operand] - FIRST_COLUMNS) * tiles_of(c) * c->hidden * TILE);
    pack_bias(c, tile, w->bias);
}

/* to[panel][unit][lane] = projection[output][unit]. */
static void pack_projection(const Call *c, real *to) {
    for (long panel = 0; panel < panels_of(c->output); panel++) {
        const long lanes = panel_width(c->output, panel) * LANES, begin = panel * PANEL * LANES;
        for (long lane = 0; lane < lanes && begin + lane < c->output; lane++)
            for (long unit = 0; unit < c->hidden; unit++)
                to[begin * c->hidden + unit * lanes + lane] = c->projection[(begin + lane) * c->hidden + unit];
    }
}

/* Products of `rows` rows of a with `count` columns of one tile, on top of init. */
static void multiply_columns(const real *a, long a_row, long depth, const real *weight, int count, long tile, int turned,
                             const real *init, long init_row, real *out, long out_row, long rows) {
    const long vectors = count * PARTS, size = depth * count * TILE;
    const real *panel = weight + tile * size;
    for (long v = 0; v < vectors; v += PANEL) {
        const Product p = {a, a_row, 0, 1, depth, panel + v * LANES, vectors * LANES, init + v * LANES, init_row,
                           out + v * LANES, out_row, rows, vectors - v < PANEL ? vectors - v : PANEL,
                           turned ? panel - (tile ? size : 0) + v * LANES : NULL};
        multiply(&p);
    }
}

/* The first columns of one tile as far as rows of x make them, and biases. */
static void add_inputs(const Call *c, const ForwardWeights *w, const real *x, long x_row, const real *bias, real *pre,
                       long tile, long rows) {
    if (X_COUNT)
        multiply_columns(x, x_row, c->input, w->input, X_COUNT, tile, 0, bias, 0, pre, FIRST_COLUMNS * TILE, rows);
    if (FIRST_COLUMNS > X_COUNT)
        for (long row = 0; row < rows; row++)
            memcpy(pre + (row * FIRST_COLUMNS + X_COUNT) * TILE, bias + X_COUNT * TILE,
                   (FIRST_COLUMNS - X_COUNT) * TILE * sizeof(real));
}

/* The same of all tiles, for a block of steps. */
static void read_inputs(const Call *c, const ForwardWeights *w, const ForwardBuffers *b, long rows) {
    for (long tile = 0; tile < tiles_of(c); tile++)
        add_inputs(c, w, b->inputs, c->input + ROOM, w->bias + tile * COLUMNS * TILE,
                   b->pre + tile * c->block * FIRST_COLUMNS * TILE, tile, rows);
}

/* Rows that begin anew before the step. */
static void restart_rows(const Step *s, real *state) {
    const Call *c = s->call;
    if (!c->resets) return;
    for (long row = 0; row < s->rows; row++) {
        const long at = place(c, s->slab, row);
        if (!c->resets[s->t * c->batch + at]) continue;
        for (int one = 0; one < STATES; one++)
            copy_row(state + one * s->state_stride + row * s->width, c->restart[one] + at * unit_count(c, one),
                        unit_count(c, one));
    }
}

/* The products with what the step's own equations computed, for the columns of one operand. */
static void multiply_operand(const Step *s, const ForwardWeights *w, int operand) {
    const Call *c = s->call;
    const long tiles = tiles_of(c), first = OPERAND_FIRST[operand] - FIRST_COLUMNS;
    for (long at = 0; at < tiles; at++) {
        const long tile = in_turn(at, tiles, turns(s));
        multiply_columns(s->operands + operand * s->slab->rows * tiles * TILE, tiles * TILE, c->hidden,
                         w->further + first * tiles * c->hidden * TILE, OPERAND_COUNT[operand], tile, turns(s),
                         w->bias + (tile * COLUMNS + OPERAND_FIRST[operand]) * TILE, 0,
                         s->work + (tile * s->slab->rows * WORK + first) * TILE, WORK * TILE, s->rows);
    }
#if LAYER_NORM
    normalise(c, s->work + first * TILE, s->slab->rows * WORK * TILE, WORK * TILE, s->rows, OPERAND_COUNT[operand],
              s->spread + OPERAND_FIRST[operand], COLUMNS);
#endif
}

static void project(const Step *s, const ForwardWeights *w) {
    const Call *c = s->call;
    for (long panel = 0; panel < panels_of(c->output); panel++) {
        const long begin = panel * PANEL * LANES, width = panel_width(c->output, panel);
        const Product p = {s->full, tiles_of(c) * TILE, 0, 1, c->hidden, w->projection + begin * c->hidden, width * LANES, NULL,
                           0, s->next + begin, s->width, s->rows, width, NULL};
        multiply(&p);
    }
    for (long row = 0; row < s->rows; row++)
        copy_row(c->y + (s->t * c->batch + place(c, s->slab, row)) * c->output, s->next + row * s->width, c->output);
}

/* The first columns of one tile as far as the output before makes them. */
static void add_outputs(const Step *s, const ForwardWeights *w, const real *output, long tile, real *pre) {
    const Call *c = s->call;
    if (c->connected)
        multiply_sparse(c, w->recurrent, (const spot *)w->places, tile, output, s->width, pre, FIRST_COLUMNS * TILE, s->rows);
    else
        multiply_columns(output, s->width, c->output, w->recurrent, U_COUNT, tile, turns(s), pre, FIRST_COLUMNS * TILE, pre,
                         FIRST_COLUMNS * TILE, s->rows);
}

/* The first columns of one tile, from x and the output before. */
static void add_both(const Step *s, const ForwardWeights *w, const real *output, long tile) {
    const Call *c = s->call;
    const real *bias = w->bias + tile * COLUMNS * TILE;
    real *pre = s->pre + tile * s->tile_rows * FIRST_COLUMNS * TILE;
#if FUSED_WIDTH
    if (!c->connected && c->input + c->output <= DEPTH) {
        const Fused f = {.x = s->x, .x_panel = w->input + tile * c->input * X_COUNT * TILE, .x_row = s->x_row,
                         .x_depth = c->input, .x_step = X_COUNT * TILE, .u = output,
                         .u_panel = w->recurrent + tile * c->output * U_COUNT * TILE, .u_row = s->width,
                         .u_depth = c->output, .u_step = U_COUNT * TILE, .bias = bias, .out = pre,
                         .out_row = FIRST_COLUMNS * TILE};
        multiply_fused(f, s->rows);
        return;
    }
#endif
    add_inputs(c, w, s->x, s->x_row, bias, pre, tile, s->rows);
    if (U_COUNT) add_outputs(s, w, output, tile, pre + U_FIRST * TILE);
}

static void step_forward(Step *s, const ForwardWeights *w, const ForwardBuffers *b) {
    const Call *c = s->call;
    const long tiles = tiles_of(c);
    restart_rows(s, (real *)s->state);
    const real *output = s->state;
#if THINNED
    for (long at = 0; at < s->rows * s->width; at += LANES)
        store(b->thinned + at, load(s->state + at) * load(b->thin + at));
    output = b->thinned;
#endif
    for (long at = 0; at < tiles; at++) {
        const long tile = in_turn(at, tiles, turns(s));
        real *pre = s->pre + (tile * s->tile_rows * FIRST_COLUMNS + U_FIRST) * TILE;
        if (s->x) add_both(s, w, output, tile);
        else if (U_COUNT) add_outputs(s, w, output, tile, pre);
        if (!LAYER_NORM) FORWARD[0](s, tile);
    }
#if LAYER_NORM
    if (U_COUNT)
        normalise(c, s->pre + U_FIRST * TILE, s->tile_rows * FIRST_COLUMNS * TILE, FIRST_COLUMNS * TILE, s->rows, U_COUNT,
                  s->spread + U_FIRST, COLUMNS);
    for (long tile = 0; tile < tiles; tile++) FORWARD[0](s, tile);
#endif
    for (int stage = 1; stage < STAGES; stage++) {
        for (int operand = 0; operand < OPERANDS; operand++)
            if (OPERAND_STAGE[operand] == stage) multiply_operand(s, w, operand);
        for (long tile = 0; tile < tiles; tile++) FORWARD[stage](s, tile);
    }
    if (PROJECTED) project(s, w);
    for (long row = s->rows; row < s->slab->rows; row++)
        memset(c->y + (s->t * c->batch + place(c, s->slab, row)) * c->output, 0, (size_t)c->output * sizeof(real));
    (void)b;
}

/* Where a slab's share of the tape begins, in numbers; the last slab's end is the whole. */
static long tape_begin(const Call *c, long slab) {
    long rows = 0;
    for (long before = 0; before < slab; before++) rows += slab_of(c, before).rows;
    return rows * c->time * (tiles_of(c) * TAPE * TILE + (LAYER_NORM ? COLUMNS : 0));
}

/* What step k of the slab keeps for the way back. */
static real *tape_of(const Call *c, const Slab *s, long k) {
    return c->tape ? c->tape + tape_begin(c, s->index) + k * s->rows * tiles_of(c) * TAPE * TILE : NULL;
}

static real *taped_spread(const Call *c, const Slab *s, long k) {
    return c->tape + tape_begin(c, s->index) + c->time * s->rows * tiles_of(c) * TAPE * TILE + k * s->rows * COLUMNS;
}

static void begin_states(const Call *c, const Slab *s, const real *const *start, real *states, long stride, long width) {
    for (int half = 0; half < 2; half++) /* rows take part from some step on: both halves must hold what they begin with */
        for (int one = 0; one < STATES; one++)
            for (long row = 0; row < s->rows; row++)
                if (start[one])
                    copy_row(states + (half * STATES + one) * stride + row * width,
                                start[one] + place(c, s, row) * unit_count(c, one), unit_count(c, one));
}

/* Steps k to end, whose rows all find room in a block; their rows of x lie in b->inputs, their columns in b->pre. */
static void forward_block(const Call *c, const Slab *s, const ForwardWeights *w, const ForwardBuffers *b, long k, long end,
                          long wide) {
    const long stride = s->rows * wide;
    long done = 0;
    for (; k < end; k++) {
        const long t = time_of(c, k);
        Step step = {.call = c, .slab = s, .t = t, .rows = active_rows(c, s, t), .tile_rows = c->block,
                     .pre = b->pre + done * FIRST_COLUMNS * TILE, .work = b->work, .tape = tape_of(c, s, k),
                     .state = b->states + (k & 1) * STATES * stride, .next = b->states + (~k & 1) * STATES * stride,
                     .state_stride = stride, .width = wide, .vectors = w->vectors, .thin = b->thin,
                     .operands = b->operands, .full = b->full,
                     .spread = LAYER_NORM && c->tape ? taped_spread(c, s, k) : b->spread};
        if (reads_stepwise(c)) { /* x as it lies, unless rows change places */
            step.pre = b->pre;
            step.tile_rows = STAGES == 1 ? 0 : s->rows; /* one tile after the other in the same place, which stays in cache */
            step.x = c->order ? b->inputs : c->x + t * c->x_time + s->first * c->x_batch;
            step.x_row = c->order ? c->input + ROOM : c->x_batch;
            if (c->order) gather(c, s, t, step.rows, b->inputs, c->input + ROOM);
        }
#if LAYER_NORM
        if (X_COUNT)
            normalise(c, step.pre, c->block * FIRST_COLUMNS * TILE, FIRST_COLUMNS * TILE, step.rows, X_COUNT, step.spread,
                      COLUMNS);
#endif
        step_forward(&step, w, b);
        done += step.rows;
    }
}

static void forward_slab(const Call *c, const Slab *s, const ForwardWeights *w, const ForwardBuffers *b) {
    const long tiles = tiles_of(c), wide = width_of(c, 0) > tiles * TILE ? width_of(c, 0) : tiles * TILE;
    const long stride = s->rows * wide;
    begin_states(c, s, c->start, b->states, stride, wide);
    if (THINNED)
        for (long row = 0; row < s->rows; row++)
            copy_row(b->thin + row * wide, c->thin + place(c, s, row) * c->output, c->output);
    if (reads_stepwise(c)) forward_block(c, s, w, b, 0, c->time, wide);
    else
        for (long k = 0, end; k < c->time; k = end) {
            long rows = 0;
            for (end = k; end < c->time; end++) {
                const long more = active_rows(c, s, time_of(c, end));
                if (rows + more > c->block) break;
                gather(c, s, time_of(c, end), more, b->inputs + rows * (c->input + ROOM), c->input + ROOM);
                rows += more;
            }
            read_inputs(c, w, b, rows);
            forward_block(c, s, w, b, k, end, wide);
        }
    for (long row = 0; row < s->rows; row++) {
        const long taken = c->reverse ? c->time : length_of(c, s, row);
        for (int one = 0; one < STATES; one++)
            copy_row(c->last[one] + place(c, s, row) * unit_count(c, one),
                        b->states + ((taken & 1) * STATES + one) * stride + row * wide, unit_count(c, one));
    }
}

/* Numbers that the tape of a call has; the last is that of the slabs, in which the way back must find them. */
static int64_t tape_size(const Call *c) { return tape_begin(c, c->slabs) + 1; }

EXPORT int64_t recurra_tape_size(const Call *c) { return tape_size(c); }

/* What each thread of a team does. */
static void forward_share(const Call *c, const ForwardWeights *weights, const ForwardBuffers *buffers) {
    const unsigned before = flush_denormals();
#pragma omp for schedule(static)
    for (long tile = 0; tile < tiles_of(c); tile++) pack_forward_tile(c, tile, weights);
#pragma omp for schedule(static)
    for (long slab = 0; slab < c->slabs; slab++) {
        const Slab s = slab_of(c, slab);
        forward_slab(c, &s, weights, &buffers[slab]);
    }
    restore_denormals(before);
}

/* All of a sequence; 0, or -1 without memory. */
EXPORT int recurra_forward(const Call *c) {
    Arena arena = {0};
    for (int counting = 1; counting >= 0; counting--) {
        ForwardBuffers buffers[c->slabs];
        const ForwardWeights weights = take_forward_weights(c, &arena);
        for (long slab = 0; slab < c->slabs; slab++) {
            const Slab s = slab_of(c, slab);
            buffers[slab] = take_forward(c, &s, &arena);
        }
        if (counting) {
            if (allocate(&arena)) return -1;
            continue;
        }
        ask_for_large_pages(c->y, (size_t)(c->time * c->batch * c->output) * sizeof(real));
        if (c->tape) ask_for_large_pages(c->tape, (size_t)tape_size(c) * sizeof(real));
        if (c->tape) c->tape[tape_size(c) - 1] = (real)c->slabs;
        pack_vectors(c, weights.vectors);
        if (PROJECTED) pack_projection(c, weights.projection);
        if (c->slabs == 1) forward_share(c, &weights, buffers); /* no team: after a fork, one would never come together */
        else {
#pragma omp parallel num_threads(c->slabs)
            forward_share(c, &weights, buffers);
        }
    }
    free(arena.base);
    return 0;
}
