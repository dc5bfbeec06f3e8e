/* The search of segments: what packing.py and scan_twin.py say, in C. Tests hold them equal, bit for bit.
 *
 * A segment is untrusted: every length is checked against the bytes that are there before anything behind it is read,
 * and what is wrong is reported as damage where it begins. Layouts are described in frames.py and packing.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

enum {
    KEY_BITS = 36, TEXT_BITS = 21, ORDINAL_BITS = 7, KEY_SHIFT = TEXT_BITS + ORDINAL_BITS,
    MOST = 120, RECEIPT = 126, DIGEST = 127, LEAST = 2, COMMON = 1000, DIGEST_SIZE = 16,
    LABEL = 2, OUTPUTS = 3, TOTALS = 4, END = 5,
    ATTRIBUTABLE = 1, FINGERPRINTED = 4, PACKED = 8, MANY = 15, HEADER = 8,
    FEW = 48, HUGE_PAGE = 1 << 21, AHEAD = 64,
    PARTS = 64, PART_SHIFT = KEY_BITS - 6, PART_ROOM = 1 << 15, KIND_SHIFT = KEY_BITS, OUTPUT_SHIFT = KEY_BITS + 2
};
#define LARGEST ((size_t)16 << 20)
#define MOST_KEYS ((uint32_t)1 << 24)
#define KEY_MASK (((uint64_t)1 << KEY_BITS) - 1)
#define GOLDEN 0x9E3779B97F4A7C15u

/* Where the loader can choose, the hot loops are compiled once more for processors since 2013 (BMI2, AVX2). */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define HOT __attribute__((target_clones("default", "arch=x86-64-v3")))
#else
#define HOT
#endif
#define INLINE static inline __attribute__((always_inline))
#define LIKELY(true_) __builtin_expect(!!(true_), 1)

/* Numbers are little-endian wherever they are stored; compilers make one load or store of these. */
static inline uint64_t load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static inline void store64(uint8_t *at, uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    memcpy(at, &value, 8);
}

static inline uint32_t load32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* ---- CRC-32 (zlib's polynomial), sixteen bytes a step: Kounavis and Berry, 2008 ---- */

static uint32_t crc_table[16][256];

static void fill_crc_table(void)
{
    for (uint32_t octet = 0; octet < 256; octet++) {
        uint32_t value = octet;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? 0xEDB88320u ^ (value >> 1) : value >> 1;
        crc_table[0][octet] = value;
    }
    for (int slice = 1; slice < 16; slice++)
        for (int octet = 0; octet < 256; octet++) {
            uint32_t value = crc_table[slice - 1][octet];
            crc_table[slice][octet] = crc_table[0][value & 0xFF] ^ (value >> 8);
        }
}

#if defined(__x86_64__) && defined(__GNUC__)
#define FOLDS 1
/* Sixteen bytes or more, a multiple of sixteen, by carry-less multiplication: Gopal et al., Intel, 2009. */
__attribute__((target("pclmul,sse4.1"))) static uint32_t fold(uint32_t crc, const uint8_t *at, size_t length)
{
    const __m128i far = _mm_set_epi64x(0x01C6E41596, 0x0154442BD4), near = _mm_set_epi64x(0x00CCAA009E, 0x01751997D0);
    const __m128i poly = _mm_set_epi64x(0x01F7011641, 0x01DB710641), low = _mm_setr_epi32(~0, 0, ~0, 0);
    __m128i sums[4];
    int lanes = length >= 64 ? 4 : 1;
    for (int lane = 0; lane < lanes; lane++, at += 16, length -= 16)
        sums[lane] = _mm_loadu_si128((const __m128i *)at);
    sums[0] = _mm_xor_si128(sums[0], _mm_cvtsi32_si128((int)crc));
    if (lanes == 4) {
        for (; length >= 64; length -= 64)
            for (int lane = 0; lane < 4; lane++, at += 16) {
                __m128i low_half = _mm_clmulepi64_si128(sums[lane], far, 0x00);
                __m128i high_half = _mm_clmulepi64_si128(sums[lane], far, 0x11);
                __m128i next = _mm_loadu_si128((const __m128i *)at);
                sums[lane] = _mm_xor_si128(_mm_xor_si128(low_half, high_half), next);
            }
        for (int lane = 1; lane < 4; lane++) {
            __m128i low_half = _mm_clmulepi64_si128(sums[0], near, 0x00);
            __m128i high_half = _mm_clmulepi64_si128(sums[0], near, 0x11);
            sums[0] = _mm_xor_si128(_mm_xor_si128(low_half, high_half), sums[lane]);
        }
    }
    __m128i sum = sums[0];
    for (; length; length -= 16, at += 16) {
        __m128i low_half = _mm_clmulepi64_si128(sum, near, 0x00), high_half = _mm_clmulepi64_si128(sum, near, 0x11);
        sum = _mm_xor_si128(_mm_xor_si128(low_half, high_half), _mm_loadu_si128((const __m128i *)at));
    }
    sum = _mm_xor_si128(_mm_srli_si128(sum, 8), _mm_clmulepi64_si128(sum, near, 0x10));
    __m128i rest = _mm_srli_si128(sum, 4);
    sum = _mm_clmulepi64_si128(_mm_and_si128(sum, low), _mm_set_epi64x(0, 0x0163CD6124), 0x00);
    sum = _mm_xor_si128(sum, rest);
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(sum, low), poly, 0x10);
    quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low), poly, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(sum, quotient), 1);
}
#endif

static uint32_t crc32(const uint8_t *at, size_t length)
{
    uint32_t crc = 0xFFFFFFFFu;
#ifdef FOLDS
    if (length >= 16 && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
        size_t whole = length & ~(size_t)15;
        crc = fold(crc, at, whole);
        at += whole;
        length -= whole;
    }
#endif
    for (; length >= 16; length -= 16, at += 16) {
        uint64_t low = load64(at) ^ crc, high = load64(at + 8);
        uint32_t next = 0;
        for (int octet = 0; octet < 8; octet++) {
            next ^= crc_table[15 - octet][low >> 8 * octet & 0xFF];
            next ^= crc_table[7 - octet][high >> 8 * octet & 0xFF];
        }
        crc = next;
    }
    while (length--)
        crc = crc_table[0][(crc ^ *at++) & 0xFF] ^ (crc >> 8);
    return ~crc;
}

/* ---- lists that grow ---- */

typedef struct {
    uint64_t *values;
    size_t count, room;
} List;

static int reserve(List *list, size_t more)
{
    if (more <= list->room - list->count)
        return 1;
    size_t room = list->room ? list->room : 64;
    while (room - list->count < more)
        room *= 2;
    uint64_t *values = PyMem_RawRealloc(list->values, room * sizeof *values);
    if (!values)
        return 0;
    list->values = values;
    list->room = room;
    return 1;
}

INLINE int append(List *list, uint64_t value)
{
    if (!reserve(list, 1))
        return 0;
    list->values[list->count++] = value;
    return 1;
}

/* Sort in place by the byte at `shift` and those below it: American flag sort (McIlroy, Bostic, McIlroy, 1993). */
static void sort(uint64_t *values, size_t count, int shift)
{
    if (count <= FEW) {
        for (size_t at = 1; at < count; at++) {
            uint64_t value = values[at];
            size_t to = at;
            for (; to && values[to - 1] > value; to--)
                values[to] = values[to - 1];
            values[to] = value;
        }
        return;
    }
    size_t ends[256] = {0}, next[256];
    for (size_t at = 0; at < count; at++)
        ends[values[at] >> shift & 0xFF]++;
    size_t sum = 0;
    for (int octet = 0; octet < 256; octet++) {
        next[octet] = sum;
        ends[octet] = sum += ends[octet];
    }
    for (int octet = 0; octet < 256; octet++)
        while (next[octet] < ends[octet]) {
            uint64_t value = values[next[octet]];
            int to = value >> shift & 0xFF;
            while (to != octet) {
                uint64_t other = values[next[to]];
                values[next[to]++] = value;
                value = other;
                to = value >> shift & 0xFF;
            }
            values[next[octet]++] = value;
        }
    if (shift)
        for (int octet = 0; octet < 256; octet++) {
            size_t start = octet ? ends[octet - 1] : 0;
            sort(values + start, ends[octet] - start, shift - 8);
        }
}

/* ---- packed keys ---- */

static inline int bit_length(uint32_t number) { return number ? 32 - __builtin_clz(number) : 0; }

/* A varint at `*at`, which moves behind it; 0 if it is cut, above 32 bits or longer than need be. */
static inline int read_varint(const uint8_t *data, size_t *at, size_t end, uint32_t *number)
{
    uint64_t value = 0;
    for (int shift = 0; *at < end && shift < 35; shift += 7) {
        uint8_t octet = data[(*at)++];
        value |= (uint64_t)(octet & 0x7F) << shift;
        if (octet < 0x80) {
            *number = (uint32_t)value;
            return !(value >> 32 || (shift && !octet));
        }
    }
    return 0;
}

/* Eight bytes at `at`, zeros for those from `length` on; `safe` says that all are there. */
INLINE uint64_t peek(const uint8_t *data, size_t at, size_t length, int safe)
{
    if (safe || at + 8 <= length)
        return load64(data + at);
    uint64_t value = 0;
    for (int octet = 0; octet < 8 && at + octet < length; octet++)
        value |= (uint64_t)data[at + octet] << 8 * octet;
    return value;
}

enum { GOOD = 0, WRONG = 1, NO_MEMORY = 2 };

/* Append the packed keys at `*at` to `keys`; `*at` moves behind them, which is not behind `end` <= `length`. */
INLINE int read_keys(const uint8_t *data, size_t *at, size_t end, size_t length, List *keys, int safe)
{
    uint32_t count;
    if (!read_varint(data, at, end, &count))
        return WRONG;
    int low = KEY_BITS - bit_length(count);
    uint64_t lows = (uint64_t)*at * 8, rest = lows + (uint64_t)count * low, bits = (uint64_t)end * 8;
    if (count > MOST_KEYS || rest + count > bits)
        return WRONG;
    if (!reserve(keys, count))
        return NO_MEMORY;
    if (bits > rest + 3 * (uint64_t)count)
        bits = rest + 3 * (uint64_t)count; /* more zeros would make a key of more bits */
    uint64_t *values = keys->values + keys->count;
    uint64_t sum = 0, value = 0, mask = ((uint64_t)1 << low) - 1, position = rest, stop = rest, number = 0;
    while (number < count) {
        if (position >= bits)
            return WRONG;
        uint64_t window = peek(data, position >> 3, length, safe) >> (position & 7);
        for (; window && number < count; window &= window - 1) {
            stop = position + (uint64_t)__builtin_ctzll(window) + 1;
            sum += peek(data, lows >> 3, length, safe) >> (lows & 7) & mask;
            value = ((stop - 1 - rest - number) << low) + sum + number;
            values[number++] = value;
            lows += low;
        }
        position += 64 - (position & 7);
    }
    if (value >> KEY_BITS || stop > bits || ((stop & 7) && data[stop >> 3] >> (stop & 7)))
        return WRONG;
    keys->count += count;
    *at = (stop + 7) >> 3;
    return GOOD;
}

static PyObject *scan_pack(PyObject *module, PyObject *argument)
{
    (void)module;
    Py_buffer buffer;
    if (PyObject_GetBuffer(argument, &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *packed = NULL;
    List keys = {0};
    size_t count = (size_t)buffer.len / 8, unique = 0;
    if (buffer.len % 8 || count > MOST_KEYS) {
        PyErr_Format(PyExc_ValueError, "%zd bytes are no keys; allowed: a multiple of 8", buffer.len);
        goto done;
    }
    if (!reserve(&keys, count)) {
        PyErr_NoMemory();
        goto done;
    }
    for (size_t at = 0; at < count; at++) {
        keys.values[at] = load64((const uint8_t *)buffer.buf + 8 * at);
        if (keys.values[at] >> KEY_BITS) {
            PyErr_Format(PyExc_ValueError, "a key of more bits; allowed: %d", KEY_BITS);
            goto done;
        }
    }
    sort(keys.values, count, 32);
    for (size_t at = 0; at < count; at++)
        if (!at || keys.values[at] != keys.values[at - 1])
            keys.values[unique++] = keys.values[at];
    if (!unique) {
        packed = PyBytes_FromStringAndSize(NULL, 0);
        goto done;
    }
    int low = KEY_BITS - bit_length((uint32_t)unique);
    uint8_t *octets = PyMem_RawCalloc(1, unique * (low + 3) / 8 + 16);
    if (!octets) {
        PyErr_NoMemory();
        goto done;
    }
    size_t head = 0;
    uint32_t rest = (uint32_t)unique;
    for (; rest > 0x7F; rest >>= 7)
        octets[head++] = (uint8_t)(rest | 0x80);
    octets[head++] = (uint8_t)rest;
    uint64_t before = ~(uint64_t)0, mask = ((uint64_t)1 << low) - 1;
    size_t lows = head * 8, position = lows + unique * low;
    for (size_t at = 0; at < unique; at++, lows += low) {
        uint64_t gap = keys.values[at] - before - 1;
        before = keys.values[at];
        store64(octets + (lows >> 3), load64(octets + (lows >> 3)) | (gap & mask) << (lows & 7));
        position += gap >> low;
        octets[position >> 3] |= (uint8_t)(1 << (position & 7));
        position++;
    }
    packed = PyBytes_FromStringAndSize((char *)octets, (Py_ssize_t)((position + 7) >> 3));
    PyMem_RawFree(octets);
done:
    PyMem_RawFree(keys.values);
    PyBuffer_Release(&buffer);
    return packed;
}

static PyObject *scan_unpack(PyObject *module, PyObject *argument)
{
    (void)module;
    Py_buffer buffer;
    if (PyObject_GetBuffer(argument, &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *octets = NULL;
    List keys = {0};
    size_t length = (size_t)buffer.len, at = 0;
    int state = length ? read_keys(buffer.buf, &at, length, length, &keys, 0) : GOOD;
    if (state == NO_MEMORY)
        PyErr_NoMemory();
    else if (state == WRONG || at != length || (length && !keys.count))
        PyErr_Format(PyExc_ValueError, "%zd bytes are no packed keys", buffer.len);
    else if ((octets = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(8 * keys.count))))
        for (size_t number = 0; number < keys.count; number++)
            store64((uint8_t *)PyBytes_AS_STRING(octets) + 8 * number, keys.values[number]);
    PyMem_RawFree(keys.values);
    PyBuffer_Release(&buffer);
    return octets;
}

/* ---- postings ---- */

enum { OPEN = 0, SEALING = 1, SEALED = 2, WALKED = 3 };

/* The filter stands before the postings: a word of 64 bits for each four of them, in which a key sets three. A key that
 * no text has is told by one access to memory but for one in 200 (Putze, Sanders, Singler, 2007: a blocked filter). */
typedef struct {
    PyObject_HEAD
    List postings;
    uint64_t *filter;
    uint32_t *starts;  /* of the postings, by the high bits of the key */
    uint32_t *prompts; /* by the first posting of a key: under which prompts it was seen; see note_prompt */
    uint64_t *parts;   /* room of a walk */
    int filter_shift, starts_shift, state;
    size_t common;
} Postings;

static inline uint64_t filter_bits(uint64_t key)
{
    uint64_t mixed = key * GOLDEN;
    return (uint64_t)1 << (mixed >> 58) | (uint64_t)1 << (mixed >> 52 & 63) | (uint64_t)1 << (mixed >> 46 & 63);
}

static inline uint64_t digest_key(const uint8_t *digest) { return load64(digest) & KEY_MASK; }

static uint64_t receipt_key(const uint8_t *octets, size_t length)
{
    uint64_t number = 0xCBF29CE484222325u;
    for (size_t at = 0; at < length; at++)
        number = (number ^ octets[at]) * 0x100000001B3u;
    return (number ^ number >> 32) * GOLDEN >> (64 - KEY_BITS);
}

/* Where the postings of the key at `start` end, and how many of them are keys of texts. */
static inline size_t run_end(const Postings *self, size_t start, size_t *keys)
{
    const uint64_t *postings = self->postings.values;
    uint64_t key = postings[start] >> KEY_SHIFT;
    size_t end = start;
    *keys = 0;
    for (; end < self->postings.count && postings[end] >> KEY_SHIFT == key; end++)
        *keys += (postings[end] & 127) < MOST;
    return end;
}

/* Memory in large pages where there are any, for what is read or written at random. */
static void *large(size_t size)
{
    void *memory = NULL;
    if (posix_memalign(&memory, size >= HUGE_PAGE ? HUGE_PAGE : 64, size))
        return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (size >= HUGE_PAGE)
        madvise(memory, size, MADV_HUGEPAGE);
#endif
    return memory;
}

static int build(Postings *self)
{
    List *list = &self->postings;
    size_t count = list->count;
    sort(list->values, count, 56);
    int words = 6, buckets = 1;
    while ((size_t)4 << words < count)
        words++;
    while ((size_t)16 << buckets < count)
        buckets++;
    self->filter_shift = KEY_BITS - words;
    self->starts_shift = KEY_BITS - buckets;
    self->filter = large(sizeof(uint64_t) << words);
    self->starts = PyMem_RawMalloc((((size_t)1 << buckets) + 1) * sizeof(uint32_t));
    self->prompts = PyMem_RawCalloc(count + 1, sizeof(uint32_t));
    self->parts = large(PARTS * PART_ROOM * sizeof *self->parts);
    if (!self->filter || !self->starts || !self->prompts || !self->parts)
        return 0;
    memset(self->filter, 0, sizeof(uint64_t) << words);
    size_t at = 0;
    for (size_t bucket = 0; bucket <= (size_t)1 << buckets; bucket++) {
        while (at < count && list->values[at] >> (KEY_SHIFT + self->starts_shift) < bucket)
            at++;
        self->starts[bucket] = (uint32_t)at;
    }
    for (size_t start = 0, end, keys; start < count; start = end) {
        end = run_end(self, start, &keys);
        uint64_t key = list->values[start] >> KEY_SHIFT;
        if (keys <= self->common || keys < end - start)
            self->filter[key >> self->filter_shift] |= filter_bits(key);
    }
    return 1;
}

/* What was seen of a key takes 32 bits: two tags, the lesser one first (twice the same: one tag); or, where the first is
 * the greater: none yet, or enough. All is kept XOR NONE, so that memory of zeros says that nothing was seen. */
#define NONE ((uint32_t)1 << 16)
#define ENOUGH ((uint32_t)2 << 16)

static inline void note_prompt(uint32_t *kept, uint32_t tag)
{
    uint32_t seen = *kept ^ NONE, first = seen >> 16, second = seen & 0xFFFF;
    if (seen == NONE)
        seen = tag << 16 | tag;
    else if (seen == ENOUGH || tag == first || tag == second)
        return;
    else if (first == second)
        seen = tag < first ? tag << 16 | first : first << 16 | tag;
    else
        seen = ENOUGH;
    *kept = seen ^ NONE;
}

/* Add the texts that have `key` to `hits`, as text and ordinal; `kind` is 0, DIGEST or RECEIPT. */
static int look_up(Postings *self, uint64_t key, int kind, uint32_t tag, List *hits)
{
    const uint64_t *postings = self->postings.values;
    uint64_t bucket = key >> self->starts_shift;
    size_t low = self->starts[bucket], high = self->starts[bucket + 1], before = hits->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (postings[middle] >> KEY_SHIFT < key)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t at = low; at < self->postings.count && postings[at] >> KEY_SHIFT == key; at++) {
        int ordinal = postings[at] & 127;
        if (kind ? ordinal != kind : ordinal >= MOST)
            continue;
        if (!append(hits, postings[at] & (((uint64_t)1 << KEY_SHIFT) - 1)))
            return 0;
        if (!kind && hits->count - before > self->common) {
            hits->count = before;
            return 1;
        }
    }
    if (!kind && hits->count > before)
        note_prompt(&self->prompts[low], tag);
    return 1;
}

/* ---- the walk ---- */

/* Keys are asked of the filter part by part: first those of thousands of outputs are put where those of the same part
 * of the filter are, then each part is in the cache while it is read, instead of every key fetching its word from memory.
 * What passes the filter is sorted by output again. An entry is number of the output, kind (2 bits) and key. */
typedef struct {
    Postings *postings;
    const uint8_t *data;
    size_t length, at;
    uint64_t labels;
    uint64_t seen, searchable, attributable;
    uint64_t *parts;
    uint32_t counts[PARTS];
    size_t fullest; /* no part has more entries */
    List keys;    /* of one output, then its receipt and digests: entries without the number */
    List outputs; /* start, end and tag of those whose keys are in the parts */
    List passed;
    List hits;
    List others; /* start and end of payloads */
    List found;  /* start, end, text, low and high half of the mask */
    int state;
} Walk;

enum { OF_KEY = 0, OF_DIGEST = 1, OF_RECEIPT = 2 };

/* Look up the entries of one output that passed the filter, and note each text that shares enough with it. */
static int compare(Walk *walk, const uint64_t *entries, size_t count)
{
    static const int ordinals[] = {[OF_KEY] = 0, [OF_DIGEST] = DIGEST, [OF_RECEIPT] = RECEIPT};
    const uint64_t *output = walk->outputs.values + 3 * (entries[0] >> OUTPUT_SHIFT);
    List *hits = &walk->hits;
    hits->count = 0;
    for (size_t at = 0; at < count; at++) {
        int ordinal = ordinals[entries[at] >> KIND_SHIFT & 3];
        if (!look_up(walk->postings, entries[at] & KEY_MASK, ordinal, (uint32_t)output[2], hits))
            return 0;
    }
    sort(hits->values, hits->count, 24);
    for (size_t at = 0; at < hits->count;) {
        uint64_t text = hits->values[at] >> ORDINAL_BITS, halves[2] = {0};
        for (; at < hits->count && hits->values[at] >> ORDINAL_BITS == text; at++)
            halves[hits->values[at] >> 6 & 1] |= (uint64_t)1 << (hits->values[at] & 63);
        if (!(halves[1] >> (RECEIPT - 64)) && __builtin_popcountll(halves[0]) + __builtin_popcountll(halves[1]) < LEAST)
            continue;
        uint64_t row[] = {output[0], output[1], text, halves[0], halves[1]};
        for (int column = 0; column < 5; column++)
            if (!append(&walk->found, row[column]))
                return 0;
    }
    return 1;
}

/* Add those of `entries` that the filter lets pass to `passed`. */
INLINE int sift(Walk *walk, const uint64_t *entries, size_t count)
{
    const uint64_t *filter = walk->postings->filter;
    int shift = walk->postings->filter_shift;
    if (!reserve(&walk->passed, count))
        return 0;
    uint64_t *passed = walk->passed.values + walk->passed.count;
    for (size_t at = 0; at < count; at++) {
        if (at + AHEAD < count)
            __builtin_prefetch(&filter[(entries[at + AHEAD] & KEY_MASK) >> shift]);
        uint64_t key = entries[at] & KEY_MASK, bits = filter_bits(key);
        *passed = entries[at];
        passed += (filter[key >> shift] & bits) == bits;
    }
    walk->passed.count = (size_t)(passed - walk->passed.values);
    return 1;
}

/* Look up what passed, output by output; nothing waits afterwards. */
static int settle(Walk *walk)
{
    const List *passed = &walk->passed;
    sort(passed->values, passed->count, 56);
    for (size_t start = 0, end; start < passed->count; start = end) {
        uint64_t output = passed->values[start] >> OUTPUT_SHIFT;
        for (end = start; end < passed->count && passed->values[end] >> OUTPUT_SHIFT == output;)
            end++;
        if (!compare(walk, passed->values + start, end - start))
            return 0;
    }
    walk->passed.count = walk->outputs.count = 0;
    return 1;
}

/* Ask the filter for all entries in the parts, and look up what passes. */
INLINE int ask(Walk *walk)
{
    for (size_t part = 0; part < PARTS; part++) {
        if (!sift(walk, walk->parts + part * PART_ROOM, walk->counts[part]))
            return 0;
        walk->counts[part] = 0;
    }
    walk->fullest = 0;
    return settle(walk);
}

/* Put an entry where those of the same part of the filter are; there has to be room. */
INLINE void put(Walk *walk, uint64_t entry, uint64_t output)
{
    size_t part = (entry & KEY_MASK) >> PART_SHIFT;
    uint32_t count = walk->counts[part]++;
    walk->parts[part * PART_ROOM + count] = output << OUTPUT_SHIFT | entry;
}

/* Whether each part has room for `more` entries. */
INLINE int has_parts(Walk *walk, size_t more)
{
    if (LIKELY(walk->fullest + more <= PART_ROOM)) {
        walk->fullest += more;
        return 1;
    }
    size_t fullest = 0; /* what is known may be too much: every entry was held to be in the same part */
    for (int part = 0; part < PARTS; part++)
        fullest = walk->counts[part] > fullest ? walk->counts[part] : fullest;
    walk->fullest = fullest + more;
    return fullest + more <= PART_ROOM;
}

/* Take the output at `*at`, which moves behind it. */
INLINE int take_output(Walk *walk, size_t *at, size_t end)
{
    const uint8_t *data = walk->data;
    size_t start = *at;
    int head = data[(*at)++];
    uint32_t digests = head >> 4, label, words, size;
    if (digests == MANY && !read_varint(data, at, end, &digests))
        return WRONG;
    if (!read_varint(data, at, end, &label) || !read_varint(data, at, end, &words) || end - *at < 8)
        return WRONG;
    uint64_t tag = (uint64_t)data[*at] | (uint64_t)data[*at + 1] << 8;
    size_t receipt = *at += 8;
    if (head & PACKED) {
        if (end - *at < 10)
            return WRONG;
        *at += 10;
        if (!read_varint(data, at, end, &size))
            return WRONG;
    } else {
        if (!read_varint(data, at, end, &size) || end - *at < size)
            return WRONG;
        *at += size;
    }
    size_t digest = *at;
    if ((end - digest) / DIGEST_SIZE < digests)
        return WRONG;
    *at += (size_t)digests * DIGEST_SIZE;
    List *keys = &walk->keys;
    keys->count = 0;
    int state = end + 8 <= walk->length ? read_keys(data, at, end, walk->length, keys, 1)
                                        : read_keys(data, at, end, walk->length, keys, 0);
    if (state != GOOD)
        return state;
    if (label >= walk->labels)
        return WRONG;
    walk->seen++;
    walk->searchable += !!(head & FINGERPRINTED);
    walk->attributable += !!(head & ATTRIBUTABLE);
    if (!append(keys, (uint64_t)OF_RECEIPT << KIND_SHIFT | receipt_key(data + receipt, digest - receipt)))
        return NO_MEMORY;
    for (; digests--; digest += DIGEST_SIZE)
        if (!append(keys, (uint64_t)OF_DIGEST << KIND_SHIFT | digest_key(data + digest)))
            return NO_MEMORY;
    if (!has_parts(walk, keys->count)) {
        if (!ask(walk))
            return NO_MEMORY;
        walk->fullest = keys->count;
    }
    uint64_t number = walk->outputs.count / 3;
    if (!append(&walk->outputs, start) || !append(&walk->outputs, *at) || !append(&walk->outputs, tag))
        return NO_MEMORY;
    if (keys->count > PART_ROOM) { /* it is the only one that waits, and the parts are empty */
        walk->fullest = 0;
        return sift(walk, keys->values, keys->count) && settle(walk) ? GOOD : NO_MEMORY;
    }
    for (size_t place = 0; place < keys->count; place++)
        put(walk, keys->values[place], number);
    return GOOD;
}

/* Take the frames from `at` on; leaves `at` before the first that is not complete or wrong, and says which in `state`. */
HOT static void take_frames(Walk *walk)
{
    const uint8_t *data = walk->data;
    int kind = 0;
    while (walk->state == GOOD && kind != END && walk->length >= HEADER && walk->at <= walk->length - HEADER) {
        size_t length = load32(data + walk->at), start = walk->at + HEADER;
        if (!length || length > LARGEST) {
            walk->state = WRONG;
            break;
        }
        if (length > walk->length - start)
            break;
        size_t end = start + length;
        if (crc32(data + start, length) != load32(data + walk->at + 4)) {
            walk->state = WRONG;
            break;
        }
        kind = data[start];
        if (kind == OUTPUTS) {
            for (start++; start < end && walk->state == GOOD;)
                walk->state = take_output(walk, &start, end);
        } else if (kind == LABEL || kind == TOTALS || kind == END) {
            walk->labels += kind == LABEL;
            if (!append(&walk->others, start) || !append(&walk->others, end))
                walk->state = NO_MEMORY;
        } else {
            walk->state = WRONG;
        }
        if (walk->state == GOOD)
            walk->at = end;
    }
    if (walk->state != NO_MEMORY && !ask(walk))
        walk->state = NO_MEMORY;
}

static PyObject *mask_of(uint64_t low, uint64_t high)
{
    PyObject *mask = NULL, *lower = PyLong_FromUnsignedLongLong(low), *upper = PyLong_FromUnsignedLongLong(high);
    PyObject *bits = PyLong_FromLong(64), *shifted = NULL;
    if (lower && upper && bits && (shifted = PyNumber_Lshift(upper, bits)))
        mask = PyNumber_Or(lower, shifted);
    Py_XDECREF(lower);
    Py_XDECREF(upper);
    Py_XDECREF(bits);
    Py_XDECREF(shifted);
    return mask;
}

static PyObject *candidates(const List *found)
{
    Py_ssize_t count = (Py_ssize_t)(found->count / 5);
    PyObject *list = PyList_New(count);
    for (Py_ssize_t at = 0; list && at < count; at++) {
        const uint64_t *row = found->values + 5 * at;
        PyObject *mask = mask_of(row[3], row[4]);
        PyObject *each = mask ? Py_BuildValue("KKKN", row[0], row[1], row[2], mask) : NULL;
        if (!each)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, at, each);
    }
    return list;
}

static PyObject *slices(const List *places, const uint8_t *data)
{
    Py_ssize_t count = (Py_ssize_t)(places->count / 2);
    PyObject *list = PyList_New(count);
    for (Py_ssize_t at = 0; list && at < count; at++) {
        size_t start = places->values[2 * at], end = places->values[2 * at + 1];
        PyObject *each = PyBytes_FromStringAndSize((const char *)data + start, (Py_ssize_t)(end - start));
        if (!each)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, at, each);
    }
    return list;
}

static PyObject *postings_walk(Postings *self, PyObject *args)
{
    Py_buffer buffer;
    Py_ssize_t at, labels;
    if (!PyArg_ParseTuple(args, "y*nn", &buffer, &at, &labels))
        return NULL;
    PyObject *result = NULL;
    if (self->state != SEALED || at < 0 || labels < 0) {
        PyErr_SetString(PyExc_ValueError, "postings that are not sealed or walked elsewhere, or a negative number");
        PyBuffer_Release(&buffer);
        return NULL;
    }
    Walk walk = {.postings = self, .data = buffer.buf, .length = (size_t)buffer.len, .at = (size_t)at,
                 .labels = (uint64_t)labels, .parts = self->parts};
    self->state = WALKED; /* nobody else walks meanwhile: the room is one */
    Py_BEGIN_ALLOW_THREADS
    take_frames(&walk);
    Py_END_ALLOW_THREADS
    self->state = SEALED;
    if (walk.state == NO_MEMORY) {
        PyErr_NoMemory();
    } else {
        PyObject *others = slices(&walk.others, walk.data), *found = others ? candidates(&walk.found) : NULL;
        if (found)
            result = Py_BuildValue("nNN(KKK)N", (Py_ssize_t)walk.at, PyBool_FromLong(walk.state == WRONG), others,
                                   walk.seen, walk.searchable, walk.attributable, found);
        else
            Py_XDECREF(others);
    }
    PyMem_RawFree(walk.others.values);
    PyMem_RawFree(walk.found.values);
    PyMem_RawFree(walk.hits.values);
    PyMem_RawFree(walk.passed.values);
    PyMem_RawFree(walk.outputs.values);
    PyMem_RawFree(walk.keys.values);
    PyBuffer_Release(&buffer);
    return result;
}

/* ---- what Python sees of postings ---- */

static int is_open(const Postings *self)
{
    if (self->state != OPEN)
        PyErr_SetString(PyExc_ValueError, "postings that are sealed");
    return self->state == OPEN;
}

/* Return whether `more` postings of `text` can be added; an exception is set if not. */
static int has_room(Postings *self, Py_ssize_t text, size_t more)
{
    if (!is_open(self))
        return 0;
    if (text < 0 || text >> TEXT_BITS) {
        PyErr_Format(PyExc_ValueError, "text %zd; allowed: 0 to %d", text, (1 << TEXT_BITS) - 1);
        return 0;
    }
    if (self->postings.count + more > UINT32_MAX - 1 || !reserve(&self->postings, more)) {
        PyErr_NoMemory();
        return 0;
    }
    return 1;
}

static inline void post(Postings *self, uint64_t key, Py_ssize_t text, int ordinal)
{
    self->postings.values[self->postings.count++] = key << KEY_SHIFT | (uint64_t)text << ORDINAL_BITS | (uint64_t)ordinal;
}

static PyObject *postings_add(Postings *self, PyObject *args)
{
    Py_ssize_t text;
    Py_buffer keys;
    if (!PyArg_ParseTuple(args, "ny*", &text, &keys))
        return NULL;
    size_t count = (size_t)keys.len / 8, good = 0;
    while (good < count && !(load64((const uint8_t *)keys.buf + 8 * good) >> KEY_BITS))
        good++;
    int taken = 0;
    if (keys.len % 8 || count > MOST || good < count)
        PyErr_Format(PyExc_ValueError, "%zd bytes of keys; allowed: %d keys of 8 bytes and %d bits", keys.len, MOST, KEY_BITS);
    else if ((taken = has_room(self, text, count)))
        for (size_t ordinal = 0; ordinal < count; ordinal++)
            post(self, load64((const uint8_t *)keys.buf + 8 * ordinal), text, (int)ordinal);
    PyBuffer_Release(&keys);
    return taken ? Py_NewRef(Py_None) : NULL;
}

static PyObject *postings_add_digest(Postings *self, PyObject *args)
{
    Py_ssize_t text;
    Py_buffer digest;
    if (!PyArg_ParseTuple(args, "ny*", &text, &digest))
        return NULL;
    int taken = 0;
    if (digest.len != DIGEST_SIZE)
        PyErr_Format(PyExc_ValueError, "a digest of %zd bytes; allowed: %d", digest.len, DIGEST_SIZE);
    else if ((taken = has_room(self, text, 1)))
        post(self, digest_key(digest.buf), text, DIGEST);
    PyBuffer_Release(&digest);
    return taken ? Py_NewRef(Py_None) : NULL;
}

static inline int hex_digit(int octet)
{
    if (octet >= '0' && octet <= '9')
        return octet - '0';
    return octet >= 'a' && octet <= 'f' ? octet - 'a' + 10 : -1;
}

/* The bytes of a packed receipt's id; returns how many, 0 if it is none of the form r-<20 digits>-<number>. */
static size_t pack_receipt(const uint8_t *text, size_t length, uint8_t *octets)
{
    if (length < 24 || length > 32 || text[0] != 'r' || text[1] != '-' || text[22] != '-' ||
        (text[23] == '0' && length > 24))
        return 0;
    for (int at = 0; at < 10; at++) {
        int high = hex_digit(text[2 + 2 * at]), low = hex_digit(text[3 + 2 * at]);
        if (high < 0 || low < 0)
            return 0;
        octets[at] = (uint8_t)(high << 4 | low);
    }
    uint32_t number = 0;
    for (size_t at = 23; at < length; at++) {
        if (text[at] < '0' || text[at] > '9')
            return 0;
        number = number * 10 + (text[at] - '0');
    }
    size_t count = 10;
    for (; number > 0x7F; number >>= 7)
        octets[count++] = (uint8_t)(number | 0x80);
    octets[count++] = (uint8_t)number;
    return count;
}

static PyObject *postings_add_receipt(Postings *self, PyObject *args)
{
    Py_ssize_t text;
    PyObject *receipt;
    if (!PyArg_ParseTuple(args, "nU", &text, &receipt))
        return NULL;
    PyObject *encoded = PyUnicode_AsEncodedString(receipt, "utf-8", "replace");
    if (!encoded)
        return NULL;
    const uint8_t *octets = (const uint8_t *)PyBytes_AS_STRING(encoded);
    size_t length = (size_t)PyBytes_GET_SIZE(encoded), head = 0;
    uint8_t packed[16], *plain = NULL;
    size_t size = pack_receipt(octets, length, packed);
    int taken = 0;
    if (length > UINT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "a receipt's id of more than 4 GiB");
    } else if (!size && !(plain = PyMem_RawMalloc(length + 5))) {
        PyErr_NoMemory();
    } else if ((taken = has_room(self, text, 1))) {
        if (!size) {
            size_t rest = length;
            for (; rest > 0x7F; rest >>= 7)
                plain[head++] = (uint8_t)(rest | 0x80);
            plain[head++] = (uint8_t)rest;
            memcpy(plain + head, octets, length);
        }
        post(self, size ? receipt_key(packed, size) : receipt_key(plain, head + length), text, RECEIPT);
    }
    PyMem_RawFree(plain);
    Py_DECREF(encoded);
    return taken ? Py_NewRef(Py_None) : NULL;
}

static PyObject *postings_seal(Postings *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"common", NULL};
    Py_ssize_t common = COMMON;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|n", names, &common))
        return NULL;
    if (!is_open(self))
        return NULL;
    if (common < 0) {
        PyErr_SetString(PyExc_ValueError, "a negative number of texts");
        return NULL;
    }
    int built;
    self->state = SEALING; /* nobody adds meanwhile */
    self->common = (size_t)common;
    Py_BEGIN_ALLOW_THREADS
    built = build(self);
    Py_END_ALLOW_THREADS
    if (!built)
        return PyErr_NoMemory();
    self->state = SEALED;
    Py_RETURN_NONE;
}

/* Add the keys of texts among the postings from `start` to `end` to the masks of these texts. */
static int add_masks(const Postings *self, size_t start, size_t end, PyObject *masks)
{
    for (size_t at = start; at < end; at++) {
        uint64_t posting = self->postings.values[at];
        int ordinal = posting & 127;
        if (ordinal >= MOST)
            continue;
        PyObject *text = PyLong_FromLong((long)(posting >> ORDINAL_BITS & ((1 << TEXT_BITS) - 1)));
        PyObject *bit = ordinal < 64 ? mask_of((uint64_t)1 << ordinal, 0) : mask_of(0, (uint64_t)1 << (ordinal - 64));
        PyObject *known = text ? PyDict_GetItemWithError(masks, text) : NULL;
        PyObject *mask = !text || !bit || (!known && PyErr_Occurred()) ? NULL
                         : known                                      ? PyNumber_Or(known, bit)
                                                                      : Py_NewRef(bit);
        int kept = mask && PyDict_SetItem(masks, text, mask) == 0;
        Py_XDECREF(text);
        Py_XDECREF(bit);
        Py_XDECREF(mask);
        if (!kept)
            return 0;
    }
    return 1;
}

/* The masks of the keys that were `left_out` because too many texts have them, or else of those that are stops. */
static PyObject *masks_of(const Postings *self, int left_out)
{
    PyObject *masks = PyDict_New();
    if (!masks || self->state < SEALED)
        return masks;
    for (size_t start = 0, end, keys; start < self->postings.count; start = end) {
        end = run_end(self, start, &keys);
        int wanted = left_out ? keys > self->common : (self->prompts[start] ^ NONE) == ENOUGH;
        if (wanted && !add_masks(self, start, end, masks)) {
            Py_DECREF(masks);
            return NULL;
        }
    }
    return masks;
}

static PyObject *postings_common(Postings *self, PyObject *nothing)
{
    (void)nothing;
    return masks_of(self, 1);
}

static PyObject *postings_stops(Postings *self, PyObject *nothing)
{
    (void)nothing;
    return masks_of(self, 0);
}

static Py_ssize_t postings_length(Postings *self) { return (Py_ssize_t)self->postings.count; }

static void postings_dealloc(Postings *self)
{
    PyMem_RawFree(self->postings.values);
    free(self->filter);
    free(self->parts);
    PyMem_RawFree(self->starts);
    PyMem_RawFree(self->prompts);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef postings_methods[] = {
    {"add", (PyCFunction)postings_add, METH_VARARGS, "add(text, keys)"},
    {"add_digest", (PyCFunction)postings_add_digest, METH_VARARGS, "add_digest(text, digest)"},
    {"add_receipt", (PyCFunction)postings_add_receipt, METH_VARARGS, "add_receipt(text, receipt)"},
    {"seal", (PyCFunction)(void (*)(void))postings_seal, METH_VARARGS | METH_KEYWORDS, "seal(common=1000)"},
    {"common", (PyCFunction)postings_common, METH_NOARGS, "common()"},
    {"stops", (PyCFunction)postings_stops, METH_NOARGS, "stops()"},
    {"walk", (PyCFunction)postings_walk, METH_VARARGS, "walk(data, at, labels)"},
    {NULL, NULL, 0, NULL},
};

static PySequenceMethods postings_sequence = {.sq_length = (lenfunc)postings_length};

static PyTypeObject postings_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "guard.provenance._scan.Postings",
    .tp_basicsize = sizeof(Postings),
    .tp_dealloc = (destructor)postings_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Which texts have which keys; the compiled form of guard.provenance.scan_twin.Postings.",
    .tp_methods = postings_methods,
    .tp_as_sequence = &postings_sequence,
    .tp_new = PyType_GenericNew,
};

/* ---- What is written ---- */

static inline uint8_t *put_varint(uint8_t *at, uint64_t number)
{
    for (; number > 0x7F; number >>= 7)
        *at++ = (uint8_t)(number & 0x7F) | 0x80;
    *at++ = (uint8_t)number;
    return at;
}

static PyObject *scan_encode_output(PyObject *module, PyObject *output)
{
    (void)module;
    PyObject *receipt;
    double time;
    long long label, words;
    int flags, prompt;
    const char *digests, *keys;
    Py_ssize_t digests_length, keys_length, length;
    if (!PyTuple_Check(output)) {
        PyErr_SetString(PyExc_TypeError, "an output is a tuple of eight");
        return NULL;
    }
    if (!PyArg_ParseTuple(output, "UdLiLiy#y#", &receipt, &time, &label, &flags, &words, &prompt, &digests,
                          &digests_length, &keys, &keys_length))
        return NULL;
    double milliseconds = rint(time * 1000);
    Py_ssize_t count = digests_length / DIGEST_SIZE;
    if (flags < 0 || flags > 7 || label < 0 || label >> 32 || words < 0 || words >> 32 || prompt < 0 || prompt >> 16 ||
        !(milliseconds >= 0 && milliseconds < 281474976710656.0) || count >= MANY || !PyUnicode_IS_ASCII(receipt))
        Py_RETURN_NONE;
    uint8_t head[64], *at = head;
    *at++ = (uint8_t)(flags | PACKED | count << 4);
    at = put_varint(put_varint(at, (uint64_t)label), (uint64_t)words);
    *at++ = (uint8_t)prompt;
    *at++ = (uint8_t)(prompt >> 8);
    for (int octet = 0; octet < 6; octet++)
        *at++ = (uint8_t)((uint64_t)milliseconds >> 8 * octet);
    size_t packed = pack_receipt(PyUnicode_1BYTE_DATA(receipt), (size_t)PyUnicode_GET_LENGTH(receipt), at);
    if (!packed)
        Py_RETURN_NONE;
    length = at + packed - head;
    if (!keys_length) {
        keys = "";
        keys_length = 1;
    }
    PyObject *made = PyBytes_FromStringAndSize(NULL, length + digests_length + keys_length);
    if (made) {
        char *to = PyBytes_AS_STRING(made);
        memcpy(to, head, (size_t)length);
        memcpy(to + length, digests, (size_t)digests_length);
        memcpy(to + length + digests_length, keys, (size_t)keys_length);
    }
    return made;
}

static PyMethodDef functions[] = {
    {"encode_output", scan_encode_output, METH_O,
     "encode_output(output): see guard.provenance.frames.encode_output; None for what is not plain, as most are"},
    {"pack", scan_pack, METH_O, "pack(keys): see guard.provenance.packing.pack"},
    {"unpack", scan_unpack, METH_O, "unpack(packed): see guard.provenance.packing.unpack"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_scan", .m_doc = "The compiled search of segments.", .m_size = -1,
    .m_methods = functions};

PyMODINIT_FUNC PyInit__scan(void)
{
    fill_crc_table();
    if (PyType_Ready(&postings_type) < 0)
        return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made && PyModule_AddObjectRef(made, "Postings", (PyObject *)&postings_type) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
