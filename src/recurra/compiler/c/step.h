/* One step by itself: at once, with weights as they lie in torch's tensors; or of a stream, whose weights are packed. */

/* to[row] += sum over k of a[k] * weight[row][k], for some rows that lie next to each other. */
INLINE void add_dots(const real *a, const real *weight, long depth, int rows, real *to) {
    vec total[4] = {{0}};
    for (long k = 0; k < depth; k += LANES) {
        const vec factors = load_some(a + k, depth - k);
        for (int row = 0; row < rows; row++) total[row] += factors * load_some(weight + row * depth + k, depth - k);
    }
    for (int row = 0; row < rows; row++) to[row] += sum(total[row]);
}

INLINE real bias_of(const Call *c, int column, long unit) {
    real bias = 0;
    if (LAYER_NORM) return bias;
    if (c->bias_input && INPUT_GATE[column] >= 0) bias += c->bias_input[INPUT_GATE[column] * c->hidden + unit];
    if (c->bias_recurrent && RECURRENT_GATE[column] >= 0) bias += c->bias_recurrent[RECURRENT_GATE[column] * c->hidden + unit];
    return bias;
}

/* Some units of a column of one row: products with x, if it is given, and with a, if that is. */
INLINE void dot_units(const Call *c, const real *x, const real *a, long depth, int column, long unit, int units, real *to) {
    const int input = x ? INPUT_GATE[column] : -1, recurrent = a ? RECURRENT_GATE[column] : -1;
    real values[4];
    for (int one = 0; one < units; one++) values[one] = bias_of(c, column, unit + one);
    if (input >= 0) add_dots(x, c->weight_input + (input * c->hidden + unit) * c->input, c->input, units, values);
    if (recurrent >= 0) add_dots(a, c->weight_recurrent + (recurrent * c->hidden + unit) * depth, depth, units, values);
    for (int one = 0; one < units; one++) to[one] = values[one];
}

/* Columns first to first + count of one row. */
static void dot_columns(const Call *c, const real *x, const real *a, long depth, int first, int count, real *out,
                        long tile_stride) {
    for (int column = first; column < first + count; column++) {
        long unit = 0;
        real *to = out + (column - first) * TILE;
        for (; unit + 4 <= c->hidden; unit += 4) /* a tile has a multiple of 4 units, or 2 */
            if (TILE % 4 == 0) dot_units(c, x, a, depth, column, unit, 4, to + unit / TILE * tile_stride + unit % TILE);
            else break;
        for (; unit < c->hidden; unit++)
            dot_units(c, x, a, depth, column, unit, 1, to + unit / TILE * tile_stride + unit % TILE);
    }
}

/* What one step needs beside its results, on a stack of its own. */
static void advance_row(const Call *c, const Slab *s, Step *step, const ForwardBuffers *b) {
    const long tiles = tiles_of(c);
    const real *output = step->state;
#if THINNED
    for (long at = 0; at < step->width; at += LANES) store(b->thinned + at, load(step->state + at) * load(b->thin + at));
    output = b->thinned;
#endif
    dot_columns(c, c->x + place(c, s, 0) * c->x_batch, U_COUNT ? output : NULL, c->output, 0, FIRST_COLUMNS, step->pre,
                FIRST_COLUMNS * TILE);
#if LAYER_NORM
    normalise(c, step->pre, FIRST_COLUMNS * TILE, FIRST_COLUMNS * TILE, 1, FIRST_COLUMNS, step->spread, COLUMNS);
#endif
    for (int stage = 0; stage < STAGES; stage++) {
        for (int operand = 0; operand < OPERANDS; operand++) {
            if (OPERAND_STAGE[operand] != stage) continue;
            const int first = OPERAND_FIRST[operand] - FIRST_COLUMNS;
            dot_columns(c, NULL, step->operands + operand * tiles * TILE, c->hidden, OPERAND_FIRST[operand],
                        OPERAND_COUNT[operand], step->work + first * TILE, WORK * TILE);
#if LAYER_NORM
            normalise(c, step->work + first * TILE, WORK * TILE, WORK * TILE, 1, OPERAND_COUNT[operand],
                      step->spread + OPERAND_FIRST[operand], COLUMNS);
#endif
        }
        for (long tile = 0; tile < tiles; tile++) FORWARD[stage](step, tile);
    }
    if (PROJECTED) {
        for (long k = 0; k < c->output; k++) {
            step->next[k] = 0;
            add_dots(step->full, c->projection + k * c->hidden, c->hidden, 1, step->next + k);
        }
        copy_row(c->y + place(c, s, 0) * c->output, step->next, c->output);
    }
}

/* One step of a few rows, which is not worth packing weights for; 0, or -1 without memory. */
static int advance_once(const Call *c) {
    const long tiles = tiles_of(c), wide = width_of(c, 0) > tiles * TILE ? width_of(c, 0) : tiles * TILE;
    const Slab first = {0, 0, 1, 1};
    Arena arena = {0};
    take_forward(c, &first, &arena);
    take(&arena, VECTORS * tiles * TILE);
    if (allocate(&arena)) return -1;
    const ForwardBuffers b = take_forward(c, &first, &arena);
    real *vectors = take(&arena, VECTORS * tiles * TILE);
    const unsigned before = flush_denormals();
    pack_vectors(c, vectors);
    for (long row = 0; row < c->batch; row++) {
        const Slab s = {0, row, 1, 1};
        begin_states(c, &s, c->start, b.states, wide, wide);
        if (THINNED) copy_row(b.thin, c->thin + row * c->output, c->output);
        Step step = {.call = c, .slab = &s, .rows = 1, .tile_rows = 1, .pre = b.pre, .work = b.work, .state = b.states,
                     .next = b.states + STATES * wide, .state_stride = wide, .width = wide, .vectors = vectors,
                     .thin = b.thin, .operands = b.operands, .full = b.full, .spread = b.spread};
        advance_row(c, &s, &step, &b);
        for (int one = 0; one < STATES; one++)
            copy_row(c->last[one] + row * unit_count(c, one), b.states + (STATES + one) * wide, unit_count(c, one));
    }
    restore_denormals(before);
    free(arena.base);
    return 0;
}

EXPORT int recurra_advance(const Call *c) { return advance_once(c); }

/* The same of numbers that stand side by side: batch, input, hidden, output; the addresses of x, weight_input,
 * weight_recurrent, bias_input, bias_recurrent, projection and y; then those of vectors, of the state and of the next. */
EXPORT int recurra_advance_flat(const int64_t *values) {
    const int64_t *addresses = values + 11;
    Call c = {.time = 1, .batch = values[0], .input = values[1], .hidden = values[2], .output = values[3], .slabs = 1,
              .block = 1, .x_time = values[0] * values[1], .x_batch = values[1]};
    c.x = (const real *)(intptr_t)values[4];
    c.weight_input = (const real *)(intptr_t)values[5];
    c.weight_recurrent = (const real *)(intptr_t)values[6];
    c.bias_input = (const real *)(intptr_t)values[7];
    c.bias_recurrent = (const real *)(intptr_t)values[8];
    c.projection = (const real *)(intptr_t)values[9];
    c.y = (real *)(intptr_t)values[10];
    c.vectors = (const real *const *)addresses;
    c.start = (const real *const *)(addresses + VECTORS);
    c.last = (real *const *)(addresses + VECTORS + STATES);
    return advance_once(&c);
}

/* A stream: weights as they were when it was opened, and a state of its own. */
typedef struct {
    Call call;
    Arena arena;
    ForwardWeights weights;
    ForwardBuffers buffers;
    Slab slab;
    long taken, wide;
} Stream;

/* Opens a stream of call->batch rows; x and y of the call are where each step reads and writes. NULL without memory. */
EXPORT Stream *recurra_stream_open(const Call *c) {
    Stream *s = calloc(1, sizeof(Stream));
    if (!s) return NULL;
    s->call = *c;
    s->slab = (Slab){0, 0, c->batch, 1};
    s->wide = width_of(c, 0) > tiles_of(c) * TILE ? width_of(c, 0) : tiles_of(c) * TILE;
    take_forward_weights(c, &s->arena);
    take_forward(c, &s->slab, &s->arena);
    if (allocate(&s->arena)) {
        free(s);
        return NULL;
    }
    s->weights = take_forward_weights(c, &s->arena);
    s->buffers = take_forward(c, &s->slab, &s->arena);
    pack_vectors(c, s->weights.vectors);
    if (PROJECTED) pack_projection(c, s->weights.projection);
    for (long tile = 0; tile < tiles_of(c); tile++) pack_forward_tile(c, tile, &s->weights);
    begin_states(c, &s->slab, c->start, s->buffers.states, c->batch * s->wide, s->wide);
    return s;
}

/* One step. It neither allocates nor locks. */
EXPORT void recurra_stream_step(Stream *s) {
    const Call *c = &s->call;
    const long stride = c->batch * s->wide, half = s->taken & 1;
    const ForwardBuffers *b = &s->buffers;
    const unsigned before = flush_denormals();
    if (!reads_stepwise(c)) {
        gather(c, &s->slab, 0, c->batch, b->inputs, c->input + ROOM);
        read_inputs(c, &s->weights, b, c->batch);
    }
    Step step = {.call = c, .slab = &s->slab, .rows = c->batch, .tile_rows = first_rows(c, &s->slab) / tiles_of(c),
                 .pre = b->pre, .work = b->work,
                 .state = b->states + half * STATES * stride, .next = b->states + !half * STATES * stride,
                 .state_stride = stride, .width = s->wide, .vectors = s->weights.vectors, .thin = b->thin,
                 .operands = b->operands, .full = b->full, .spread = b->spread,
                 .x = reads_stepwise(c) ? c->x : NULL, .x_row = c->x_batch};
#if LAYER_NORM
    if (X_COUNT)
        normalise(c, step.pre, c->block * FIRST_COLUMNS * TILE, FIRST_COLUMNS * TILE, step.rows, X_COUNT, step.spread, COLUMNS);
#endif
    step_forward(&step, &s->weights, b);
    s->taken++;
    restore_denormals(before);
}

/* Copies the state out, or in: [row][unit] per field. */
EXPORT void recurra_stream_read(const Stream *s, real *const *state) {
    const Call *c = &s->call;
    for (int one = 0; one < STATES; one++)
        for (long row = 0; row < c->batch; row++)
            copy_row(state[one] + row * unit_count(c, one),
                        s->buffers.states + (((s->taken & 1) * STATES + one) * c->batch + row) * s->wide, unit_count(c, one));
}

EXPORT void recurra_stream_write(Stream *s, const real *const *state) {
    begin_states(&s->call, &s->slab, state, s->buffers.states, s->call.batch * s->wide, s->wide);
}

EXPORT void recurra_stream_close(Stream *s) {
    free(s->arena.base);
    free(s);
}
