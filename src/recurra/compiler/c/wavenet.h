/* One step of a WaveNet: all of its layers, one after the other, with weights as they lie in torch's tensors.
 *
 * The texts of vectors.h and functions.h come before this one. A row of a weight is what one unit reads, so that each
 * number of a weight is loaded once a step, next to its neighbours; the rows of the batch share what was loaded. */

#define EXPORT __attribute__((visibility("default")))

/* All are 8 bytes wide. Every array is contiguous, aligned to its numbers, owned by the caller and kept by nobody beyond
 * the call. y and next are written, whole, and overlap nothing; the others are read, and may be the same memory. */
typedef struct {
    int64_t batch, input, output, channels, skip, kernel, layers, condition_size;
    const void *x;                /* [batch][input]; or classes, int64_t [batch], if there is no bias_input */
    const real *condition;        /* [batch][condition_size]; NULL if that is 0 */
    const real *weight_input;     /* [channels][input]; or of classes, [input][channels] */
    const real *bias_input;       /* [channels]; NULL for classes */
    const real *weight_dilated;   /* [layers][f and g of channels][kernel][channels], the oldest tap first */
    const real *bias_dilated;     /* [layers][f and g of channels] */
    const real *weight_condition; /* [layers][f and g of channels][condition_size]; NULL if that is 0 */
    const real *weight_residual;  /* [layers - 1][channels][channels] */
    const real *weight_skip;      /* [skip][layers][channels] */
    const real *bias_skip;        /* [skip] */
    const real *weight_hidden;    /* [skip][skip] */
    const real *bias_hidden;      /* [skip] */
    const real *weight_output;    /* [output][skip] */
    const real *bias_output;      /* [output] */
    real *y;                      /* [batch][output] */
    real *next;                   /* [layers][batch][channels]: what each layer read, the past of steps to come */
    const real *past[];           /* [layers][kernel - 1], each [batch][channels]: what each tap reads, the oldest first */
} WaveNetCall;

/* Of one step, each [batch][...]; they lie behind one another in one piece of memory. */
typedef struct {
    real *read;  /* [kernel][channels]: what a layer reads, the present input last */
    real *gates; /* f and g of [channels] */
    real *z;     /* [layers][channels] */
    real *skips, *hidden; /* [skip] */
} WaveNetBuffers;

/* to[row][unit] = base[row][unit] + sum over k of a[row][k] * weight[unit][k], for some units that lie next to each other.
 * base_row: from a row of base to the next, 0 for a bias. */
INLINE void multiply_units(const real *a, const real *weight, long depth, int units, const real *base, long base_row,
                           real *to, long to_row, long rows) {
    const long whole_vectors = depth / LANES * LANES;
    for (long row = 0; row < rows; row++, a += depth, base += base_row, to += to_row) {
        vec total[4] = {{0}};
        for (long k = 0; k < whole_vectors; k += LANES) {
            const vec factors = load(a + k);
            for (int unit = 0; unit < units; unit++) total[unit] += factors * load(weight + unit * depth + k);
        }
        if (whole_vectors < depth) {
            const vec factors = load_some(a + whole_vectors, depth - whole_vectors);
            for (int unit = 0; unit < units; unit++)
                total[unit] += factors * load_some(weight + unit * depth + whole_vectors, depth - whole_vectors);
        }
        for (int unit = 0; unit < units; unit++) to[unit] = base[unit] + sum(total[unit]);
    }
}

static void multiply(const real *a, const real *weight, long depth, const real *base, long base_row, real *to, long units,
                     long rows) {
    long unit = 0;
    for (; unit + 4 <= units; unit += 4)
        multiply_units(a, weight + unit * depth, depth, 4, base + unit, base_row, to + unit, units, rows);
    for (; unit < units; unit++)
        multiply_units(a, weight + unit * depth, depth, 1, base + unit, base_row, to + unit, units, rows);
}

static void rectify(real *values, long count) {
    for (long at = 0; at < count; at += LANES)
        store_some(values + at, vec_relu(load_some(values + at, count - at)), count - at);
}

/* What the first layer reads; -1 if a class is none. */
static int enter(const WaveNetCall *c) {
    if (c->bias_input) {
        multiply(c->x, c->weight_input, c->input, c->bias_input, 0, c->next, c->channels, c->batch);
        return 0;
    }
    for (long row = 0; row < c->batch; row++) {
        const int64_t class = ((const int64_t *)c->x)[row];
        if (class < 0 || class >= c->input) return -1;
        memcpy(c->next + row * c->channels, c->weight_input + class * c->channels, c->channels * sizeof(real));
    }
    return 0;
}

/* What a layer reads, tap by tap, from the past and from `next`. */
static void gather_taps(const WaveNetCall *c, long layer, real *read) {
    const long channels = c->channels, before = c->kernel - 1;
    for (long row = 0; row < c->batch; row++, read += c->kernel * channels) {
        for (long tap = 0; tap < before; tap++)
            memcpy(read + tap * channels, c->past[layer * before + tap] + row * channels, channels * sizeof(real));
        memcpy(read + before * channels, c->next + (layer * c->batch + row) * channels, channels * sizeof(real));
    }
}

/* z = tanh(f) sigmoid(g) of every row, into its layer's place among all layers'. */
static void gate(const WaveNetCall *c, long layer, const WaveNetBuffers *b) {
    const long channels = c->channels;
    for (long row = 0; row < c->batch; row++) {
        const real *f = b->gates + row * 2 * channels, *g = f + channels;
        real *z = b->z + (row * c->layers + layer) * channels;
        for (long at = 0; at < channels; at += LANES) {
            const long left = channels - at;
            store_some(z + at, vec_tanh(load_some(f + at, left)) * vec_sigmoid(load_some(g + at, left)), left);
        }
    }
}

static void run_layer(const WaveNetCall *c, long layer, const WaveNetBuffers *b) {
    const long channels = c->channels, gates = 2 * channels, batch = c->batch, depth = c->kernel * channels;
    gather_taps(c, layer, b->read);
    multiply(b->read, c->weight_dilated + layer * gates * depth, depth, c->bias_dilated + layer * gates, 0, b->gates,
             gates, batch);
    if (c->condition)
        multiply(c->condition, c->weight_condition + layer * gates * c->condition_size, c->condition_size, b->gates,
                 gates, b->gates, gates, batch);
    gate(c, layer, b);
    if (layer + 1 == c->layers) return;
    const real *h = c->next + layer * batch * channels, *weight = c->weight_residual + layer * channels * channels;
    for (long row = 0; row < batch; row++) /* z of a row lies among those of other layers */
        multiply(b->z + (row * c->layers + layer) * channels, weight, channels, h + row * channels, channels,
                 c->next + ((layer + 1) * batch + row) * channels, channels, 1);
}

/* One step; 0, or -1 without memory, or 1 if x holds a class that is none: then y and next are not to be read. */
EXPORT int recurra_wavenet_step(const WaveNetCall *c) {
    const long batch = c->batch, channels = c->channels, skip = c->skip, all = c->layers * channels;
    const long sizes[] = {c->kernel * channels, 2 * channels, all, skip, skip};
    real *pieces[5], *memory, *end;
    long count = 0;
    for (int one = 0; one < 5; one++) count += batch * sizes[one];
    if (enter(c)) return 1;
    if (!(memory = end = malloc((count ? count : 1) * sizeof(real)))) return -1;
    for (int one = 0; one < 5; end += batch * sizes[one++]) pieces[one] = end;
    const WaveNetBuffers b = {pieces[0], pieces[1], pieces[2], pieces[3], pieces[4]};
    for (long layer = 0; layer < c->layers; layer++) run_layer(c, layer, &b);
    multiply(b.z, c->weight_skip, all, c->bias_skip, 0, b.skips, skip, batch);
    rectify(b.skips, batch * skip);
    multiply(b.skips, c->weight_hidden, skip, c->bias_hidden, 0, b.hidden, skip, batch);
    rectify(b.hidden, batch * skip);
    multiply(b.hidden, c->weight_output, skip, c->bias_output, 0, c->y, c->output, batch);
    free(memory);
    return 0;
}
