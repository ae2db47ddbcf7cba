/* Recurrent weights of which only some are there: each row of them reads `connected` outputs, by their places.
 *
 * The units of a vector are taken together, entry by entry: a weight for each lane, and from where each lane reads. */

typedef int32_t spot; /* 4 bytes for doubles, too: all of them pass the cache at each step */
typedef spot spots __attribute__((vector_size(LANES * sizeof(spot))));

/* The numbers at base + place, lane by lane. */
INLINE vec gather_from(const real *base, const spot *from) {
    spots places;
    memcpy(&places, from, sizeof(places));
#if defined(__AVX512F__) && REAL_BITS == 32
    return _mm512_i32gather_ps((__m512i)places, base, 4);
#elif defined(__AVX512F__)
    return _mm512_i32gather_pd((__m256i)places, base, 8);
#elif defined(__AVX2__) && REAL_BITS == 32
    return _mm256_i32gather_ps(base, (__m256i)places, 4);
#elif defined(__AVX2__)
    return _mm256_i32gather_pd(base, (__m128i)places, 8);
#else
    vec value;
    for (int lane = 0; lane < LANES; lane++) value[lane] = base[places[lane]];
    return value;
#endif
}

/* sum + the products of all entries, four under way at once. */
INLINE vec add_entries(vec sum, const real *weights, const spot *places, long entries, const real *base) {
    vec parts[4] = {sum, {0}, {0}, {0}};
    long entry = 0;
    for (; entry + 4 <= entries; entry += 4)
        for (int one = 0; one < 4; one++)
            parts[one] += load(weights + (entry + one) * LANES) * gather_from(base, places + (entry + one) * LANES);
    for (; entry < entries; entry++)
        parts[0] += load(weights + entry * LANES) * gather_from(base, places + entry * LANES);
    return parts[0] + parts[1] + (parts[2] + parts[3]);
}

/* Entries of all units of a tile that read the output, forward: [column][part][entry][lane]. */
INLINE long sparse_tile(const Call *c) { return U_COUNT * TILE * c->connected; }

static void pack_sparse(const Call *c, long tile, real *weights, spot *places) {
    for (int column = 0; column < U_COUNT; column++)
        for (long unit = 0; unit < TILE && tile * TILE + unit < c->hidden; unit++) {
            const long row = RECURRENT_GATE[U_FIRST + column] * c->hidden + tile * TILE + unit;
            const long begin = tile * sparse_tile(c) + (column * TILE + unit / LANES * LANES) * c->connected + unit % LANES;
            for (long entry = 0; entry < c->connected; entry++) {
                const int64_t from = c->connections[row * c->connected + entry];
                weights[begin + entry * LANES] = c->weight_recurrent[row * c->output + from];
                places[begin + entry * LANES] = (spot)from;
            }
        }
}

/* pre[row][column][unit] += the products of one tile's weights with rows of a. */
static void multiply_sparse(const Call *c, const real *weights, const spot *places, long tile, const real *a, long a_row,
                            real *pre, long pre_row, long rows) {
    for (long at = 0; at < U_COUNT * TILE; at += LANES) {
        const long begin = tile * sparse_tile(c) + at * c->connected;
        for (long row = 0; row < rows; row++) {
            real *to = pre + row * pre_row + at;
            store(to, add_entries(load(to), weights + begin, places + begin, c->connected, a + row * a_row));
        }
    }
}

/* How many rows of weights read the output that most of them read. counts: zeros, as many as there are outputs. */
static long most_read(const Call *c, int64_t *counts) {
    int64_t most = 0;
    for (int column = 0; column < U_COUNT; column++) {
        const int64_t *from = c->connections + RECURRENT_GATE[U_FIRST + column] * c->hidden * c->connected;
        for (long one = 0; one < c->hidden * c->connected; one++)
            if (++counts[from[one]] > most) most = counts[from[one]];
    }
    return most;
}

/* Who reads each output, for the way back: [vector of outputs][entry][lane]; places are those of gradients of columns. */
static void pack_sparse_back(const Call *c, int64_t *counts, real *weights, spot *places) {
    memset(counts, 0, (size_t)c->output * sizeof(int64_t));
    for (int column = 0; column < U_COUNT; column++)
        for (long unit = 0; unit < c->hidden; unit++) {
            const long row = RECURRENT_GATE[U_FIRST + column] * c->hidden + unit;
            const long at_row = unit / TILE * c->block * COLUMNS * TILE + (U_FIRST + column) * TILE + unit % TILE;
            for (long entry = 0; entry < c->connected; entry++) {
                const int64_t from = c->connections[row * c->connected + entry];
                const long at = (from / LANES * c->most_read + counts[from]++) * LANES + from % LANES;
                weights[at] = c->weight_recurrent[row * c->output + from];
                places[at] = (spot)at_row;
            }
        }
}

/* out[row][output] += what the columns' gradients owe to it. */
static void multiply_sparse_back(const Call *c, const real *weights, const spot *places, const real *gradients, real *out,
                                 long out_row, long rows) {
    for (long at = 0; at < c->output; at += LANES)
        for (long row = 0; row < rows; row++) {
            real *to = out + row * out_row + at;
            store(to, add_entries(load(to), weights + at * c->most_read, places + at * c->most_read, c->most_read,
                                  gradients + row * COLUMNS * TILE));
        }
}
