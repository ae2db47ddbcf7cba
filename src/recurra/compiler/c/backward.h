/* The way back through time, in the same slabs: gradients of all that the way through read.
 *
 * Step by step the equations' derivatives give the gradients of columns, and their products with the weights those of the
 * output before. What can wait is done for a block of steps at once: the gradients of x, of weights and of biases. */

#define BACKWARD_BUFFERS(X)                                                                  \
    X(input_bands, X_COUNT && c->dweight_input ? c->block * up(c->input, BAND) : 0)          \
    X(output_bands, U_COUNT && c->dweight_recurrent ? c->block * up(c->output, BAND) : 0)    \
    X(operand_bands, OPERANDS * c->block * up(c->hidden, BAND))                              \
    X(shown_bands, PROJECTED ? c->block * up(c->output, BAND) : 0)                           \
    X(operands, OPERANDS * s->rows * units)                                                  \
    X(full, PROJECTED ? c->block * units : 0)                                                \
    X(shown, PROJECTED ? s->rows * wide : 0)                                                 \
    X(gradients, c->block * COLUMNS * units)                                                 \
    X(work, BACK_WORK * s->rows * units)                                                     \
    X(states, 2 * STATES * s->rows * wide)                                                   \
    X(thin, THINNED ? s->rows * wide : 0)                                                    \
    X(thinned, THINNED ? s->rows * wide : 0)                                                 \
    X(backs, OPERANDS * s->rows * units)                                                     \
    X(dfull, PROJECTED ? s->rows * units : 0)                                                \
    X(dinputs, c->dx ? c->block * up(c->input, LANES) : 0)                                   \
    X(nothing, wide)                                                                         \
    X(dweight_input, c->dweight_input ? X_COUNT * units * c->input : 0)                      \
    X(dweight_recurrent, c->dweight_recurrent ? U_COUNT * units * c->output : 0)             \
    X(dweight_further, FURTHER_COLUMNS * units * c->hidden)                                  \
    X(dbias, COLUMNS * units)                                                                \
    X(dvectors, VECTORS * units)                                                             \
    X(dprojection, PROJECTED ? c->output * units : 0)                                        \
    X(before, (s->rows * (long)sizeof(real *) + (long)sizeof(real) - 1) / (long)sizeof(real))

typedef struct {
    BACKWARD_BUFFERS(DECLARE)
} BackwardBuffers;

static BackwardBuffers take_backward(const Call *c, const Slab *s, Arena *arena) {
    const long units = tiles_of(c) * TILE, wide = width_of(c, 0) > units ? width_of(c, 0) : units;
    BackwardBuffers b;
    BACKWARD_BUFFERS(TAKE)
    return b;
}

#define BACKWARD_WEIGHTS(X)                                                                                \
    X(input, c->dx ? X_COUNT * tiles * TILE * panels_of(c->input) * PANEL * LANES : 0)                     \
    X(recurrent, c->connected ? up(c->output, LANES) * c->most_read                                        \
                              : U_COUNT * tiles * TILE * panels_of(c->output) * PANEL * LANES)             \
    X(places, c->connected ? up(c->output, LANES) * c->most_read : 0)                                      \
    X(further, FURTHER_COLUMNS * tiles * TILE * panels_of(c->hidden) * PANEL * LANES)                      \
    X(projection, PROJECTED ? c->output * panels_of(c->hidden) * PANEL * LANES : 0)                        \
    X(vectors, VECTORS * tiles * TILE)

typedef struct {
    BACKWARD_WEIGHTS(DECLARE)
} BackwardWeights;

static BackwardWeights take_backward_weights(const Call *c, Arena *arena) {
    const long tiles = tiles_of(c);
    BackwardWeights w;
    BACKWARD_WEIGHTS(TAKE_WEIGHT)
    return w;
}

INLINE real *further_back(const Call *c, real *packed, int operand) {
    return packed + (OPERAND_FIRST[operand] - FIRST_COLUMNS) * tiles_of(c) * TILE * panels_of(c->hidden) * PANEL * LANES;
}

static void pack_backward_tile(const Call *c, long tile, const BackwardWeights *w) {
    if (c->dx && X_COUNT) pack_backward(c, c->weight_input, INPUT_GATE, 0, X_COUNT, c->input, tile, w->input);
    if (U_COUNT && !c->connected)
        pack_backward(c, c->weight_recurrent, RECURRENT_GATE, U_FIRST, U_COUNT, c->output, tile, w->recurrent);
    for (int operand = 0; operand < OPERANDS; operand++)
        pack_backward(c, c->weight_recurrent, RECURRENT_GATE, OPERAND_FIRST[operand], OPERAND_COUNT[operand], c->hidden, tile,
                      further_back(c, w->further, operand));
}

/* to[panel][output][lane] = projection[output][unit of the panel]. */
static void pack_projection_back(const Call *c, real *to) {
    for (long panel = 0; panel < panels_of(c->hidden); panel++) {
        const long lanes = panel_width(c->hidden, panel) * LANES, begin = panel * PANEL * LANES;
        const long filled = c->hidden - begin < lanes ? c->hidden - begin : lanes;
        for (long k = 0; k < c->output; k++)
            copy_row(to + begin * c->output + k * lanes, c->projection + k * c->hidden + begin, filled);
    }
}

/* What the gradients of `count` columns owe, through weights, to what they are products of: [row][width]. */
static void multiply_back(const Call *c, const real *gradients, int first, int count, const real *weight, long width,
                          int turned, const real *init, real *out, long out_row, long rows) {
    const long depth = tiles_of(c) * count * TILE, panels = panels_of(width);
    for (long at = 0; at < panels; at++) {
        const long panel = in_turn(at, panels, turned);
        const long begin = panel * PANEL * LANES, vectors = panel_width(width, panel);
        const Product p = {gradients + first * TILE, COLUMNS * TILE, c->block * COLUMNS * TILE, tiles_of(c), count * TILE,
                           weight + begin * depth, vectors * LANES, init ? init + begin : NULL, out_row, out + begin,
                           out_row, rows, vectors,
                           turned && panel ? weight + (begin - PANEL * LANES) * depth : NULL};
        multiply(&p);
    }
}

/* sums[tile][k][column][unit] += a[row][k] * gradients[tile][row][column][unit], over the rows of a block. a: in bands. */
static void add_products(const Call *c, const real *a, long depth, const real *gradients, int first, int count, long rows,
                         real *sums) {
    const long vectors = count * PARTS;
    for (long tile = 0; tile < tiles_of(c); tile++) {
        const real *panel = gradients + (tile * c->block * COLUMNS + first) * TILE;
        real *out = sums + tile * depth * count * TILE;
        for (long v = 0; v < vectors; v += PANEL) {
            const Product p = {a, c->block, 0, 1, rows, panel + v * LANES, COLUMNS * TILE, out + v * LANES, vectors * LANES,
                               out + v * LANES, vectors * LANES, depth, vectors - v < PANEL ? vectors - v : PANEL, NULL};
            multiply_bands(&p);
        }
    }
}

static void add_biases(const Call *c, const real *gradients, long rows, real *sums) {
    for (long tile = 0; tile < tiles_of(c); tile++)
        for (long at = 0; at < COLUMNS * TILE; at += LANES) {
            vec total = load(sums + tile * COLUMNS * TILE + at);
            for (long row = 0; row < rows; row++) total += load(gradients + (tile * c->block + row) * COLUMNS * TILE + at);
            store(sums + tile * COLUMNS * TILE + at, total);
        }
}

/* dprojection[output][unit] += shown[row][output] * full[row][unit]. */
static void add_projection(const Call *c, const BackwardBuffers *b, long rows) {
    const long units = tiles_of(c) * TILE;
    for (long panel = 0; panel < panels_of(units); panel++) {
        const long begin = panel * PANEL * LANES;
        const Product p = {b->shown_bands, c->block, 0, 1, rows, b->full + begin, units, b->dprojection + begin, units,
                           b->dprojection + begin, units, c->output, panel_width(units, panel), NULL};
        multiply_bands(&p);
    }
}

/* What a block of steps leaves behind: gradients of x, and sums over its rows for weights and biases. */
static void finish_block(const Call *c, const Slab *s, const BackwardWeights *w, const BackwardBuffers *b, long begin, long end,
                         long rows) {
    const long units = tiles_of(c) * TILE, apart = up(c->input, LANES);
    if (X_COUNT && c->dweight_input) add_products(c, b->input_bands, c->input, b->gradients, 0, X_COUNT, rows, b->dweight_input);
    if (U_COUNT && c->dweight_recurrent)
        add_products(c, b->output_bands, c->output, b->gradients, U_FIRST, U_COUNT, rows, b->dweight_recurrent);
    for (int operand = 0; operand < OPERANDS && c->dweight_recurrent; operand++)
        add_products(c, b->operand_bands + operand * c->block * up(c->hidden, BAND), c->hidden, b->gradients,
                     OPERAND_FIRST[operand], OPERAND_COUNT[operand], rows,
                     b->dweight_further + (OPERAND_FIRST[operand] - FIRST_COLUMNS) * units * c->hidden);
    if (!LAYER_NORM) add_biases(c, b->gradients, rows, b->dbias);
    if (PROJECTED) add_projection(c, b, rows);
    if (!c->dx || !X_COUNT) return;
    multiply_back(c, b->gradients, 0, X_COUNT, w->input, c->input, 0, NULL, b->dinputs, apart, rows);
    long done = 0;
    for (long k = end; k-- > begin;) {
        const long t = time_of(c, k), active = active_rows(c, s, t);
        for (long row = 0; row < active; row++)
            copy_row(c->dx + (t * c->batch + place(c, s, row)) * c->input, b->dinputs + (done + row) * apart, c->input);
        done += active;
    }
}

INLINE int begins(const Call *c, const Slab *s, long row, long t) {
    return c->reverse ? t == length_of(c, s, row) - 1 : t == 0;
}

INLINE int is_reset(const Call *c, long t, long at) { return c->resets && c->resets[t * c->batch + at]; }

/* Per row the output before the step. */
static void find_before(const Step *s, const real **before) {
    const Call *c = s->call;
    for (long row = 0; row < s->rows; row++) {
        const long at = place(c, s->slab, row);
        if (is_reset(c, s->t, at)) before[row] = c->restart[0] + at * c->output;
        else if (begins(c, s->slab, row, s->t)) before[row] = c->start[0] ? c->start[0] + at * c->output : s->nothing;
        else before[row] = c->y + ((s->t + (c->reverse ? 1 : -1)) * c->batch + at) * c->output;
    }
}

/* The gradient of a state that begins anew belongs to what it begins with. */
static void return_restarts(const Step *s) {
    const Call *c = s->call;
    for (long row = 0; row < s->rows; row++) {
        const long at = place(c, s->slab, row);
        if (!is_reset(c, s->t, at)) continue;
        for (int one = 0; one < STATES; one++) {
            real *from = s->next + one * s->state_stride + row * s->width;
            const long units = unit_count(c, one);
            if (c->drestart && c->drestart[one])
                for (long unit = 0; unit < units; unit++) c->drestart[one][at * units + unit] += from[unit];
            memset(from, 0, (size_t)units * sizeof(real));
        }
    }
}

/* The output's gradient through its projection: that of the output before it. */
static void project_back(const Step *s, const BackwardWeights *w, const BackwardBuffers *b, long done) {
    const Call *c = s->call;
    const long units = tiles_of(c) * TILE;
    for (long row = 0; row < s->rows; row++) {
        const real *dy = c->dy ? c->dy + (s->t * c->batch + place(c, s->slab, row)) * c->output : s->nothing;
        real *shown = b->shown + row * s->width;
        for (long k = 0; k < c->output; k++) shown[k] = s->state[row * s->width + k] + dy[k];
        into_bands(b->shown_bands, c->block, done + row, shown, c->output);
    }
    for (long panel = 0; panel < panels_of(c->hidden); panel++) {
        const long begin = panel * PANEL * LANES, width = panel_width(c->hidden, panel);
        const Product p = {b->shown, s->width, 0, 1, c->output, w->projection + begin * c->output, width * LANES, NULL, 0,
                           s->full + begin, units, s->rows, width, NULL};
        multiply(&p);
    }
}

/* The gradients of the state before, where the equations give none. */
static void begin_gradients(const Step *s) {
    for (int one = 0; one < STATES; one++)
        if (!DIRECT[one])
            memset(s->next + one * s->state_stride, 0, (size_t)(s->rows * s->width) * sizeof(real));
}

static void step_backward(Step *s, const BackwardWeights *w, const BackwardBuffers *b, long done) {
    const Call *c = s->call;
    const long tiles = tiles_of(c), units = tiles * TILE;
    find_before(s, (const real **)b->before);
    begin_gradients(s);
    for (long row = 0; row < s->rows; row++) {
        const real *x = c->x + s->t * c->x_time + place(c, s->slab, row) * c->x_batch, *output = s->before[row];
        if (X_COUNT && c->dweight_input) into_bands(b->input_bands, c->block, done + row, x, c->input);
#if THINNED
        for (long k = 0; k < c->output; k++) b->thinned[k] = output[k] * b->thin[row * s->width + k];
        output = b->thinned;
#endif
        if (U_COUNT && c->dweight_recurrent) into_bands(b->output_bands, c->block, done + row, output, c->output);
    }
    if (PROJECTED) project_back(s, w, b, done);
    for (int stage = 0; stage < BACK_STAGES; stage++) {
        for (int operand = 0; operand < OPERANDS; operand++)
            if (OPERAND_BACK[operand] == stage)
                multiply_back(c, s->gradients, OPERAND_FIRST[operand], OPERAND_COUNT[operand], further_back(c, w->further, operand),
                              c->hidden, turns(s), NULL, b->backs + operand * s->slab->rows * units, units, s->rows);
        for (long tile = 0; tile < tiles; tile++) BACKWARD[stage](s, tile);
#if LAYER_NORM
        for (int column = 0; column < COLUMNS; column++)
            if (GRADIENT_STAGE[column] == stage) denormalise(s, column, NORMAL_TAPED[column]);
#endif
    }
    for (int operand = 0; operand < OPERANDS; operand++)
        for (long row = 0; row < s->rows; row++)
            into_bands(b->operand_bands + operand * c->block * up(c->hidden, BAND), c->block, done + row,
                       b->operands + (operand * s->slab->rows + row) * units, c->hidden);
    if (U_COUNT) {
        real *out = THINNED ? b->thinned : s->next;
        if (c->connected) {
            if (THINNED) memset(out, 0, (size_t)(s->rows * s->width) * sizeof(real));
            multiply_sparse_back(c, w->recurrent, (const spot *)w->places, s->gradients, out, s->width, s->rows);
        } else
            multiply_back(c, s->gradients, U_FIRST, U_COUNT, w->recurrent, c->output, turns(s), THINNED ? NULL : s->next, out,
                          s->width, s->rows);
        if (THINNED)
            for (long at = 0; at < s->rows * s->width; at += LANES)
                store(s->next + at, load(s->next + at) + load(out + at) * load(b->thin + at));
    }
    if (c->resets) return_restarts(s);
}

static void backward_slab(const Call *c, const Slab *s, const BackwardWeights *w, const BackwardBuffers *b) {
    const long units = tiles_of(c) * TILE, wide = width_of(c, 0) > units ? width_of(c, 0) : units;
    const long stride = s->rows * wide;
    begin_states(c, s, c->dlast, b->states, stride, wide);
    if (THINNED)
        for (long row = 0; row < s->rows; row++)
            copy_row(b->thin + row * wide, c->thin + place(c, s, row) * c->output, c->output);
    for (long end = c->time, begin; end > 0; end = begin) {
        long rows = 0;
        for (begin = end; begin > 0; begin--) {
            const long t = time_of(c, begin - 1), active = active_rows(c, s, t);
            if (rows + active > c->block) break;
            const long half = (c->time - begin) & 1;
            Step step = {.call = c, .slab = s, .t = t, .rows = active, .tile_rows = c->block, .work = b->work,
                         .tape = tape_of(c, s, begin - 1), .state = b->states + half * STATES * stride,
                         .next = b->states + !half * STATES * stride, .state_stride = stride, .width = wide,
                         .vectors = w->vectors, .thin = b->thin, .operands = b->operands,
                         .full = b->dfull, .before = (const real *const *)b->before, .nothing = b->nothing,
                         .gradients = b->gradients + rows * COLUMNS * TILE, .dvectors = b->dvectors, .backs = b->backs,
                         .full_again = b->full + rows * units,
                         .spread = LAYER_NORM ? taped_spread(c, s, begin - 1) : NULL};
            step_backward(&step, w, b, rows);
            if (c->dx)
                for (long row = active; row < s->rows; row++)
                    memset(c->dx + (t * c->batch + place(c, s, row)) * c->input, 0, (size_t)c->input * sizeof(real));
            rows += active;
        }
        finish_block(c, s, w, b, begin, end, rows);
    }
    for (long row = 0; row < s->rows; row++) {
        const long taken = c->reverse ? length_of(c, s, row) : c->time;
        for (int one = 0; one < STATES; one++)
            if (c->dstart[one])
                copy_row(c->dstart[one] + place(c, s, row) * unit_count(c, one),
                         b->states + ((taken & 1) * STATES + one) * stride + row * wide, unit_count(c, one));
    }
}

INLINE void add_slab(real *to, const real *from, long begin, long count) {
    for (long at = begin; at < begin + count; at += LANES) store(to + at, load(to + at) + load(from + at));
}

/* Sums of all slabs, always in the same order, for one tile; then in torch's layout. */
static void collect_tile(const Call *c, const BackwardBuffers *b, long tile) {
    const long units = tiles_of(c) * TILE;
    for (long slab = 1; slab < c->slabs; slab++) {
        if (c->dweight_input)
            add_slab(b->dweight_input, b[slab].dweight_input, tile * c->input * X_COUNT * TILE, c->input * X_COUNT * TILE);
        if (c->dweight_recurrent)
            add_slab(b->dweight_recurrent, b[slab].dweight_recurrent, tile * c->output * U_COUNT * TILE,
                     c->output * U_COUNT * TILE);
        for (int operand = 0; operand < OPERANDS && c->dweight_recurrent; operand++) {
            const long size = c->hidden * OPERAND_COUNT[operand] * TILE;
            const long begin = (OPERAND_FIRST[operand] - FIRST_COLUMNS) * units * c->hidden + tile * size;
            add_slab(b->dweight_further, b[slab].dweight_further, begin, size);
        }
        add_slab(b->dbias, b[slab].dbias, tile * COLUMNS * TILE, COLUMNS * TILE);
        for (int vector = 0; vector < VECTORS; vector++)
            add_slab(b->dvectors, b[slab].dvectors, vector * units + tile * TILE, TILE);
    }
    const long filled = c->hidden - tile * TILE < TILE ? c->hidden - tile * TILE : TILE;
    if (X_COUNT && c->dweight_input) unpack(c, b->dweight_input, INPUT_GATE, 0, X_COUNT, c->input, tile, c->dweight_input);
    if (U_COUNT && c->dweight_recurrent)
        unpack(c, b->dweight_recurrent, RECURRENT_GATE, U_FIRST, U_COUNT, c->output, tile, c->dweight_recurrent);
    for (int operand = 0; operand < OPERANDS && c->dweight_recurrent; operand++)
        unpack(c, b->dweight_further + (OPERAND_FIRST[operand] - FIRST_COLUMNS) * units * c->hidden, RECURRENT_GATE,
               OPERAND_FIRST[operand], OPERAND_COUNT[operand], c->hidden, tile, c->dweight_recurrent);
    for (int column = 0; column < COLUMNS; column++) {
        const real *sums = b->dbias + (tile * COLUMNS + column) * TILE;
        const int input = INPUT_GATE[column], recurrent = RECURRENT_GATE[column];
        if (c->dbias_input && input >= 0) copy_row(c->dbias_input + input * c->hidden + tile * TILE, sums, filled);
        if (c->dbias_recurrent && recurrent >= 0)
            copy_row(c->dbias_recurrent + recurrent * c->hidden + tile * TILE, sums, filled);
    }
    for (int vector = 0; vector < VECTORS; vector++)
        copy_row(c->dvectors + vector * c->hidden + tile * TILE, b->dvectors + vector * units + tile * TILE, filled);
}

static void collect_projection(const Call *c, const BackwardBuffers *b) {
    const long units = tiles_of(c) * TILE;
    for (long slab = 1; slab < c->slabs; slab++) add_slab(b->dprojection, b[slab].dprojection, 0, c->output * units);
    for (long k = 0; k < c->output; k++) copy_row(c->dprojection + k * c->hidden, b->dprojection + k * units, c->hidden);
}

/* What each thread of a team does. */
static void backward_share(const Call *c, const BackwardWeights *weights, const BackwardBuffers *buffers) {
    const unsigned before = flush_denormals();
#pragma omp for schedule(static)
    for (long tile = 0; tile < tiles_of(c); tile++) pack_backward_tile(c, tile, weights);
#pragma omp for schedule(static)
    for (long slab = 0; slab < c->slabs; slab++) {
        const Slab s = slab_of(c, slab);
        backward_slab(c, &s, weights, &buffers[slab]);
    }
#pragma omp for schedule(static)
    for (long tile = 0; tile < tiles_of(c); tile++) collect_tile(c, buffers, tile);
    restore_denormals(before);
}

/* All gradients; 0, or -1 without memory. */
EXPORT int recurra_backward(const Call *given) {
    Call own = *given;
    own.slabs = (int64_t)given->tape[tape_size(given) - 1];
    own.block = own.block > up(own.batch, own.slabs) / own.slabs ? own.block : up(own.batch, own.slabs) / own.slabs;
    int64_t *counts = NULL;
    if (U_COUNT && own.connected) {
        counts = calloc((size_t)own.output, sizeof(int64_t));
        if (!counts) return -1;
        own.most_read = most_read(&own, counts);
    }
    const Call *c = &own;
    Arena arena = {0};
    BackwardBuffers buffers[c->slabs];
    for (int counting = 1; counting >= 0; counting--) {
        const BackwardWeights weights = take_backward_weights(c, &arena);
        for (long slab = 0; slab < c->slabs; slab++) {
            const Slab s = slab_of(c, slab);
            buffers[slab] = take_backward(c, &s, &arena);
        }
        if (counting) {
            if (allocate(&arena)) {
                free(counts);
                return -1;
            }
            continue;
        }
        if (counts) pack_sparse_back(c, counts, weights.recurrent, (spot *)weights.places);
        if (c->dx) ask_for_large_pages(c->dx, (size_t)(c->time * c->batch * c->input) * sizeof(real));
        pack_vectors(c, weights.vectors);
        if (PROJECTED) pack_projection_back(c, weights.projection);
        if (c->slabs == 1) backward_share(c, &weights, buffers);
        else {
#pragma omp parallel num_threads(c->slabs)
            backward_share(c, &weights, buffers);
        }
        if (PROJECTED) collect_projection(c, buffers);
    }
    free(arena.base);
    free(counts);
    return 0;
}
