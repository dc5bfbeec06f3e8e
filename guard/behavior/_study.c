/* The inner loops of reading prompts and of changing profiles: what study_twin.py says, in C. Both give the same; tests
 * hold them equal. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* A product and a sum are rounded one by one, as Python does. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

enum { SKETCH = 16, SUBJECTS = 32, HEAD = 256, TAIL = 128 };
enum { NEAR = 2048 }; /* characters whose words need no memory but the stack's */
enum { QUOTED = 400, KEPT = 24, SLOT_BITS = 13, LENGTH = 32, RECORD = 4 * SKETCH + 7, BUCKETS = 256 };
static const uint32_t NOWHERE = UINT32_MAX;
static const uint64_t ODD = 0x9E3779B97F4A7C15u;

static inline uint64_t little(const uint8_t *at)
{
    uint64_t value = 0;
    for (int octet = 0; octet < 8; octet++)
        value |= (uint64_t)at[octet] << 8 * octet;
    return value;
}

static inline uint32_t little32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline void put_little32(uint8_t *at, uint32_t value)
{
    for (int octet = 0; octet < 4; octet++)
        at[octet] = (uint8_t)(value >> 8 * octet);
}

/* ---- Words and their keyed hashes ---- */

/* A word whose hash is known. */
typedef struct {
    uint64_t text[KEPT / 8]; /* its octets and zeros, which no word has; all zeros: empty */
    uint64_t hash;
} Known;

typedef struct {
    PyObject_HEAD
    PyObject *digest; /* of a word, 8 bytes */
    Known *known;
    uint32_t *met, text; /* for each of them: the text that it was last met in, by a number */
} Words;

typedef struct {
    const uint8_t *text;
    Py_ssize_t length;
} Span;

enum { LETTER = 1, DIGIT = 2, QUOTE = 4 };
static uint8_t classes[256]; /* LETTER: part of a word and no digit */

static void fill_classes(void)
{
    for (int octet = 0; octet < 256; octet++)
        classes[octet] = octet >= '0' && octet <= '9' ? DIGIT
                         : (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') || octet == '_' || octet >= 0x80
                             ? LETTER
                         : octet == '"' ? QUOTE
                                        : 0;
}

static inline int is_digit(uint8_t octet) { return octet >= '0' && octet <= '9'; }

/* Return where what is masked at `at` ends; `at` itself if nothing is. */
static inline Py_ssize_t masked(const uint8_t *text, Py_ssize_t length, Py_ssize_t at)
{
    Py_ssize_t end = at + 1;
    if (text[at] == '"') {
        Py_ssize_t last = end + QUOTED < length ? end + QUOTED : length - 1;
        while (end < last && text[end] != '"' && text[end] != '\n')
            end++;
        return end > at + 1 && end < length && text[end] == '"' ? end + 1 : at;
    }
    while (end < length && is_digit(text[end]))
        end++;
    while (end + 1 < length && (text[end] == '.' || text[end] == ',' || text[end] == ':') && is_digit(text[end + 1])) {
        end += 2;
        while (end < length && is_digit(text[end]))
            end++;
    }
    return end;
}

/* Write down the words of a text, at most as many as it has characters; return how many they are. Numbers and what is
 * quoted are the word 0, where that is not done yet. */
static Py_ssize_t words_of(const uint8_t *text, Py_ssize_t length, int done, Span *spans)
{
    const int inner = done ? LETTER | DIGIT : LETTER;
    Py_ssize_t count = 0, at = 0;
    while (at < length) {
        int kind = classes[text[at]];
        if (kind & inner) {
            Py_ssize_t begin = at++;
            while (at < length && classes[text[at]] & inner)
                at++;
            spans[count++] = (Span){text + begin, at - begin};
        } else if (kind && !done) {
            Py_ssize_t end = masked(text, length, at);
            if (end > at)
                spans[count++] = (Span){(const uint8_t *)"0", 1};
            at = end > at ? end : at + 1;
        } else {
            at++;
        }
    }
    return count;
}

/* Return up to 8 octets as a number, and zeros behind them. Reads in two halves that overlap: no octet is told apart. */
static inline uint64_t padded_word(const uint8_t *text, Py_ssize_t length)
{
    if (length >= 8)
        return little(text);
    if (length >= 4)
        return little32(text) | (uint64_t)little32(text + length - 4) << 8 * (length - 4);
    return text[0] | (uint64_t)text[length / 2] << 8 * (length / 2) | (uint64_t)text[length - 1] << 8 * (length - 1);
}

static int digest_of(Words *self, Span word, uint64_t *hash)
{
    PyObject *octets = PyBytes_FromStringAndSize((const char *)word.text, word.length);
    PyObject *digest = octets ? PyObject_CallOneArg(self->digest, octets) : NULL;
    Py_XDECREF(octets);
    if (!digest)
        return -1;
    if (!PyBytes_Check(digest) || PyBytes_GET_SIZE(digest) != 8) {
        Py_DECREF(digest);
        PyErr_SetString(PyExc_TypeError, "a digest is 8 bytes");
        return -1;
    }
    *hash = little((const uint8_t *)PyBytes_AS_STRING(digest));
    Py_DECREF(digest);
    return 0;
}

/* Say the hash of a word, and where it is known: NOWHERE if it is too long for that. */
static int hash_of(Words *self, Span word, uint64_t *hash, uint32_t *place)
{
    uint64_t padded[KEPT / 8] = {0};
    Known *known = NULL;
    *place = NOWHERE;
    if (word.length <= KEPT) {
        for (Py_ssize_t part = 0; part < word.length; part += 8)
            padded[part / 8] = padded_word(word.text + part, word.length - part);
        uint64_t mixed = padded[0] * ODD ^ padded[1] * 0xC2B2AE3D27D4EB4Fu ^ padded[2] * 0x165667B19E3779F9u;
        *place = (uint32_t)(mixed >> (64 - SLOT_BITS));
        known = &self->known[*place];
        if (known->text[0] == padded[0] && known->text[1] == padded[1] && known->text[2] == padded[2]) {
            *hash = known->hash;
            return 0;
        }
    }
    if (digest_of(self, word, hash) < 0)
        return -1;
    if (known) {
        memcpy(known->text, padded, KEPT);
        known->hash = *hash;
        self->met[*place] = 0;
    }
    return 0;
}

static inline int is_long(Span word)
{
    if (word.length < 5)
        return 0;
    if (!((little32(word.text) | word.text[4]) & 0x80808080u))
        return 1;
    int characters = 0;
    for (Py_ssize_t at = 0; at < word.length && characters < 5; at++)
        characters += (word.text[at] & 0xC0) != 0x80;
    return characters == 5;
}

/* Keep `value` if it is one of the least, which are in order and each there once; return how many they are. */
static inline int keep_least(uint64_t *least, int count, int most, uint64_t value)
{
    if (count == most && value >= least[count - 1])
        return count;
    int at = count;
    while (at && least[at - 1] > value)
        at--;
    if (at && least[at - 1] == value)
        return count;
    count += count < most;
    for (int moved = count - 1; moved > at; moved--)
        least[moved] = least[moved - 1];
    least[at] = value;
    return count;
}

static PyObject *set_of(const uint64_t *values, int count, uint64_t mask)
{
    PyObject *set = PyFrozenSet_New(NULL);
    for (int index = 0; set && index < count; index++) {
        PyObject *value = PyLong_FromUnsignedLongLong(values[index] & mask);
        if (!value || PySet_Add(set, value) < 0)
            Py_CLEAR(set);
        Py_XDECREF(value);
    }
    return set;
}

/* What is kept of a text: the least of its runs and of its long words, in order. */
typedef struct {
    uint64_t sketch[SKETCH], subjects[SUBJECTS];
    int sketched, subjected;
} Kept;

static int summed(Words *self, const uint8_t *text, Py_ssize_t length, int done, Kept *kept)
{
    Span near[NEAR], *spans = length < NEAR ? near : PyMem_Malloc(sizeof *spans * (size_t)(length + 1));
    if (!spans) {
        PyErr_NoMemory();
        return -1;
    }
    Py_ssize_t count = words_of(text, length, done, spans);
    if (count > HEAD + TAIL) {
        memmove(spans + HEAD, spans + count - TAIL, sizeof *spans * TAIL);
        count = HEAD + TAIL;
    }
    uint64_t hashes[HEAD + TAIL + 3], *sketch = kept->sketch;
    int sketched = 0, subjected = 0, failed = 0;
    if (!++self->text) { /* after 2^32 texts */
        memset(self->met, 0, sizeof *self->met << SLOT_BITS);
        self->text = 1;
    }
    for (Py_ssize_t index = 0; index < count && !failed; index++) {
        uint32_t place;
        failed = hash_of(self, spans[index], &hashes[index], &place) < 0;
        if (failed || !is_long(spans[index]))
            continue;
        if (place != NOWHERE) {
            if (self->met[place] == self->text)
                continue; /* it is there, or was not among the least */
            self->met[place] = self->text;
        }
        subjected = keep_least(kept->subjects, subjected, SUBJECTS, hashes[index]);
    }
    if (spans != near)
        PyMem_Free(spans);
    if (failed)
        return -1;
    if (count && count < 4) {
        uint64_t sum = 0;
        for (Py_ssize_t index = 0; index < count; index++)
            sum += hashes[index];
        sketched = keep_least(sketch, sketched, SKETCH, sum * ODD >> 32);
    }
    /* Most runs are too large to be among the least; where too few are not, all are looked at. */
    uint64_t most = count > 4 * SKETCH ? 2 * SKETCH * ((uint64_t)1 << 32) / (uint64_t)count : UINT64_MAX;
    for (int again = 0; again < 2 && sketched < SKETCH && count > 3; again++, most = UINT64_MAX)
        for (Py_ssize_t index = 0; index + 3 < count; index++) {
            const uint64_t *at = hashes + index;
            uint64_t run = (at[0] + 3 * at[1] + 7 * at[2] + 13 * at[3]) * ODD >> 32;
            if (run < most)
                sketched = keep_least(sketch, sketched, SKETCH, run);
        }
    kept->sketched = sketched;
    kept->subjected = subjected;
    return 0;
}

static PyObject *words_read(Words *self, PyObject *const *args, Py_ssize_t given)
{
    const char *octets = NULL;
    Py_ssize_t length = 0;
    int done = given == 1 && PyBytes_Check(args[0]);
    if (done) {
        octets = PyBytes_AS_STRING(args[0]);
        length = PyBytes_GET_SIZE(args[0]);
    } else if (given == 1 && PyUnicode_Check(args[0]) && PyUnicode_IS_ASCII(args[0])) {
        octets = PyUnicode_AsUTF8AndSize(args[0], &length);
    }
    if (!octets) {
        PyErr_SetString(PyExc_TypeError, "read(words): a folded text of ASCII, or a view of one whose numbers are masked");
        return NULL;
    }
    Kept kept;
    if (summed(self, (const uint8_t *)octets, length, done, &kept) < 0)
        return NULL;
    PyObject *one = set_of(kept.sketch, kept.sketched, UINT32_MAX);
    PyObject *two = one ? set_of(kept.subjects, kept.subjected, 0xFF) : NULL;
    PyObject *both = two ? PyTuple_Pack(2, one, two) : NULL;
    Py_XDECREF(one);
    Py_XDECREF(two);
    return both;
}

/* A request with nothing to it but a seed: study_twin.MARK. */
typedef struct {
    double time, tokens;
    uint32_t prompt, sketch[SKETCH];
    uint8_t sketched, subjected, subjects[SUBJECTS];
    uint16_t seed;
} Mark;

static PyObject *words_mark(Words *self, PyObject *const *args, Py_ssize_t given)
{
    if (given != 4 || !PyUnicode_Check(args[0]) || !PyUnicode_IS_ASCII(args[0])) {
        PyErr_SetString(PyExc_TypeError, "mark(text, time, tokens, seed): a folded text of ASCII");
        return NULL;
    }
    Mark mark = {.time = PyFloat_AsDouble(args[1])};
    mark.tokens = PyErr_Occurred() ? 0.0 : PyFloat_AsDouble(args[2]);
    mark.seed = PyErr_Occurred() ? 0 : (uint16_t)PyLong_AsUnsignedLong(args[3]);
    Kept kept;
    const uint8_t *text = PyUnicode_1BYTE_DATA(args[0]);
    Py_ssize_t length = PyUnicode_GET_LENGTH(args[0]);
    uint64_t whole;
    if (PyErr_Occurred() || digest_of(self, (Span){text, length}, &whole) < 0 ||
        summed(self, text, length, 0, &kept) < 0)
        return NULL;
    mark.prompt = (uint32_t)whole;
    mark.sketched = (uint8_t)kept.sketched;
    for (int index = 0; index < kept.sketched; index++)
        mark.sketch[index] = (uint32_t)kept.sketch[index];
    uint64_t buckets[BUCKETS / 64] = {0};
    for (int index = 0; index < kept.subjected; index++)
        buckets[(kept.subjects[index] & 0xFF) / 64] |= (uint64_t)1 << kept.subjects[index] % 64;
    for (int part = 0; part < BUCKETS / 64; part++)
        for (uint64_t left = buckets[part]; left; left &= left - 1)
            mark.subjects[mark.subjected++] = (uint8_t)(64 * part + __builtin_ctzll(left));
    return PyBytes_FromStringAndSize((const char *)&mark, sizeof mark);
}

static int words_init(Words *self, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    PyObject *digest;
    if (!PyArg_ParseTuple(args, "O", &digest))
        return -1;
    if (self->known) {
        PyErr_SetString(PyExc_TypeError, "words are made once");
        return -1;
    }
    self->known = PyMem_Calloc((size_t)1 << SLOT_BITS, sizeof(Known));
    if (!self->known) {
        PyErr_NoMemory();
        return -1;
    }
    self->met = PyMem_Calloc((size_t)1 << SLOT_BITS, sizeof *self->met);
    if (!self->met) {
        PyErr_NoMemory();
        return -1;
    }
    self->digest = Py_NewRef(digest);
    return 0;
}

static int words_traverse(Words *self, visitproc visit, void *arg)
{
    Py_VISIT(self->digest);
    return 0;
}

static int words_clear(Words *self)
{
    Py_CLEAR(self->digest);
    return 0;
}

static void words_dealloc(Words *self)
{
    PyObject_GC_UnTrack(self);
    words_clear(self);
    PyMem_Free(self->known);
    PyMem_Free(self->met);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef words_methods[] = {
    {"read", (PyCFunction)(void (*)(void))words_read, METH_FASTCALL, "read(words): see study_twin.Words.read"},
    {"mark", (PyCFunction)(void (*)(void))words_mark, METH_FASTCALL, "mark(text, time, tokens, seed): see study_twin.Words.mark"},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject words_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "guard.behavior._study.Words",
    .tp_basicsize = sizeof(Words),
    .tp_dealloc = (destructor)words_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = (traverseproc)words_traverse,
    .tp_clear = (inquiry)words_clear,
    .tp_doc = "The compiled form of guard.behavior.study_twin.Words.",
    .tp_methods = words_methods,
    .tp_init = (initproc)words_init,
    .tp_new = PyType_GenericNew,
};

/* ---- The last prompts of an identity: records of SKETCH x u32, u8, u32, u16 ---- */

static int shared(const uint32_t *one, int of_one, const uint8_t *other, int of_other)
{
    int found = 0, left = 0, right = 0;
    while (left < of_one && right < of_other) {
        uint32_t value = little32(other + 4 * right);
        found += one[left] == value;
        int later = one[left] <= value;
        right += one[left] >= value;
        left += later;
    }
    return found;
}

/* Add a prompt to records; say what share of those before it is like it, and how many other seeds it had. */
static int remembered(PyObject *list, const uint32_t *values, int count, uint32_t prompt, unsigned long seed,
                      double *share, int *others)
{
    uint8_t *records = (uint8_t *)PyByteArray_AS_STRING(list);
    Py_ssize_t size = PyByteArray_GET_SIZE(list), prompts = size / RECORD, alike = 0;
    unsigned seeds[LENGTH];
    int known = 0, again = 0;
    for (const uint8_t *record = records; record < records + size; record += RECORD) {
        int length = record[4 * SKETCH] < SKETCH ? record[4 * SKETCH] : SKETCH;
        int least = ((length < count ? length : count) + 3) / 4;
        int same = shared(values, count, record, length);
        alike += same && same >= least;
        unsigned its = record[RECORD - 2] | (unsigned)record[RECORD - 1] << 8;
        if (seed && its && little32(record + 4 * SKETCH + 1) == prompt) {
            int other = 0;
            while (other < known && seeds[other] != its)
                other++;
            if (other == known)
                seeds[known++] = its;
            again |= its == seed;
        }
    }
    *share = prompts ? (double)alike / (double)prompts : 0.0;
    if (prompts == LENGTH) {
        memmove(records, records + RECORD, (size_t)(size - RECORD));
    } else {
        if (PyByteArray_Resize(list, size + RECORD) < 0)
            return -1;
        records = (uint8_t *)PyByteArray_AS_STRING(list);
        prompts++;
    }
    uint8_t *record = records + (prompts - 1) * RECORD;
    memset(record, 0, RECORD);
    for (int index = 0; index < count; index++)
        put_little32(record + 4 * index, values[index]);
    record[4 * SKETCH] = (uint8_t)count;
    put_little32(record + 4 * SKETCH + 1, prompt);
    record[RECORD - 2] = (uint8_t)seed;
    record[RECORD - 1] = (uint8_t)(seed >> 8);
    *others = seed && !again ? known : 0;
    return 0;
}

static PyObject *remember(PyObject *module, PyObject *const *args, Py_ssize_t given)
{
    (void)module;
    if (given != 4 || !PyByteArray_Check(args[0]) || !PyAnySet_Check(args[1]) || PySet_GET_SIZE(args[1]) > SKETCH ||
        PyByteArray_GET_SIZE(args[0]) % RECORD || PyByteArray_GET_SIZE(args[0]) > LENGTH * RECORD) {
        PyErr_SetString(PyExc_TypeError, "remember(records, sketch, prompt, seed)");
        return NULL;
    }
    uint32_t values[SKETCH], prompt = (uint32_t)PyLong_AsUnsignedLong(args[2]);
    unsigned long seed = PyErr_Occurred() ? 0 : PyLong_AsUnsignedLong(args[3]);
    int count = 0;
    PyObject *iterator = PyErr_Occurred() ? NULL : PyObject_GetIter(args[1]), *item;
    if (!iterator)
        return NULL;
    while (count < SKETCH && (item = PyIter_Next(iterator))) {
        uint32_t value = (uint32_t)PyLong_AsUnsignedLong(item);
        Py_DECREF(item);
        if (PyErr_Occurred())
            break;
        int at = count++;
        for (; at && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
    Py_DECREF(iterator);
    if (PyErr_Occurred())
        return NULL;
    double share;
    int others;
    if (remembered(args[0], values, count, prompt, seed, &share, &others) < 0)
        return NULL;
    return Py_BuildValue("di", share, others);
}

/* ---- Shares by bucket ---- */

static int buckets_of(PyObject *given, Py_buffer *buffer, int flags)
{
    if (PyObject_GetBuffer(given, buffer, flags) < 0)
        return -1;
    if (buffer->len == BUCKETS * (Py_ssize_t)sizeof(double))
        return 0;
    PyBuffer_Release(buffer);
    PyErr_SetString(PyExc_ValueError, "as many doubles as there are buckets");
    return -1;
}

static PyObject *add(PyObject *module, PyObject *const *args, Py_ssize_t given)
{
    (void)module;
    if (given != 3 || !PyAnySet_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "add(scaled, subjects, weight)");
        return NULL;
    }
    double weight = PyFloat_AsDouble(args[2]);
    PyObject *iterator = PyErr_Occurred() ? NULL : PyObject_GetIter(args[1]), *item;
    Py_buffer buffer;
    if (!iterator || buckets_of(args[0], &buffer, PyBUF_WRITABLE) < 0) {
        Py_XDECREF(iterator);
        return NULL;
    }
    while ((item = PyIter_Next(iterator))) {
        unsigned long bucket = PyLong_AsUnsignedLong(item);
        Py_DECREF(item);
        if (PyErr_Occurred())
            break;
        if (bucket >= BUCKETS) {
            PyErr_SetString(PyExc_IndexError, "there is no such bucket");
            break;
        }
        ((double *)buffer.buf)[bucket] += weight;
    }
    Py_DECREF(iterator);
    PyBuffer_Release(&buffer);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *halves(PyObject *module, PyObject *const *args, Py_ssize_t given)
{
    (void)module;
    Py_buffer buffer;
    double scale = given == 2 ? PyFloat_AsDouble(args[1]) : -1.0;
    if (given != 2 || PyErr_Occurred()) {
        PyErr_SetString(PyExc_TypeError, "halves(scaled, scale)");
        return NULL;
    }
    if (buckets_of(args[0], &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    char packed[2 * BUCKETS] = {0};
    int failed = 0;
    for (int bucket = 0; bucket < BUCKETS && !failed; bucket++) {
        double share = ((const double *)buffer.buf)[bucket];
        if (share != 0.0) /* most are */
            failed = PyFloat_Pack2(share * scale, packed + 2 * bucket, 1);
    }
    PyBuffer_Release(&buffer);
    return failed ? NULL : PyBytes_FromStringAndSize(packed, sizeof packed);
}

static PyObject *doubles(PyObject *module, PyObject *given)
{
    (void)module;
    if (!PyBytes_Check(given) || PyBytes_GET_SIZE(given) != 2 * BUCKETS) {
        PyErr_SetString(PyExc_TypeError, "doubles(halves)");
        return NULL;
    }
    double shares[BUCKETS];
    const char *packed = PyBytes_AS_STRING(given);
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        const char *at = packed + 2 * bucket;
        shares[bucket] = at[0] || at[1] ? PyFloat_Unpack2(at, 1) : 0.0;
    }
    return PyBytes_FromStringAndSize((const char *)shares, sizeof shares);
}

/* ---- Requests with nothing to them but a seed, taken into a profile: what Profile.observe does ---- */

enum { REASONS = 16, SEED_SWEEP = 7, AGAIN = 3, REGISTERS = 128, SPAN = 64, RECENT = 64, PAST = 1024 };
enum { LAST, EVIDENCE, TOKENS_DAY, TOKENS_LONG, REQUESTS_HOUR, GAP_MEAN, GAP_VARIANCE, TEMPLATE, REASONING, LOGPROBS,
       SCHEMA, D1, RECENT_SCALE, PAST_SCALE, FIGURES };
static const double HOUR = 3600.0, DAY = 86400.0, FORTNIGHT = 14 * 86400.0, WEEK = 7 * 86400.0, HALF_LIFE = 7 * 86400.0;
static const double ALLOWANCE = 0.05, SWEPT = 0.25, CAP = 48.0, LEAST = 1e-6;

static inline double more(double one, double other) { return other > one ? other : one; }

static void faded(double *figures, double *reasons, double requests, double now)
{
    double passed = now - figures[LAST], kept = pow(0.5, passed / HALF_LIFE);
    figures[TOKENS_DAY] *= exp(-passed / DAY);
    figures[TOKENS_LONG] *= exp(-passed / FORTNIGHT);
    figures[REQUESTS_HOUR] *= exp(-passed / HOUR);
    figures[EVIDENCE] *= kept;
    for (int reason = 0; reason < REASONS; reason++)
        reasons[reason] *= kept;
    double step = more(1.0 / SPAN, 1.0 / requests), apart = log(more(passed, 1e-3)) - figures[GAP_MEAN];
    figures[GAP_MEAN] += step * apart;
    figures[GAP_VARIANCE] = (1.0 - step) * (figures[GAP_VARIANCE] + step * apart * apart);
}

static void present(double *shares, double *scale, const Mark *mark, double requests, double span)
{
    double step = more(1.0 / span, 1.0 / requests), left = *scale * (1.0 - step);
    if (left < LEAST) {
        for (int bucket = 0; bucket < BUCKETS; bucket++)
            shares[bucket] = left != 0.0 ? shares[bucket] * left : 0.0;
        left = 1.0;
    }
    *scale = left;
    for (int index = 0; index < mark->subjected && index < SUBJECTS; index++)
        shares[mark->subjects[index]] += step / left;
}

static void counted(uint8_t *registers, uint32_t prompt)
{
    uint64_t mixed = prompt * ODD;
    uint32_t rest = (uint32_t)(mixed >> 25);
    uint8_t rank = 1;
    for (; rank < 33 && !(rest >> (32 - rank)); rank++)
        ;
    uint8_t *at = registers + (mixed >> 57);
    *at = rank > *at ? rank : *at;
}

static int numbers_of(PyObject *sequence, double *numbers, int count)
{
    for (int index = 0; index < count; index++) {
        numbers[index] = PyFloat_AsDouble(PySequence_Fast_GET_ITEM(sequence, index));
        if (numbers[index] == -1.0 && PyErr_Occurred())
            return -1;
    }
    return 0;
}

static PyObject *take(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer marks, recent, past;
    Py_ssize_t begin;
    PyObject *records, *registers, *weights, *given, *found = NULL;
    double since, figures[FIGURES], reasons[REASONS];
    long long requests;
    if (!PyArg_ParseTuple(args, "y*nYYw*w*O!dLO!", &marks, &begin, &records, &registers, &recent, &past, &PyList_Type,
                          &weights, &since, &requests, &PyTuple_Type, &given))
        return NULL;
    if (marks.len % (Py_ssize_t)sizeof(Mark) || begin < 0 || begin % (Py_ssize_t)sizeof(Mark) ||
        PyByteArray_GET_SIZE(records) % RECORD || PyByteArray_GET_SIZE(records) > LENGTH * RECORD ||
        PyByteArray_GET_SIZE(registers) != REGISTERS || recent.len != BUCKETS * (Py_ssize_t)sizeof(double) ||
        past.len != recent.len || PyList_GET_SIZE(weights) != REASONS || PyTuple_GET_SIZE(given) != FIGURES) {
        PyErr_SetString(PyExc_ValueError, "take(marks, at, records, registers, recent, past, reasons, since, requests, figures)");
        goto release;
    }
    if (numbers_of(weights, reasons, REASONS) < 0 || numbers_of(given, figures, FIGURES) < 0)
        goto release;
    Py_ssize_t at = begin, sweeps = 0;
    for (; at < marks.len; at += (Py_ssize_t)sizeof(Mark)) {
        Mark mark;
        memcpy(&mark, (const char *)marks.buf + at, sizeof mark);
        double now = more(mark.time, figures[LAST]), share;
        int sketched = mark.sketched < SKETCH ? mark.sketched : SKETCH, others;
        if (at > begin && now - since >= WEEK)
            break;
        if (requests)
            faded(figures, reasons, (double)requests, now);
        figures[LAST] = now;
        requests++;
        if (remembered(records, mark.sketch, sketched, mark.prompt, mark.seed, &share, &others) < 0)
            goto release;
        double step = more(1.0 / SPAN, 1.0 / (double)requests);
        figures[TEMPLATE] += step * (share - figures[TEMPLATE]);
        for (int shares = REASONING; shares <= D1; shares++)
            figures[shares] += step * (0.0 - figures[shares]);
        figures[TOKENS_DAY] += mark.tokens;
        figures[TOKENS_LONG] += mark.tokens;
        figures[REQUESTS_HOUR] += 1.0;
        counted((uint8_t *)PyByteArray_AS_STRING(registers), mark.prompt);
        present(recent.buf, &figures[RECENT_SCALE], &mark, (double)requests, RECENT);
        present(past.buf, &figures[PAST_SCALE], &mark, (double)requests, PAST);
        double score = others >= AGAIN ? SWEPT : 0.0;
        figures[EVIDENCE] = more(0.0, figures[EVIDENCE] + score - ALLOWANCE);
        figures[EVIDENCE] = figures[EVIDENCE] < CAP ? figures[EVIDENCE] : CAP;
        if (others >= AGAIN) {
            reasons[SEED_SWEEP] += SWEPT;
            sweeps++;
        }
    }
    for (int reason = 0; reason < REASONS; reason++)
        if (reasons[reason] != PyFloat_AsDouble(PyList_GET_ITEM(weights, reason)) &&
            PyList_SetItem(weights, reason, PyFloat_FromDouble(reasons[reason])) < 0)
            goto release;
    PyObject *left = PyTuple_New(FIGURES);
    for (int index = 0; left && index < FIGURES; index++) {
        PyObject *figure = PyFloat_FromDouble(figures[index]);
        if (!figure)
            Py_CLEAR(left);
        else
            PyTuple_SET_ITEM(left, index, figure);
    }
    found = left ? Py_BuildValue("nnLN", at, sweeps, requests, left) : NULL;
release:
    PyBuffer_Release(&marks);
    PyBuffer_Release(&recent);
    PyBuffer_Release(&past);
    return found;
}

/* ---- Which of some short texts are part of a long one ---- */

enum { MOST = 64, MIXED = 1 << 12 };

typedef struct {
    PyObject_HEAD
    PyObject *kept; /* the tuple that owns the needles */
    int count;
    const char *needles[MOST];
    Py_ssize_t lengths[MOST];
    uint64_t any[MIXED / 64]; /* by a hash of three octets: whether some needle begins with them; most do not */
    uint64_t begins[MIXED];   /* a bit for every needle that does */
} Among;

static inline uint32_t three(const uint8_t *at) { return (at[0] << 8 ^ at[1] << 4 ^ at[2]) & (MIXED - 1); }

static PyObject *among_find(Among *self, PyObject *text)
{
    Py_ssize_t length;
    const uint8_t *octets = PyUnicode_Check(text) ? (const uint8_t *)PyUnicode_AsUTF8AndSize(text, &length) : NULL;
    if (!octets) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "find(text)");
        return NULL;
    }
    uint64_t found = 0;
    for (Py_ssize_t at = 0; at + 2 < length; at++) {
        uint32_t mixed = three(octets + at);
        if (!(self->any[mixed / 64] >> mixed % 64 & 1))
            continue;
        for (uint64_t left = self->begins[mixed] & ~found; left; left &= left - 1) {
            int index = __builtin_ctzll(left);
            if (self->lengths[index] <= length - at &&
                !memcmp(self->needles[index], octets + at, (size_t)self->lengths[index]))
                found |= (uint64_t)1 << index;
        }
    }
    return PyLong_FromUnsignedLongLong(found);
}

static int among_init(Among *self, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    PyObject *needles;
    if (!PyArg_ParseTuple(args, "O!", &PyTuple_Type, &needles))
        return -1;
    if (self->kept || PyTuple_GET_SIZE(needles) > MOST) {
        PyErr_SetString(PyExc_ValueError, "at most 64 needles, once");
        return -1;
    }
    self->kept = Py_NewRef(needles);
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(needles); index++) {
        PyObject *needle = PyTuple_GET_ITEM(needles, index);
        self->needles[index] = PyUnicode_Check(needle) ? PyUnicode_AsUTF8AndSize(needle, &self->lengths[index]) : NULL;
        if (!self->needles[index] || self->lengths[index] < 3) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_ValueError, "a needle has three octets");
            return -1;
        }
        uint32_t mixed = three((const uint8_t *)self->needles[index]);
        self->begins[mixed] |= (uint64_t)1 << index;
        self->any[mixed / 64] |= (uint64_t)1 << mixed % 64;
    }
    return 0;
}

static void among_dealloc(Among *self)
{
    Py_XDECREF(self->kept); /* strings: no cycle */
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef among_methods[] = {
    {"find", (PyCFunction)among_find, METH_O, "find(text): see study_twin.Among.find"},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject among_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "guard.behavior._study.Among",
    .tp_basicsize = sizeof(Among),
    .tp_dealloc = (destructor)among_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "The compiled form of guard.behavior.study_twin.Among.",
    .tp_methods = among_methods,
    .tp_init = (initproc)among_init,
    .tp_new = PyType_GenericNew,
};

static PyMethodDef functions[] = {
    {"remember", (PyCFunction)(void (*)(void))remember, METH_FASTCALL,
     "remember(records, sketch, prompt, seed): see study_twin.remember"},
    {"add", (PyCFunction)(void (*)(void))add, METH_FASTCALL, "add(scaled, subjects, weight): see study_twin.add"},
    {"take", take, METH_VARARGS, "take(marks, at, ...): what Profile.observe does with each of the marks"},
    {"halves", (PyCFunction)(void (*)(void))halves, METH_FASTCALL, "halves(scaled, scale): see study_twin.halves"},
    {"doubles", doubles, METH_O, "doubles(halves): see study_twin.doubles"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT,
                                    .m_name = "_study",
                                    .m_doc = "The compiled inner loops of behavior over time.",
                                    .m_size = -1,
                                    .m_methods = functions};

PyMODINIT_FUNC PyInit__study(void)
{
    fill_classes();
    if (PyType_Ready(&words_type) < 0 || PyType_Ready(&among_type) < 0)
        return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made && (PyModule_AddObjectRef(made, "Words", (PyObject *)&words_type) < 0 ||
                 PyModule_AddObjectRef(made, "Among", (PyObject *)&among_type) < 0)) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
